"""A front in this process, over real HTTP, before a registry that a test tells what to answer."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from connectors.http.server import Server, listen
from connectors.registry_front.front import Front
from connectors.registry_front.options import FrontOptions

Answer = tuple[int, bytes]
CONFLUENT, NATIVE, READY = "/confluent", "/native", "/ready"


@dataclass
class Asked:
    """A question that reached the registry behind. `path` is as it was sent, with the query."""

    method: str
    path: str
    authorization: str | None
    cookie: str | None
    body: bytes


@dataclass
class Behind:
    """The registry behind: `answer` is asked for what to say (None: break the connection off)."""

    answer: Callable[[Asked], Answer | None] = lambda asked: (404, b'{"error_code": 40403, "message": "none"}')
    ready: int = 200
    asked: list[Asked] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]


@dataclass
class Served:
    port: int
    client: httpx.Client
    behind: Behind
    front: Front

    def raw(self, request: bytes) -> bytes:
        """What comes back for bytes; the request must ask for the connection to be closed."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(request)
            parts = []
            while part := connection.recv(65_536):
                parts.append(part)
        return b"".join(parts)


def _handler(behind: Behind) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == READY:
                self.tell((behind.ready, b"{}"))
                return
            asked = Asked(self.command, self.path, self.headers.get("Authorization"), self.headers.get("Cookie"), body)
            behind.asked.append(asked)
            self.tell(behind.answer(asked))

        def tell(self, answer: Answer | None) -> None:
            if answer is None:
                self.close_connection = True
                self.connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
                return
            status, body = answer
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Set-Cookie", "session=of-somebody; Path=/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *told: object) -> None:
            pass

        do_GET = do_POST = do_PUT = do_DELETE = answer

    return Handler


@contextmanager
def registry_behind(port: int = 0) -> Iterator[tuple[Behind, int]]:
    """A registry on a port, a free one by default."""
    behind = Behind()
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(behind))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield behind, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def serving(behind: Behind, behind_port: int, native: bool = False, **changes: object) -> Iterator[Served]:
    """A front on a free port, in a thread of its own."""
    at = f"http://127.0.0.1:{behind_port}"
    options = replace(
        FrontOptions(at + CONFLUENT, at + NATIVE if native else "", at + READY, request_deadline=1.0),
        **changes,  # type: ignore[arg-type]
    )
    bound = listen("127.0.0.1", 0)
    begun: list[tuple[Front, Server, asyncio.AbstractEventLoop]] = []
    started = threading.Event()

    async def main() -> None:
        front = Front(options)
        server = Server(options, front.answer)
        begun.append((front, server, asyncio.get_running_loop()))
        bound.listen()
        started.set()
        await server.serve(bound)
        await front.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(20)
    ((front, server, loop),) = begun
    port = bound.getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Served(port, client, behind, front)
    finally:
        loop.call_soon_threadsafe(server.stop, True)
        thread.join(20)
        assert not thread.is_alive()
