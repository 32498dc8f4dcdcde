"""Which network addresses may be sent to. A channel's URL is a name that somebody else's server resolves, so that what it
leads to is looked at when it is connected to, and the connection is made to the very address that was looked at."""

import ipaddress
import socket
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from connectors.notify.channel import Undelivered

Resolve = Any  # socket.getaddrinfo, whose type is long
Option = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


def is_public(text: str) -> bool:
    """Whether an address is one of the internet's: not private, loopback, link-local, multicast, reserved or such an IPv4
    address in the clothes of an IPv6 one."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if within is not None:
            address = within
        elif address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def allowed(host: str, port: int, allow_private: bool, resolve: Resolve = socket.getaddrinfo) -> list[str]:
    """The addresses of a host, all of which may be connected to.

    Raises:
        Undelivered: there are none, or one of them may not be.
    """
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Undelivered("unreachable", f"{host} leads to no address: {error}", again=True) from None
    addresses = list(dict.fromkeys(str(place[4][0]) for place in found))
    for address in addresses:
        if not allow_private and not is_public(address):
            detail = f"{host} leads to {address}, which is no public address; allow_private permits it"
            raise Undelivered("forbidden_address", detail, again=False)
    return addresses


class Bounded(httpcore.NetworkStream):
    """A connection on which everything together must be done by a deadline (of time.monotonic): one that gives a byte now
    and then would otherwise never end."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> "Bounded":
        return Bounded(
            self._stream.start_tls(ssl_context, server_hostname, self._left(httpcore.ConnectTimeout)), self._deadline
        )

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _left(self, late: type[Exception]) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise late("the time is over")
        return left


class Checked(httpcore.NetworkBackend):
    """Connects to addresses that are allowed, each looked up once and used as it was found."""

    def __init__(self, deadline: float, allow_private: bool, resolve: Resolve = socket.getaddrinfo) -> None:
        self._deadline, self._allow_private, self._resolve = deadline, allow_private, resolve
        self._real = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Option] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in allowed(host, port, self._allow_private, self._resolve):
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise httpcore.ConnectTimeout("the time is over")
            try:
                return Bounded(self._real.connect_tcp(address, port, left), self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure
