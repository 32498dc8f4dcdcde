"""Answers that are sent while their request comes in, over a real socket."""

import asyncio
import contextlib
import gc
import socket
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass

import pytest
import uvloop

from connectors.http.app import HttpApp
from connectors.http.body import BodyReader
from connectors.http.exchange import Gone
from connectors.http.problems import problem
from connectors.http.request import Answer, Request, Route, StreamedAnswer
from connectors.http.server import Server, listen

HEAD = b"POST %s HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"


@dataclass
class Limits:
    max_head_bytes: int = 16_384
    max_body_bytes: int = 1_000_000
    max_gzip_ratio: float = 100.0
    max_buffered_bytes: int = 1_000_000
    max_connections: int = 10
    read_seconds: float = 0.6
    request_deadline: float = 5.0


async def _echo(request: Request) -> AsyncGenerator[bytes, None]:
    more = True
    while more:
        try:
            part, more = await request.part()
        except Gone as gone:
            yield b"(gone: %s)" % str(gone).encode()
            return
        yield part.upper()


async def echo(request: Request) -> StreamedAnswer:
    request.streamed = True
    return StreamedAnswer(_echo(request))


async def _failing(request: Request) -> AsyncGenerator[bytes, None]:
    yield b"begun"
    raise ValueError("a bug")


async def failing(request: Request) -> StreamedAnswer:
    return StreamedAnswer(_failing(request))


async def _flood() -> AsyncGenerator[bytes, None]:
    for _ in range(100_000):
        yield b"x" * 1000


async def flood(request: Request) -> StreamedAnswer:
    return StreamedAnswer(_flood())


async def plain(request: Request) -> Answer:
    return Answer(b"plain")


@dataclass
class Running:
    port: int
    server: Server
    loop: asyncio.AbstractEventLoop
    observed: list[tuple[str, int, float]]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A server, on the loop that the ingress runs on, and on Python's own; no task of it may fail unseen."""
    limits, observed = Limits(), []
    handlers = {"/echo": echo, "/failing": failing, "/flood": flood, "/plain": plain}
    routes = [Route("POST", path, handler, problem) for path, handler in handlers.items()]
    app = HttpApp("test", routes, lambda request: "x", BodyReader(limits), lambda *told: observed.append(told))
    server, bound, loop = Server(limits, app.answer), listen("127.0.0.1", 0), request.param()
    trouble: list[object] = []
    loop.set_exception_handler(lambda _, told: trouble.append(told))
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(bound),))
    thread.start()
    yield Running(bound.getsockname()[1], server, loop, observed)
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(server.stop, True)
    thread.join(10)
    assert not thread.is_alive()
    gc.collect()
    loop.close()
    assert not trouble


@contextlib.contextmanager
def connected(running: Running) -> Iterator[socket.socket]:
    while True:
        try:
            made = socket.create_connection(("127.0.0.1", running.port), 5)
        except ConnectionRefusedError:  # not listening yet
            time.sleep(0.01)
        else:
            break
    with made:
        yield made


def until(connection: socket.socket, end: bytes) -> bytes:
    """What comes, until it ends with `end`."""
    found = b""
    while not found.endswith(end):
        part = connection.recv(65_536)
        assert part, found
        found += part
    return found


def test_results_flow_while_the_request_still_comes(running: Running) -> None:
    with connected(running) as connection:
        connection.sendall(HEAD % b"/echo" + b"3\r\nabc\r\n")
        assert b"transfer-encoding: chunked" in until(connection, b"3\r\nABC\r\n")
        connection.sendall(b"2\r\nde\r\n")
        until(connection, b"2\r\nDE\r\n")
        connection.sendall(b"0\r\n\r\n" + HEAD % b"/plain" + b"0\r\n\r\n")
        assert until(connection, b"plain").startswith(b"0\r\n\r\nHTTP/1.1 200")
    assert [(path, status) for path, status, _ in running.observed] == [("/echo", 200), ("/plain", 200)]


def test_each_part_has_its_own_time_to_come(running: Running) -> None:
    with connected(running) as connection:
        connection.sendall(HEAD % b"/echo")
        for _ in range(5):
            time.sleep(0.3)  # in all more than read_seconds
            connection.sendall(b"1\r\na\r\n")
            until(connection, b"A\r\n")
        connection.sendall(b"0\r\n\r\n")
        until(connection, b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("broken", "why"), [(b"zz\r\n", b"is not HTTP"), (b"", b"did not come whole")], ids=["bad chunk", "silence"]
)
def test_a_request_that_breaks_off_ends_its_answer_with_the_reason(running: Running, broken: bytes, why: bytes) -> None:
    with connected(running) as connection:
        connection.sendall(HEAD % b"/echo" + b"3\r\nabc\r\n")
        until(connection, b"ABC\r\n")
        connection.sendall(broken)
        rest = until(connection, b"0\r\n\r\n")
        assert b"(gone: " in rest
        assert why in rest
        assert connection.recv(100) == b"", "the connection is closed"


def test_an_answer_that_fails_is_never_taken_for_whole(running: Running) -> None:
    found = b""
    with connected(running) as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(HEAD % b"/failing" + b"0\r\n\r\n")
        while part := connection.recv(1000):
            found += part
    assert not found.endswith(b"0\r\n\r\n")


def test_a_client_of_http_1_0_gets_its_answer_without_chunks(running: Running) -> None:
    with connected(running) as connection:
        connection.sendall(b"POST /echo HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc")
        answer = b""
        while part := connection.recv(1000):
            answer += part
    assert answer.endswith(b"\r\n\r\nABC")
    assert b"transfer-encoding" not in answer


def test_a_client_that_reads_nothing_is_waited_for_and_then_left(running: Running) -> None:
    with connected(running) as connection:
        connection.sendall(HEAD % b"/flood" + b"0\r\n\r\n")
        until_left = time.monotonic() + 5
        while not running.observed:
            assert time.monotonic() < until_left
            time.sleep(0.05)
    assert [path for path, _, _ in running.observed] == ["/flood"]


def test_a_client_that_leaves_ends_its_answer(running: Running) -> None:
    with connected(running) as connection:
        connection.sendall(HEAD % b"/echo" + b"3\r\nabc\r\n")
        until(connection, b"ABC\r\n")
    until_left = time.monotonic() + 5
    while not running.observed:
        assert time.monotonic() < until_left
        time.sleep(0.01)


def test_a_stop_ends_a_stream_with_the_reason(running: Running) -> None:
    with connected(running) as connection:
        connection.sendall(HEAD % b"/echo" + b"3\r\nabc\r\n")
        until(connection, b"ABC\r\n")
        running.loop.call_soon_threadsafe(running.server.stop)
        assert b"(gone: the server is stopping)" in until(connection, b"0\r\n\r\n")


def test_a_client_that_waits_to_be_told_is_told_before_the_answer_begins(running: Running) -> None:
    with connected(running) as connection:
        connection.sendall(HEAD[:-2] % b"/echo" + b"expect: 100-continue\r\n\r\n")
        assert until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.sendall(b"3\r\nabc\r\n0\r\n\r\n" + HEAD % b"/plain" + b"0\r\n\r\n")
        rest = until(connection, b"plain")
    assert b"3\r\nABC\r\n0\r\n\r\nHTTP/1.1 200" in rest
    assert b"100 Continue" not in rest
