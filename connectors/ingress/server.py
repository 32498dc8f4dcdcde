"""The server process: uvicorn around the application, from the bound port to the flushed producer."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator

import uvicorn

from connectors.ingress.ingress import Ingress
from connectors.ingress.options import Options
from connectors.ingress.protocol import bounded

log = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 75
BACKLOG = 2048


class PortTaken(OSError):
    """The address can't be listened on."""


class Server(uvicorn.Server):  # type: ignore[misc]  # uvicorn is untyped to mypy here
    """uvicorn's server, stopped by `stop` instead of by signal handlers of its own: those raise the signal again in the
    end, which hides whether the stop was clean."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self, at_once: bool = False) -> None:
        """Take no more connections, let the requests in hand finish (or not), return from `serve`."""
        self.should_exit = True
        self.force_exit = at_once


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


def make_server(options: Options, ingress: Ingress) -> Server:
    return Server(
        uvicorn.Config(
            ingress.application,
            loop="uvloop",
            http=bounded(options),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(options.request_deadline) + 2,
        )
    )


async def serve(server: Server, bound: socket.socket, prepare: Callable[[], Coroutine[None, None, None]]) -> None:
    """Answer requests until the server is stopped by SIGTERM or SIGINT (twice: at once) or by `stop`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: server.stop(at_once=server.should_exit))
    preparing = asyncio.create_task(prepare())
    try:
        await server.serve(sockets=[bound])
    finally:
        preparing.cancel()
