"""A ledger's surroundings without services: an authority of plain bytes, a log in memory, and commands."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.authority.port import Issued, Issuer, Refused, Revoked, Statuses
from connectors.keys import key_hash
from connectors.ports import Away
from schemas import certificate_messages as messages
from schemas.messages import Command, Event
from schemas.transparency.notes import LOG, Signer
from streams.ledger.machine import LedgerMachine
from streams.machine import Addressed, Keyed

DAY = 86_400_000_000
LIFE = 90 * DAY
START = 1_795_302_000_000_000
SPACE = UUID("00000000-0000-0000-0000-00000000f1ee")
SIGNER = Signer("fleetlog.local/ledger", LOG, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
HOLES = 3  # between two batches in the log there are other records: commit markers


class PlainAuthority:
    """Certificates are text. A CSR of `bad` is refused."""

    def __init__(self) -> None:
        self.away = False
        self.signed: list[str] = []

    def issue(self, command: messages.IssueCertificate, trusted: Collection[str] | None = None) -> Issued:
        if self.away:
            raise Away("the authority is away")
        if command.csr == b"bad":
            raise Refused("BAD_CSR", "its signature is bad")
        serial = hashlib.sha256(command.command_id.encode()).hexdigest()[:32].lstrip("0")
        self.signed.append(serial)
        server = command.key_mode == "server"
        hashed = hashlib.sha256(b"server" + command.command_id.encode()).digest() if server else key_hash(command.public_key)
        issuer = self.authorities()[0]
        times = (command.issued_at, command.issued_at + LIFE)
        body = b"certificate " + serial.encode()
        sealed = b"sealed" if server else None
        return Issued(body, (issuer.certificate,), serial, *times, "EC P-256", hashed, issuer.key_id, sealed)

    def authorities(self) -> Sequence[Issuer]:
        return [self.check_issuer(b"issuer")]

    def check_issuer(self, certificate: bytes) -> Issuer:
        if certificate == b"foreign":
            raise Refused("BAD_CSR", "the root does not vouch for it")
        return Issuer(hashlib.sha256(certificate).hexdigest()[:40], START, START + 10 * LIFE, certificate)

    def crl(self, key_id: str, revoked: Iterable[Revoked], now: int) -> bytes:
        raise KeyError(key_id)

    def delta(self, key_id: str, revoked: Iterable[Revoked], now: int) -> bytes:
        raise KeyError(key_id)

    def ocsp(self, request: bytes, status: Statuses, now: int) -> bytes:
        raise Away("no answers here")


@dataclass
class World:
    """A machine and what it has written. Time goes on by a second with each command."""

    authority: PlainAuthority = field(default_factory=PlainAuthority)
    now: int = START
    log: dict[int, Event] = field(default_factory=dict)
    sent: list[Addressed] = field(default_factory=list)
    end: int = 0
    commands: int = 0
    snapshot: tuple[bytes, int] | None = None

    def __post_init__(self) -> None:
        self.machine = self.new()

    def new(self, remembered: int = 100_000) -> LedgerMachine:
        def recall(first: int, last: int) -> Sequence[Event]:
            return [event for offset, event in self.log.items() if first <= offset <= last]

        return LedgerMachine(self.authority, SIGNER.checkpoint, recall, remembered)

    def names(self) -> dict[str, object]:
        self.commands += 1
        self.now += 1_000_000
        identity = str(uuid5(SPACE, str(self.commands)))
        return {"command_id": identity, "correlation_id": identity, "actor": "test", "issued_at": self.now}

    def issue(self, device: int, key: int, session: int | None = None, **changes: object) -> messages.IssueCertificate:
        usual: dict[str, object] = {
            "hardware_id": f"SN-{device}",
            "device_id": f"dev-{device}",
            "session_id": str(uuid5(SPACE, f"session {self.commands if session is None else -1 - session}")),
            "purpose": "registration",
            "previous_serial": None,
            "public_key": b"key %d" % key,
            "key_mode": "csr",
            "csr": b"csr",
            "owner": f"owner-{device % 2}",
            "model": "cam",
        }
        return messages.IssueCertificate(**{**self.names(), **usual, **changes})

    def revoke(self, serial: str, reason: str = "key_compromise") -> messages.RevokeCertificate:
        return messages.RevokeCertificate(**self.names(), serial=serial, reason=reason, detail=None)

    def run(self, *commands: Command) -> list[Event]:
        """Decide and commit; returns the events."""
        records = self.machine.work([Keyed("ledger", command) for command in commands])
        return self.commit(records)

    def commit(self, records: list[Addressed]) -> list[Event]:
        offsets = []
        events = []
        for place, record in enumerate(records):
            offsets.append(self.end + place)
            if isinstance(record.message, Event):
                self.log[self.end + place] = record.message
                events.append(record.message)
        self.end += len(records) + HOLES
        self.sent.extend(record for record in records if isinstance(record.message, Command))
        self.machine.keep(offsets)
        return events

    def restart(self) -> None:
        """Another machine, from the snapshot and the log's tail."""
        self.machine = self.new()
        start = 0
        if self.snapshot is not None:
            data, start = self.snapshot
            self.machine.restore(data)
        for offset, event in self.log.items():
            if offset >= start:
                self.machine.fold("ledger", event, offset)

    def take_snapshot(self) -> None:
        self.snapshot = self.machine.snapshot(), self.end
