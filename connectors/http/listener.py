"""Connections over TLS: from the listening socket to the end of the handshake.

A connection becomes one of the server's when its handshake is done. Until then it costs a little and may stay for a short
time, and only so many may be in that state; why a handshake fails is told to who counts.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from connectors.http.connection import Connection
from connectors.http.request import Answering
from connectors.http.tls import ServerTls

AT_ONCE = 64  # connections that are accepted before others get their turn
SHUTDOWN_SECONDS = 2.0  # for the other end to say goodbye
PAUSE_SECONDS = 0.5  # after an accept that failed, most often for want of file descriptors
EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED

HandshakeFailed = Callable[[str, str, str], None]
"""Told of each handshake that fails: one of FAILURES, the address, what was said."""
FAILURES = ("untrusted", "expired", "no_certificate", "protocol", "timeout", "gone", "too_many")


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, its TLS, and what answers the requests that come over it. `most_handshakes`: of those under way."""

    bound: socket.socket
    answer: Answering
    tls: ServerTls
    failed: HandshakeFailed
    handshake_seconds: float = 10.0
    most_handshakes: int = 512


class Accepting:
    """Takes the connections of a listener; `make` makes what speaks HTTP on one."""

    def __init__(self, listener: Listener, make: Callable[[], Connection]) -> None:
        self._listener, self._make = listener, make
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._closed = False

    def open(self, backlog: int) -> None:
        self._listener.bound.setblocking(False)
        self._listener.bound.listen(backlog)
        self._listen()

    def close(self) -> None:
        """Take no more, and break off the handshakes that are under way."""
        self._closed = True
        self._loop.remove_reader(self._listener.bound)
        self._listener.bound.close()
        for task in tuple(self._handshakes):
            task.cancel()

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener.bound, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                made, address = self._listener.bound.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._loop.remove_reader(self._listener.bound)
                self._loop.call_later(PAUSE_SECONDS, self._listen)
                return
            if len(self._handshakes) >= self._listener.most_handshakes:
                made.close()
                self._listener.failed("too_many", address[0], f"{len(self._handshakes)} handshakes are under way")
                continue
            made.setblocking(False)
            task = self._loop.create_task(self._shake_hands(made, address[0]))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, made: socket.socket, address: str) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._make,
                made,
                ssl=self._listener.tls.context(),
                ssl_handshake_timeout=self._listener.handshake_seconds,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            )
        except ssl.SSLError as error:
            self._listener.failed(*_failure(error, address))
        except ConnectionAbortedError:  # so the loops tell that it takes too long
            seconds = self._listener.handshake_seconds
            self._listener.failed("timeout", address, f"the handshake was not done within {seconds:g} s")
        except OSError as error:
            self._listener.failed("gone", address, str(error) or type(error).__name__)


def _failure(error: ssl.SSLError, address: str) -> tuple[str, str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "expired" if error.verify_code == EXPIRED else "untrusted", address, error.verify_message
    if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "no_certificate", address, "no client certificate was sent"
    return "protocol", address, error.reason or str(error)
