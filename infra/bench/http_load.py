"""A load generator for HTTP benches: keep-alive connections with one request each in flight, in a process of its own.

`load` starts the process and returns what it measured. A request is a template in which every SLOT is replaced by a
number that is unique in the run, so that no upload is a retry of another.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

SLOT = b"@@@@@@@@@@"
"""Stands for a number of ten digits."""
TICK_NANOSECONDS = 5_000
LATE = 30.0  # seconds that an answer may take beyond the end of the run


@dataclass(frozen=True, slots=True)
class Load:
    """What a run measured; latencies in milliseconds, `failures` counts answers other than the expected status."""

    requests: int
    failures: int
    seconds: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def http_request(method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a request."""
    fields = {"Host": "bench", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def load(port: int, request: bytes, connections: int, seconds: float) -> Load:
    """Send `request` to 127.0.0.1:`port` over `connections` connections for `seconds`, from another process.

    Raises:
        RuntimeError: the generator failed (no connection, a connection that was cut).
    """
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(request)
        command = [sys.executable, "-m", "infra.bench.http_load", file.name, str(port), str(connections), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip()}")
    return Load(**json.loads(done.stdout))


class Tally:
    """What all connections share: the request, the counter, the clock, the results."""

    def __init__(self, request: bytes, stop: float) -> None:
        self.request, self.stop = request, stop
        # Counts on faster than requests can be sent, so that no later run meets numbers of an earlier one.
        self.number = time.time_ns() // TICK_NANOSECONDS % 10_000_000_000
        self.failures = 0
        self.latencies: list[float] = []

    def next(self) -> bytes:
        self.number += 1
        return self.request.replace(SLOT, b"%010d" % (self.number % 10_000_000_000))


class _Client(asyncio.Protocol):
    def __init__(self, tally: Tally, done: "asyncio.Future[None]") -> None:
        self._tally, self._done = tally, done
        self._received = b""
        self._sent = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._tally.next())

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        if head < 0 or len(received) < head + 4 + _content_length(received, head):
            self._received = received
            return
        self._received = b""
        now = time.perf_counter()
        if received.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            self._tally.latencies.append(now - self._sent)
        else:
            self._tally.failures += 1
        if now < self._tally.stop:
            self._send()
        else:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("the server closed the connection"))

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)
        self._transport.close()


def _content_length(received: bytes, head: int) -> int:
    start = received.find(b"content-length: ", 0, head) + len(b"content-length: ")
    return int(received[start : received.index(b"\r\n", start)])


async def drive(client: Callable[["asyncio.Future[None]"], asyncio.Protocol], port: int, connections: int) -> None:
    """Open connections to 127.0.0.1:`port`, each served by a client that ends the future it is given; wait for all."""
    loop = asyncio.get_running_loop()
    waits = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        await loop.create_connection(partial(client, done), "127.0.0.1", port)
        waits.append(done)
    await asyncio.gather(*waits)


def quantiles(latencies: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds, of seconds; not a number where there are none."""
    ordered = sorted(latencies) or [float("nan")]
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    return p50, p99


async def _run(request: bytes, port: int, connections: int, seconds: float) -> Load:
    started = time.perf_counter()
    tally = Tally(request, started + seconds)
    await asyncio.wait_for(drive(lambda done: _Client(tally, done), port, connections), seconds + LATE)
    elapsed = time.perf_counter() - started
    return Load(len(tally.latencies), tally.failures, elapsed, *quantiles(tally.latencies))


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description="Load one HTTP endpoint; used by the benches.")
    parser.add_argument("file", type=Path, help="holds the request")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    made = uvloop.run(_run(options.file.read_bytes(), options.port, options.connections, options.seconds))
    print(json.dumps({name: getattr(made, name) for name in made.__slots__}))


if __name__ == "__main__":
    main()
