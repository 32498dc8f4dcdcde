"""An ingress in this process, over real HTTP, on a producer and a registry that a test tells what to do."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from confluent_kafka import KafkaError

from connectors.ingress.ingress import Ingress
from connectors.ingress.options import Options
from connectors.ingress.server import Server, listen
from connectors.memory import MemoryLog
from connectors.ports import Away, UnknownSchema
from schemas.contract import load
from schemas.log import TopicPartition
from tests.connectors.ingress.fake_cluster import FakeCluster

KEY = "a-key-of-tests-0123456789"
CONTRACT = load()
PARTITIONS = 6


@dataclass
class Sent:
    """A record that was handed to the producer."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    partition: int


@dataclass
class Report:
    """Stands for librdkafka's message in a delivery report."""

    _partition: int
    _offset: int

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset


class FakeProducer:
    """Port Producer. `away` refuses records, `hold` keeps reports back until `release`, `error_of` decides on each."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.away = ""
        self.hold = False
        self.error_of: Callable[[Sent], KafkaError | None] = lambda sent: None
        self.too_large = 1_000_000_000
        self.most_queued = 1_000_000
        self.sent: list[Sent] = []
        closed = ("_schemas", "__consumer_offsets", "kafkasql-journal", "registry-events")
        self.topics = dict.fromkeys([*CONTRACT.topics, "free", "hidden", *closed], PARTITIONS)
        self._held: list[Callable[[], None]] = []

    @property
    def queued(self) -> int:
        return len(self._held)

    @property
    def queued_bytes(self) -> int:
        return 0

    async def partitions(self, topic: str) -> int | None:
        if self.away:
            raise Away(self.away)
        return self.topics.get(topic)

    async def listed(self) -> Iterable[str]:
        if self.away:
            raise Away(self.away)
        return self.topics

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        done: Callable[..., None],
        partition: int = -1,
    ) -> None:
        if self.away:
            raise Away(self.away)
        if len(self._held) >= self.most_queued:
            raise Away("the queue of records to write is full")
        if len(value or b"") > self.too_large:
            raise ValueError("the record is too large")
        sent = Sent(topic, key, value, headers, partition)
        self.sent.append(sent)
        if self.hold:
            self._held.append(lambda: self._report(sent, done))
        else:
            asyncio.get_running_loop().call_soon(self._report, sent, done)

    def release(self) -> None:
        """From the server's loop: report all that is held."""
        held, self._held = self._held, []
        for report in held:
            report()

    def _report(self, sent: Sent, done: Callable[..., None]) -> None:
        error = self.error_of(sent)
        if error is not None:
            done(error, Report(0, -1001))
            return
        partition = max(sent.partition, 0)
        done(None, Report(partition, self.log.append(TopicPartition(sent.topic, partition), sent.key, sent.value)))


class FakeRegistry:
    """Port SchemaRegistry."""

    def __init__(self) -> None:
        self.away = False
        self.schemas: list[Mapping[str, Any]] = []

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        self._answer()
        if schema not in self.schemas:
            self.schemas.append(schema)
        return self.schemas.index(schema) + 1

    def schema(self, schema_id: int) -> dict[str, Any]:
        self._answer()
        if not 1 <= schema_id <= len(self.schemas):
            raise UnknownSchema(f"the registry has no schema {schema_id}")
        return dict(self.schemas[schema_id - 1])

    def _answer(self) -> None:
        if self.away:
            raise Away("the registry was told to be away")


@dataclass
class Served:
    """A running ingress. `call` runs something on its event loop."""

    port: int
    producer: FakeProducer
    registry: FakeRegistry
    cluster: FakeCluster
    ingress: Ingress
    server: Server
    loop: asyncio.AbstractEventLoop
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers={"X-API-Key": KEY}, timeout=20)

    def call(self, function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """`body` as JSON, or as it is if it is bytes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            return self.client.post(path, content=body, headers={"Content-Type": "application/json", **named})
        return self.client.post(path, json=body, headers=named)

    def metric(self, name: str) -> float:
        """The sum over all labels of a metric whose sample line starts with `name`."""
        lines = self.client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def options(state_dir: Path, **changes: Any) -> Options:
    """The limits of a test's ingress: the defaults, with short times, and all topics open that may be."""
    made = Options(
        host="127.0.0.1",
        port=0,
        api_key=KEY,
        state_dir=state_dir,
        request_deadline=5.0,
        max_body_bytes=10_000_000,
        max_records=10_000,
        max_depth=32,
        max_gzip_ratio=100.0,
        idempotency_records=10_000,
        heartbeat_interval=60.0,
        open_topics=("*",),
    )
    return replace(made, **changes)


def _wait_for(port: int) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.01)
        else:
            return


@contextmanager
def serving(
    limits: Options, log: MemoryLog | None = None, registry: FakeRegistry | None = None, ready: bool = True
) -> Iterator[Served]:
    """An ingress on a free port, in a thread of its own; `log` is what was written before."""
    log = log or MemoryLog(dict.fromkeys([*CONTRACT.topics, "free"], PARTITIONS))
    producer, registry = FakeProducer(log), registry or FakeRegistry()
    cluster = FakeCluster(producer.topics, log, CONTRACT)
    bound = listen("127.0.0.1", 0)
    begun: list[Served] = []
    started = threading.Event()

    async def main() -> None:
        ingress = Ingress(limits, CONTRACT, producer, registry, lambda: log, cluster)
        server = Server(limits, ingress.application.answer)
        loop = asyncio.get_running_loop()
        begun.append(Served(bound.getsockname()[1], producer, registry, cluster, ingress, server, loop))
        preparing = asyncio.create_task(ingress.prepare())
        if ready:
            await preparing
        started.set()
        await server.serve(bound)
        preparing.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    with patch("connectors.ingress.recovery.SETTLE_SECONDS", 0.01):  # nothing else writes to the log
        thread.start()
        assert started.wait(20)
    (served,) = begun
    _wait_for(served.port)
    try:
        yield served
    finally:
        served.client.close()
        served.loop.call_soon_threadsafe(served.server.stop, True)
        thread.join(20)
        assert not thread.is_alive()
