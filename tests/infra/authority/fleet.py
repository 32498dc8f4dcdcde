"""Devices' side of the ledger in tests on a real stack: keys, CSRs, commands written, certificates awaited."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import uuid4

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from connectors import keys
from connectors.command_writer import CommandWriter
from connectors.kafka_log import KafkaLog
from connectors.ledger_http.api import ShownEntry
from infra import compose, deciders
from infra.settings import Settings
from schemas import contract as contracts
from schemas.certificate_messages import IssueCertificate, RevokeCertificate
from schemas.messages import Command, Message
from schemas.transparency.notes import Head, NoteKey, opened, parse_key
from streams.ledger.machine import COMMANDS, EVENTS, KEY, REGISTRATION

PATIENCE = 60.0  # two seconds are usual
M = TypeVar("M", bound=Message)


def csr(key: ec.EllipticCurvePrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@dataclass
class Fleet:
    """Writes commands to the ledger of a stack, and reads what came of them."""

    settings: Settings
    keys: dict[int, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        contract, registry = contracts.load(), compose.registry(self.settings)
        self.codecs = deciders.codecs(contract, registry, (COMMANDS, EVENTS, REGISTRATION))
        self.writer = CommandWriter(self.settings.kafka, self.codecs)
        self.http = httpx.Client(base_url=self.settings.authority, timeout=10.0)

    def names(self) -> dict[str, object]:
        identity = str(uuid4())
        return {
            "command_id": identity,
            "correlation_id": identity,
            "actor": "test",
            "issued_at": time.time_ns() // 1000,
        }

    def issue(self, device: int, **changes: object) -> IssueCertificate:
        key = self.keys.setdefault(device, ec.generate_private_key(ec.SECP256R1()))
        usual: dict[str, object] = {
            "hardware_id": f"SN-{device}",
            "device_id": f"dev-{device}",
            "session_id": str(uuid4()),
            "purpose": "registration",
            "previous_serial": None,
            "public_key": keys.der(key.public_key()),
            "key_mode": "csr",
            "csr": csr(key),
            "owner": "alice",
            "model": "cam",
        }
        return IssueCertificate(**{**self.names(), **usual, **changes})

    def revoke(self, serial: str) -> RevokeCertificate:
        return RevokeCertificate(**self.names(), serial=serial, reason="key_compromise", detail=None)

    def send(self, *commands: Command) -> None:
        for command in commands:
            self.writer.write(COMMANDS, KEY, command)

    def messages(self, topic: str) -> list[tuple[int, Message]]:
        """All committed messages of a topic."""
        log = KafkaLog(self.settings.kafka)
        try:
            found = []
            for source, (first, end) in log.bounds([topic]).items():
                for batch in log.read(source, first, end):
                    for offset, value in zip(batch.offsets, batch.values, strict=True):
                        message = self.codecs[topic].decode(value)
                        assert message is not None
                        found.append((offset, message))
            return found
        finally:
            log.close()

    def wait_for(self, topic: str, count: int, kind: type[M], which: Callable[[M], bool] = lambda _: True) -> list[M]:
        """The messages of a type, those that `which` chooses, as soon as there are so many."""
        until = time.monotonic() + PATIENCE
        while True:
            found = [message for _, message in self.messages(topic) if isinstance(message, kind) and which(message)]
            if len(found) >= count:
                return found
            assert time.monotonic() < until, f"{len(found)} of {count} {kind.__name__}"
            time.sleep(0.05)

    @property
    def key(self) -> NoteKey:
        return parse_key(self.http.get("/health").json()["key"])

    def head(self, size: int = 0) -> Head:
        """The shown head, as soon as it has so many leaves."""
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.http.get("/ledger/checkpoint")
            if answer.status_code == 200:
                head = opened(answer.text, self.key)
                if head.size >= size:
                    return head
            assert time.monotonic() < until, answer.text
            time.sleep(0.05)

    def entry(self, serial: str) -> dict[str, object]:
        answer = self.http.get("/ledger/entry", params={"serial": serial})
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        assert found.keys() == set(ShownEntry.__struct_fields__)
        return found
