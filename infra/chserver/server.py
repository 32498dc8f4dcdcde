"""Both listeners on one engine, from start to stop."""

import logging
import signal
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from infra.chserver import http, native
from infra.chserver.engine import Credentials, Engine
from infra.chserver.http_sessions import Sessions

_PATIENCE = 3.0  # seconds that a stop gives to statements in hand

_Server = TypeVar("_Server", bound=socketserver.BaseServer)

log = logging.getLogger(__name__)


class AddressUnavailable(Exception):
    """A port cannot be listened on; the message names it."""


@dataclass(frozen=True, slots=True)
class Options:
    path: Path
    host: str
    tcp_port: int
    http_port: int
    credentials: Credentials


def serve(options: Options) -> None:
    """Listen, open the engine, serve until SIGTERM or SIGINT, stop. Prints a line when clients are served.

    The ports are taken first: a port in use is told before the data directory is touched. Clients that come while the
    engine opens wait.

    Raises:
        AddressUnavailable, EngineUnavailable, BindingError: it cannot start.
    """
    stop = _stop_signals()
    native_server = _listen(native.Server, options.host, options.tcp_port)
    http_server = _listen(http.Server, options.host, options.http_port)
    engine = Engine(options.path, options.credentials)
    native_server.engine = http_server.engine = engine
    http_server.sessions = Sessions(engine)
    servers: tuple[socketserver.BaseServer, ...] = (native_server, http_server)
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.1,), name=type(server).__module__, daemon=True).start()
    log.info("serving %s on %s, native %d, HTTP %d", options.path, options.host, options.tcp_port, options.http_port)
    print(f"ready: native {options.host}:{options.tcp_port}, HTTP {options.host}:{options.http_port}", flush=True)
    stop.recv(1)
    for server in servers:
        server.shutdown()
        server.server_close()
    ended = engine.stop(_PATIENCE)
    log.info("stopped%s", "" if ended else "; statements that did not end were cut off")


def _stop_signals() -> socket.socket:
    """A socket that can be read from as soon as a signal asks for the end.

    The system may hand a signal to any thread, the engine's too, and Python runs its handlers only when the main thread
    wakes; this descriptor is written to at once, in whatever thread it is, and wakes it.
    """
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.detach())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reading


def _listen(kind: Callable[[tuple[str, int]], _Server], host: str, port: int) -> _Server:
    try:
        return kind((host, port))
    except (OSError, OverflowError) as error:
        raise AddressUnavailable(f"cannot listen on {host}:{port}: {error}") from error
