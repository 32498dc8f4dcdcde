"""An ingress in this process, over real HTTP, on a producer and a registry that a test tells what to do."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from connectors.alerting.port import AlertingDesk
from connectors.as_of import AsOfReader
from connectors.http.listener import Listener
from connectors.http.server import Server, listen
from connectors.ingress.access import Access, Principal, Rights
from connectors.ingress.guard_options import Guards, in_memory
from connectors.ingress.ingress import Ingress
from connectors.ingress.options import Options
from connectors.ingress.outside import Outside
from connectors.memory import MemoryLog
from connectors.memory_pages import MemoryPages
from schemas.contract import load
from tests.connectors.ingress.fake_cluster import FakeCluster
from tests.connectors.ingress.fake_traces import TracedLog
from tests.connectors.ingress.fakes import FakeProducer, FakeRegistry

KEY = "a-key-of-tests-0123456789"
CONTRACT = load()
PARTITIONS = 6
EVERYTHING = Rights(write=("*",), manage=("*",), fleet="admin")


@dataclass
class Served:
    """A running ingress. `call` runs something on its event loop."""

    port: int
    producer: FakeProducer
    registry: FakeRegistry
    cluster: FakeCluster
    pages: MemoryPages
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
        state_dir=state_dir,
        request_deadline=5.0,
        max_body_bytes=10_000_000,
        max_records=10_000,
        max_depth=32,
        max_gzip_ratio=100.0,
        idempotency_records=10_000,
        heartbeat_interval=60.0,
    )
    return replace(made, **changes)


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.01)
        else:
            return


def principal(name: str, **rights: Any) -> Principal:
    """A principal whose key is `key_of(name)`."""
    return Principal(name, sha256(key_of(name).encode()).hexdigest(), Rights(**rights))


def key_of(name: str) -> str:
    return f"a-key-of-{name}-0123456789"


@dataclass
class Around:
    """What an ingress is put between; `listeners` makes those over TLS, `run` runs its event loop."""

    log: MemoryLog
    registry: FakeRegistry
    access: Access
    guards: Guards = field(default_factory=in_memory)
    listeners: Callable[[Ingress], Sequence[Listener]] = lambda ingress: ()
    run: Callable[[Any], None] = asyncio.run
    as_of: AsOfReader | None = None
    alerting: AlertingDesk | None = None


@contextmanager
def serving(
    limits: Options,
    log: MemoryLog | None = None,
    registry: FakeRegistry | None = None,
    ready: bool = True,
    owner: Rights = EVERYTHING,
    others: Sequence[Principal] = (),
) -> Iterator[Served]:
    """An ingress on a free port, in a thread of its own; `log` is what was written before; `owner`: what KEY may do."""
    access = Access(KEY, owner, CONTRACT, lambda: {one.key_digest: one for one in others})
    with serving_with(limits, Around(log or new_log(), registry or FakeRegistry(), access), ready) as served:
        yield served


def new_log() -> TracedLog:
    return TracedLog(dict.fromkeys([*CONTRACT.topics, "free"], PARTITIONS))


@contextmanager
def serving_with(limits: Options, around: Around, ready: bool = True) -> Iterator[Served]:
    """An ingress between other things than the usual."""
    log, registry = around.log, around.registry
    producer = FakeProducer(log, CONTRACT.topics, PARTITIONS)
    cluster, pages = FakeCluster(producer.topics, log, CONTRACT), MemoryPages(log)
    bound = listen("127.0.0.1", 0)
    begun: list[Served] = []
    started = threading.Event()

    async def main() -> None:
        asked = around.guards, None, around.as_of, around.alerting
        ports = Outside(producer, registry, cluster, lambda: log, pages, lambda: producer.traces, *asked)
        ingress = Ingress(limits, CONTRACT, around.access, ports)
        server = Server(limits, ingress.application.answer)
        ingress.ends_with(lambda: server.stopping)
        loop = asyncio.get_running_loop()
        begun.append(Served(bound.getsockname()[1], producer, registry, cluster, pages, ingress, server, loop))
        preparing = asyncio.create_task(ingress.prepare())
        await asyncio.wait([preparing], timeout=None if ready else 0)
        started.set()
        await server.serve(bound, around.listeners(ingress))
        preparing.cancel()

    thread = threading.Thread(target=lambda: around.run(main()))
    with patch("connectors.ingress.recovery.SETTLE_SECONDS", 0.01):  # nothing else writes to the log
        thread.start()
        assert started.wait(60)
    (served,) = begun
    _wait_for(served.port)
    try:
        yield served
    finally:
        _stop(served, thread)


def _stop(served: Served, thread: threading.Thread) -> None:
    served.client.close()
    with suppress(RuntimeError):  # it has stopped by itself
        served.loop.call_soon_threadsafe(served.server.stop, True)
    thread.join(20)
    assert not thread.is_alive()
