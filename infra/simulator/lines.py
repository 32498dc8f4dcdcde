"""The connections that a fleet's uploads go out on: a few that all devices share, or each device's own over mTLS."""

import ssl
from collections import OrderedDict
from typing import Protocol

from infra.simulator.device import Device
from infra.simulator.http import Address, Connection

MOST_IDLE = 512  # open connections that nobody uses just now


class Lines(Protocol):
    """Lends connections. Who takes one gives it back."""

    def take(self, device: Device) -> Connection: ...
    def give(self, device: Device, connection: Connection) -> None: ...
    def close(self) -> None: ...


class SharedLines:
    """The connections of a fleet that an API key speaks for: as many as are used at once."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address, self._timeout = address, timeout
        self._idle: list[Connection] = []

    def take(self, device: Device) -> Connection:
        return self._idle.pop() if self._idle else Connection(self._address, self._timeout)

    def give(self, device: Device, connection: Connection) -> None:
        self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class OwnLines:
    """Each device's connections, with its own certificate. The longest unused are closed when there are too many."""

    def __init__(self, address: Address, timeout: float, most_idle: int = MOST_IDLE) -> None:
        self._address, self._timeout, self._most_idle = address, timeout, most_idle
        self._contexts: dict[Device, ssl.SSLContext] = {}
        self._idle: OrderedDict[Connection, Device] = OrderedDict()
        self._idle_of: dict[Device, list[Connection]] = {}

    def admit(self, device: Device, context: ssl.SSLContext) -> None:
        """The device has a certificate now, which `context` shows."""
        self._contexts[device] = context

    def take(self, device: Device) -> Connection:
        idle = self._idle_of.get(device)
        if not idle:
            return Connection(self._address, self._timeout, self._contexts[device])
        connection = idle.pop()
        del self._idle[connection]
        return connection

    def give(self, device: Device, connection: Connection) -> None:
        self._idle[connection] = device
        self._idle_of.setdefault(device, []).append(connection)
        while len(self._idle) > self._most_idle:
            oldest, owner = self._idle.popitem(last=False)
            self._idle_of[owner].remove(oldest)
            oldest.close()

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        self._idle_of.clear()
