"""An ingress in this process with the real deciders behind it, on a log in memory; devices with real keys."""

import asyncio
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from connectors.authority.port import Issued
from connectors.http.app import HttpApp
from connectors.http.peer import PLAIN, DeviceIdentity
from connectors.http.request import Fault, Request, Route
from connectors.http.server import Server, listen
from connectors.ingress.access import Access, Principal
from connectors.ingress.ingress import Ingress
from connectors.ingress.outside import Outside
from connectors.keys import key_hash
from connectors.memory import MemoryLog
from connectors.memory_pages import MemoryPages
from connectors.memory_tail import MemoryTail
from connectors.registration.asked import LEDGER_COMMANDS, LEDGER_EVENTS, REGISTRATION_EVENTS, TOPICS
from connectors.registration.options import RegistrationOptions, RegistrationPorts
from schemas.certificate_messages import IssueCertificate
from schemas.log import TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages
from streams.aggregate_decider import aggregate_decider, recall
from streams.decider import Decider
from streams.ledger.machine import LedgerMachine
from streams.registration.definition import REGISTRATION
from tests.connectors.ingress.fake_cluster import FakeCluster
from tests.connectors.ingress.fake_traces import FakeTraces
from tests.connectors.ingress.fakes import FakeProducer, FakeRegistry
from tests.connectors.ingress.served import (
    CONTRACT,
    EVERYTHING,
    KEY,
    PARTITIONS,
    Served,
    _stop,
    _wait_for,
    options,
    principal,
)
from tests.connectors.registration.log_lookups import LogLookups
from tests.streams.decider_harness import Harness
from tests.streams.ledger.world import SIGNER, PlainAuthority
from tests.streams.registration.keyring import certificate, key

PEPPER = bytes(range(32))
BASE_URL = "https://localhost:8444"
OTHERS = (
    principal("alice", fleet="user"),
    principal("bob", fleet="user"),
    principal("carol", fleet="admin"),
    principal("station", write=("weather",)),
)
ONE = dict.fromkeys(TOPICS, 1)  # as a fake producer knows no partition but the first


class SharedLog(MemoryLog):
    """Written to by the ingress and by deciders."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        super().__init__(partitions)
        self.lock = threading.RLock()

    def append(self, source: TopicPartition, key: bytes | None, value: bytes | None, offset: int | None = None) -> int:
        with self.lock:
            return super().append(source, key, value, offset)


class Signing(PlainAuthority):
    """Makes a real certificate where a decider reads it: of a key that the server makes."""

    def issue(self, command: IssueCertificate, trusted: Collection[str] | None = None) -> Issued:
        made = super().issue(command, trusted)
        if command.key_mode == "csr":
            return made
        own = key("ec", len(self.signed) + 1_000_000)
        return made._replace(certificate=certificate(own), key_hash=key_hash(own.public))


class Claimed:
    """A guard that believes who a request says it is from: `x-test-device: DEVICE SERIAL`."""

    async def identify(self, request: Request, route: Route) -> None:
        given = request.headers.get(b"x-test-device")
        if given is not None and not route.public:
            device, _, serial = given.decode().partition(" ")
            if request.arguments and "{id}" in route.path and request.arguments[0] != device:
                raise Fault(403, "NOT_OWNER", "the path is of another device")
            request.identity = DeviceIdentity(device, serial, 0, b"", b"", "certificate")
            request.caller = f"device:{device}"

    async def count(self, request: Request, route: Route) -> None:
        """Nothing is limited."""


@dataclass
class World:
    """`served`: the ingress; `harness`: the deciders; `authority` signs."""

    served: Served
    harness: Harness
    authority: PlainAuthority

    def events(self, topic: str = REGISTRATION_EVENTS) -> list[Any]:
        return [record.message for record in self.harness.records(topic)]

    def names(self, topic: str = REGISTRATION_EVENTS) -> list[str]:
        return [type(message).__name__ for message in self.events(topic)]


@contextmanager
def world(directory: Path, decided: bool = True, **changes: Any) -> Iterator[World]:
    """`decided`: there are deciders; `changes` of the ingress's limits."""
    registry, authority = FakeRegistry(), Signing()
    log = SharedLog({topic: ONE.get(topic, PARTITIONS) for topic in CONTRACT.topics})
    codecs = {
        name: Messages(CONTRACT.topics[name], message_types(CONTRACT.topics[name]), registry.register, registry.schema)
        for name in TOPICS
    }
    harness = Harness(codecs, {})
    harness.log, harness.lock = log, log.lock  # type: ignore[assignment]
    harness.add(aggregate_decider(REGISTRATION, log, codecs[REGISTRATION_EVENTS]))
    harness.add(ledger(log, codecs[LEDGER_EVENTS], authority))
    own = {name: changes.pop(name) for name in ("most_rows", "most_waiting") if name in changes}
    made = RegistrationOptions(pepper=PEPPER, base_url=BASE_URL, **own)
    limits = options(directory, registration=made, **changes)
    with running(limits, log, registry, codecs) as served:
        if not decided:
            yield World(served, harness, authority)
            return
        with harness.running():
            yield World(served, harness, authority)


def ledger(log: MemoryLog, codec: Messages, authority: PlainAuthority) -> Decider:
    def make(partition: int) -> LedgerMachine:
        read = partial(recall, log, codec, TopicPartition(LEDGER_EVENTS, partition))
        return LedgerMachine(authority, SIGNER.checkpoint, read)

    return Decider("ledger", LEDGER_COMMANDS, LEDGER_EVENTS, make)


@contextmanager
def running(limits: Any, log: SharedLog, registry: FakeRegistry, codecs: Mapping[str, Messages]) -> Iterator[Served]:
    """The ingress in a thread of its own."""
    producer = FakeProducer(log, CONTRACT.topics, PARTITIONS)
    cluster, pages = FakeCluster(producer.topics, log, CONTRACT), MemoryPages(log)
    tail = MemoryTail(log)
    ports = RegistrationPorts(tail, LogLookups(log, codecs[REGISTRATION_EVENTS]))
    bound, started = listen("127.0.0.1", 0), threading.Event()
    begun: list[Served] = []

    async def main() -> None:
        by_key: dict[str, Principal] = {one.key_digest: one for one in OTHERS}
        access = Access(KEY, EVERYTHING, CONTRACT, lambda: by_key)
        outside = Outside(producer, registry, cluster, lambda: log, pages, lambda: FakeTraces(log), registration=ports)
        ingress = Ingress(limits, CONTRACT, access, outside)
        app = HttpApp("ingress", ingress.routes, access.caller, ingress.bodies, ingress.metrics.answered)
        server = Server(limits, app.on(PLAIN, Claimed()).answer)
        loop = asyncio.get_running_loop()
        begun.append(Served(bound.getsockname()[1], producer, registry, cluster, pages, ingress, server, loop))
        preparing = asyncio.create_task(ingress.prepare())
        while tail.away:
            await asyncio.sleep(0.01)
        started.set()
        await server.serve(bound)
        preparing.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert started.wait(20)
    (served,) = begun
    _wait_for(served.port)
    try:
        yield served
    finally:
        _stop(served, thread)
        tail.close()
