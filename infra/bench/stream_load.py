"""A load generator for streamed Kafka-REST produce: requests without an end, each with so many records on their way.

`stream_load` starts a process of its own, which sends records over chunked requests and reads a result for each. A record's
latency is from the write that it was sent with to its result.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import cast

from infra.bench.http_load import LATE, Load, drive, quantiles

WINDOW = 1_000  # records of one connection that wait for their results
TOGETHER = 100  # records of one chunk
OK = b'{"error_code":200,'
_LAST = b"0\r\n\r\n"


def stream_load(port: int, head: bytes, record: bytes, connections: int, seconds: float) -> Load:
    """Send `record` again and again over `connections` streams for `seconds`; the rate is in records. `head`: of the
    requests, which are chunked.

    Raises:
        RuntimeError: the generator failed.
    """
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(head + record)
        command = [sys.executable, "-m", "infra.bench.stream_load", file.name, str(len(head))]
        command += [str(port), str(connections), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip()}")
    return Load(**json.loads(done.stdout))


class _Tally:
    """What all connections share."""

    def __init__(self, head: bytes, record: bytes, stop: float) -> None:
        chunk = record * TOGETHER
        self.head, self.chunk = head, b"%x\r\n%s\r\n" % (len(chunk), chunk)
        self.stop = stop
        self.records = self.failures = 0
        self.latencies: list[float] = []


class _Stream(asyncio.Protocol):
    def __init__(self, tally: _Tally, done: "asyncio.Future[None]") -> None:
        self._tally, self._done = tally, done
        self._sent: deque[float] = deque()  # when each chunk was sent whose results are not all here
        self._results = 0  # of the first of those
        self._rest = b""
        self._in_answer = self._ended = False
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._transport.write(self._tally.head)
        self._write(time.perf_counter())  # also where a busy machine was too late: a request has a record at least
        self._send()

    def _send(self) -> None:
        now = time.perf_counter()
        if now >= self._tally.stop:
            if not self._ended:
                self._ended = True
                self._transport.write(_LAST)
            return
        while len(self._sent) * TOGETHER < WINDOW:
            self._write(now)

    def _write(self, now: float) -> None:
        self._sent.append(now)
        self._transport.write(self._tally.chunk)

    def data_received(self, data: bytes) -> None:
        received = self._rest + data
        if not self._in_answer:
            head = received.find(b"\r\n\r\n")
            if head < 0:
                self._rest = received
                return
            if not received.startswith(b"HTTP/1.1 200"):
                self._fail(received[:300].decode("utf-8", "replace"))
                return
            self._in_answer, received = True, received[head + 4 :]
        last = received.endswith(_LAST)
        *lines, self._rest = received.split(b"\n")
        # A line is a result, or the size of a chunk, or the empty one behind it.
        self._count(sum(line.startswith(b"{") for line in lines), sum(line.startswith(OK) for line in lines))
        if last:
            self._finish()
        else:
            self._send()

    def _count(self, results: int, good: int) -> None:
        tally, now = self._tally, time.perf_counter()
        tally.records += good
        tally.failures += results - good
        self._results += results
        while self._results >= TOGETHER:
            self._results -= TOGETHER
            tally.latencies.append(now - self._sent.popleft())

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(str(error) if error else "the server closed the connection")

    def _fail(self, why: str) -> None:
        if not self._done.done():
            self._done.set_exception(ConnectionError(why))
        self._transport.close()

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)
        self._transport.close()


async def _run(tally: _Tally, port: int, connections: int, seconds: float) -> Load:
    started = time.perf_counter()
    tally.stop = started + seconds
    await asyncio.wait_for(drive(lambda done: _Stream(tally, done), port, connections), seconds + LATE)
    elapsed = time.perf_counter() - started
    return Load(tally.records, tally.failures, elapsed, *quantiles(tally.latencies))


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description="Load streamed produce; used by the benches.")
    parser.add_argument("file", type=Path, help="holds head and record")
    parser.add_argument("head", type=int, help="how many bytes of it are the head")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    given = options.file.read_bytes()
    tally = _Tally(given[: options.head], given[options.head :], 0.0)
    made = uvloop.run(_run(tally, options.port, options.connections, options.seconds))
    print(json.dumps({name: getattr(made, name) for name in made.__slots__}))


if __name__ == "__main__":
    main()
