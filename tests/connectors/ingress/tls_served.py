"""An ingress in this process with its three listeners, whose ledger, Redis and log a test tells what to do."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from connectors.guards import Quota
from connectors.http.listener import Listener
from connectors.http.peer import DATA, REGISTRATION
from connectors.http.server import listen
from connectors.http.tls import ServerTls, TlsFiles
from connectors.ingress.access import Access
from connectors.ingress.guard_options import GuardOptions, Guards
from connectors.ingress.ingress import Ingress
from connectors.ingress.presented import proxies
from connectors.memory_guards import MemoryGuards
from connectors.signing_keys import SigningKeys
from schemas.codec import Decoder
from schemas.wire import PREFIX_BYTES
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.served import CONTRACT, EVERYTHING, KEY, Around, Served, new_log, options, serving_with
from tests.connectors.ingress.tls_world import Authority, Held, TlsClient

SECURITY = "fleet.security-events"


@dataclass
class World:
    """What lies around an ingress, and outlives it."""

    folder: Path
    authority: Authority = field(default_factory=Authority)
    memory: MemoryGuards = field(default_factory=MemoryGuards)
    keys: SigningKeys = field(default_factory=SigningKeys)

    def __post_init__(self) -> None:
        (self.folder / "server.pem").write_bytes(self.authority.server().pem())
        (self.folder / "trust.pem").write_bytes(self.authority.pem())

    def files(self, trust: bool = True, minimum: str = "1.3") -> TlsFiles:
        server = self.folder / "server.pem"
        return TlsFiles(server, server, self.folder / "trust.pem" if trust else None, minimum)

    def enrolled(self, device_id: str, **changes: Any) -> Held:
        """A device whose certificate the ledger shows."""
        held = self.authority.device(device_id)
        self.enter(held, device_id, **changes)
        return held

    def enter(self, held: Held, device_id: str, **changes: Any) -> None:
        self.memory.certificates[held.serial] = held.record(device_id, **changes)


@dataclass
class Secured:
    """A running ingress with its listeners."""

    world: World
    served: Served
    ports: Mapping[str, int]

    def client(self, held: Held | None = None, listener: str = DATA, **changes: Any) -> TlsClient:
        return TlsClient(self.ports[listener], self.world.authority.pem(), self.world.folder, held, **changes)

    def seen(self) -> list[dict[str, Any]]:
        """The security events that were written, oldest first."""
        decoder = Decoder(CONTRACT.topics[SECURITY].record.schema, CONTRACT.topics[SECURITY].record.schema)
        sent = [one for one in self.served.producer.sent if one.topic == SECURITY]
        return [{"key": one.key, **decoder.decode((one.value or b"")[PREFIX_BYTES:])} for one in sent]

    def kinds(self) -> list[str]:
        return [str(event["kind"]) for event in self.seen()]


@contextmanager
def securing(
    world: World,
    trusted: str = "",
    quotas: Mapping[str, Quota] | None = None,
    minimum: str = "1.3",
    grace: float = 30.0,
    handshake_seconds: float = 5.0,
) -> Iterator[Secured]:
    """An ingress on the world; no limits unless `quotas` are given."""
    guarding = GuardOptions(proxies(trusted), quotas or {}, grace=grace)
    bound = {name: listen("127.0.0.1", 0) for name in (REGISTRATION, DATA)}
    ports = {name: opened.getsockname()[1] for name, opened in bound.items()}

    def listeners(ingress: Ingress) -> Sequence[Listener]:
        return [
            Listener(
                opened,
                ingress.applications[name].answer,
                ServerTls(world.files(name == DATA, minimum)),
                ingress.entrances.handshake_failed(name),
                handshake_seconds,
                most_handshakes=20,
            )
            for name, opened in bound.items()
        ]

    guards = Guards(world.memory, world.memory, world.memory, world.keys)
    with tempfile.TemporaryDirectory() as folder:
        limits = options(Path(folder), guarding=guarding)
        access = Access(KEY, EVERYTHING, CONTRACT)
        around = Around(new_log(), FakeRegistry(), access, guards, listeners, uvloop.run)
        with serving_with(limits, around) as served:
            yield Secured(world, served, ports)
