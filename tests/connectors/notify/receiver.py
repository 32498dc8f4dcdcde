"""A receiver of notifications on a loopback port, which does as it is told and keeps what came."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import msgspec


class Came(NamedTuple):
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]

    def json(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])


Answer = Callable[[BaseHTTPRequestHandler], None]


def say(status: int, body: bytes = b"ok", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang(seconds: float) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)

    return answer


def drip(seconds: float, of: bytes = b"HTTP/1.1 200 OK\r\nX-Slow: ") -> Answer:
    """A byte now and then, so that no single read is late."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        until = time.monotonic() + seconds
        try:
            handler.wfile.write(of)
            while time.monotonic() < until:
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(10_000):
            handler.wfile.write(b"x" * 65_536)
    except OSError:
        return


class Receiver:
    """`answers` are given in turn, the last for ever."""

    def __init__(self, port: int, answers: list[Answer]) -> None:
        self.port, self.answers = port, answers
        self.came: list[Came] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def counted(self) -> Counter[str]:
        """How often each idempotency key came."""
        with self.lock:
            return Counter(one.key for one in self.came)

    def transitions(self) -> Counter[str]:
        """How often each transition was told, by idempotency keys that count once however often they came."""
        with self.lock:
            by_key = {one.key: one.json() for one in self.came}
        return Counter(one for told in by_key.values() for one in told["transitions"])  # type: ignore[attr-defined]


@contextmanager
def receiving(*answers: Answer) -> Iterator[Receiver]:
    receiver = Receiver(0, list(answers) or [say(200)])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with receiver.lock:
                receiver.came.append(Came({name.lower(): value for name, value in self.headers.items()}, body))
                answer = receiver.answers[min(len(receiver.came), len(receiver.answers)) - 1]
            self.close_connection = True
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
