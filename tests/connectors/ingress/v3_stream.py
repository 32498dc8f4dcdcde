"""A client of Kafka-REST v3 that sends records in chunks over a raw socket, and reads results when it is told to."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.connectors.ingress.fake_cluster import CLUSTER
from tests.connectors.ingress.served import KEY, Served

PATH = f"/v3/clusters/{CLUSTER}/topics/free/records"
END = b"0\r\n\r\n"


class Stream:
    """One request that is sent in chunks; `results` gives what came back of it."""

    def __init__(self, connection: socket.socket, headers: str = "", key: str = KEY) -> None:
        self.connection = connection
        self._received = b""
        self._length: int | None = None  # of an answer that came in one piece
        head = f"POST {PATH} HTTP/1.1\r\nhost: test\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n{headers}"
        self.raw(head.encode() + b"transfer-encoding: chunked\r\n\r\n")

    def raw(self, content: bytes) -> None:
        self.connection.sendall(content)

    def send(self, content: bytes) -> None:
        self.raw(b"%x\r\n%s\r\n" % (len(content), content))

    def results(self, count: int) -> list[Any]:
        """The next results, at least so many unless the answer ends before."""
        while True:
            lines = [line for line in self._received.split(b"\n") if line.startswith(b"{") and line.endswith(b"}")]
            if len(lines) >= count or self.ended:
                self._received = self._received.rpartition(b"\n")[2] if not self.ended else END
                return [json.loads(line) for line in lines]
            part = self.connection.recv(1_000_000)
            assert part, self._received
            self._received += part
            whole = re.search(rb"content-length: (\d+)\r\n", self._received)
            if whole is not None:
                self._length = int(whole[1])

    @property
    def ended(self) -> bool:
        if self._length is not None and len(self._received.partition(b"\r\n\r\n")[2]) >= self._length:
            return True
        return self._received == END or self._received.endswith(b"\n" + END)  # a correlation id may end with 0

    def rest(self) -> list[Any]:
        """The results up to the answer's end."""
        found = []
        while not self.ended:
            found += self.results(1)
        return found

    def close(self) -> list[Any]:
        """End the request; the results that were not taken yet."""
        self.raw(END)
        return self.rest()


@contextmanager
def streaming(served: Served, headers: str = "") -> Iterator[Stream]:
    with socket.create_connection(("127.0.0.1", served.port), 20) as connection:
        yield Stream(connection, headers)


def record(number: int) -> bytes:
    return b'{"value":{"type":"JSON","data":%d}}' % number


def codes(results: list[Any]) -> list[int]:
    return [one["error_code"] for one in results]


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)
