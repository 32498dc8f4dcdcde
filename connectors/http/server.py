"""The server process: connections to the application, from the bound port to the last answer."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial

from connectors.http.connection import Connection
from connectors.http.limits import Limits
from connectors.http.listener import Accepting, Listener
from connectors.http.request import Answering

BACKLOG = 2048
GRACE_SECONDS = 2.0  # beyond the requests' deadline, for those in hand when the server is stopped
DRAIN_SECONDS = 0.01
CHECK_SECONDS = 0.25  # between two looks at how long connections take


class PortTaken(OSError):
    """The address can't be listened on."""


class Server:
    """Answers requests on bound sockets, until it is stopped."""

    def __init__(self, limits: Limits, answer: Answering) -> None:
        self._limits, self._answer = limits, answer
        self.connections: set[Connection] = set()
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self, at_once: bool = False) -> None:
        """Take no more connections, let the requests in hand finish (or not), return from `serve`."""
        self._stopping.set()
        if at_once:
            self._at_once.set()

    async def serve(self, bound: socket.socket, secured: Sequence[Listener] = ()) -> None:
        """Returns when all connections are closed. `bound` is spoken HTTP on as it is, `secured` over TLS."""
        loop = asyncio.get_running_loop()
        doors = [Accepting(listener, partial(self._connection, listener.answer)) for listener in secured]
        for door in doors:
            door.open(BACKLOG)
        # The plain one last: where it answers that all is well, the others are open.
        plain = partial(self._connection, self._answer)
        listening = await loop.create_server(plain, sock=bound, backlog=BACKLOG)
        checking = asyncio.create_task(self._check())
        try:
            await self._stopping.wait()
        finally:
            listening.close()
            for door in doors:
                door.close()
            for connection in tuple(self.connections):
                connection.shut_down()
            await self._drained(self._limits.request_deadline + GRACE_SECONDS)
            for connection in tuple(self.connections):
                connection.abort()
            checking.cancel()

    def _connection(self, answer: Answering) -> Connection:
        return Connection(self._limits, answer, self.connections)

    async def _drained(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.connections and not self._at_once.is_set() and time.monotonic() < until:
            await asyncio.sleep(DRAIN_SECONDS)

    async def _check(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = time.monotonic()
            for connection in tuple(self.connections):
                connection.check(now)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket.

    Raises:
        PortTaken: the message names address and reason.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise PortTaken(f"can't listen on {host}:{port}: {error.strerror}") from None
    return made


async def serve(
    server: Server,
    bound: socket.socket,
    prepare: Callable[[], Coroutine[None, None, None]],
    secured: Sequence[Listener] = (),
) -> None:
    """Answer requests until the server is stopped by SIGTERM or SIGINT (twice: at once) or by `stop`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: server.stop(at_once=server.stopping))
    preparing = asyncio.create_task(prepare())
    try:
        await server.serve(bound, secured)
    finally:
        preparing.cancel()
