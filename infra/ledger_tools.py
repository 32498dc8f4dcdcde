"""What `fleetlog ledger` does: the ledger read from the log, and the certificates that are in use."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from connectors.ledger_client import LedgerClient
from connectors.ports import LogReader
from infra import compose, deciders
from infra.settings import Settings
from schemas import contract as contracts
from schemas.log import TopicPartition
from schemas.messages import Event, Messages
from schemas.registration_events import CertificateRecorded, CertificateWithdrawn, DeviceReset
from schemas.transparency.notes import NoteKey
from streams.ledger.audit import InUse
from streams.ledger.machine import EVENTS
from streams.ledger.verification import Replay, replay

REGISTRATIONS = "fleet.registration.events"
SETTLE_SECONDS = 5.0  # for the server to come to the log's end


def _codec(settings: Settings, topic: str) -> Messages:
    return deciders.codecs(contracts.load(), compose.registry(settings), (topic,))[topic]


def events(log: LogReader, source: TopicPartition, codec: Messages) -> Iterator[tuple[int, Event]]:
    """All events of a partition with their offsets.

    Raises:
        Away: the broker or the registry does not answer.
    """
    first, stop = log.bounds([source.topic])[source]
    for batch in log.read(source, first, stop):
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            message = codec.decode(value)
            if isinstance(message, Event):
                yield offset, message


def read_ledger(settings: Settings, key: NoteKey) -> Replay:
    """The whole ledger, replayed from the log."""
    log = compose.log_reader(settings)
    try:
        return replay(events(log, TopicPartition(EVENTS, 0), _codec(settings, EVENTS)), key)
    finally:
        log.close()


def verify(settings: Settings, key: NoteKey, ledger: str, witness: str | None) -> Replay:
    """The log against itself, against what the server at `ledger` shows (empty: against none) and against a witness."""
    client = LedgerClient(ledger) if ledger else None
    before = client.checkpoint() if client else ""
    witnessed = LedgerClient(witness).checkpoint() if witness else ""
    found = read_ledger(settings, key)
    for checkpoint, whose in ((before, "the served checkpoint"), (witnessed, "the witness's checkpoint")):
        told = found.compare(checkpoint, whose) if checkpoint else None
        if told is not None and told.size > found.state.tree.size:
            found.fault(f"{whose} is of {told.size} leaves, the log holds {found.state.tree.size}")
    if client and found.head is not None:
        _settled(found, client, found.head.tree_size)
    return found


def _settled(found: Replay, client: LedgerClient, size: int) -> None:
    """The server comes to show what the log holds; one that has rolled back does not."""
    until = time.monotonic() + SETTLE_SECONDS
    while (told := Replay(found.key).compare(client.checkpoint(), "")) is not None and told.size < size:
        if time.monotonic() > until:
            found.fault(
                f"the served checkpoint is of {told.size} leaves, the log holds {size}: rolled back, or not followed"
            )
            return
        time.sleep(0.1)


def in_files(paths: Iterable[Path]) -> Iterator[InUse]:
    """The certificates in files (PEM, any number; or DER) and in all *.pem, *.crt, *.cer, *.der below folders. Authorities'
    own certificates are passed over.

    Raises:
        OSError: a file can't be read.
    """
    for path in paths:
        if path.is_dir():
            suffixes = (".pem", ".crt", ".cer", ".der")
            yield from in_files(sorted(file for file in path.rglob("*") if file.suffix in suffixes and file.is_file()))
            continue
        data = path.read_bytes()
        if b"-----BEGIN" not in data:
            yield InUse(str(path), None, data)
            continue
        if b"-----BEGIN CERTIFICATE-----" in data:
            for certificate in x509.load_pem_x509_certificates(data):
                if not _is_authority(certificate):
                    yield InUse(str(path), None, certificate.public_bytes(Encoding.DER))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def registered(settings: Settings) -> list[InUse]:
    """The certificates that devices use by the log of registrations: each device's newest, if it was not withdrawn."""
    log = compose.log_reader(settings)
    codec = _codec(settings, REGISTRATIONS)
    held: dict[str, tuple[str, InUse]] = {}
    try:
        for source in sorted(log.bounds([REGISTRATIONS])):
            for _, event in events(log, source, codec):
                if isinstance(event, CertificateRecorded):
                    used = InUse(f"device {event.device_id}", event.device_id, event.certificate)
                    held[event.hardware_id] = event.serial, used
                elif isinstance(event, CertificateWithdrawn):
                    if held.get(event.hardware_id, ("",))[0] == event.serial:
                        del held[event.hardware_id]
                elif isinstance(event, DeviceReset):
                    held.pop(event.hardware_id, None)
    finally:
        log.close()
    return [used for _, used in held.values()]
