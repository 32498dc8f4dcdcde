"""A fleet's records in a log and in every view, all in memory and with a real journal: the good set of facts that the tests
then spoil."""

import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4
from zlib import crc32

import msgspec

from connectors.corrections import CorrectedLog
from connectors.memory import MemoryDeadLetters, MemoryKeyedStore, MemoryLog, MemoryRowStore
from connectors.memory_registry import MemoryRegistry
from connectors.ports import DeadLetter, LogReader
from infra.reconcile.reconcile import DEAD_LETTERS, Reconciliation, Report, View
from infra.simulator.content import Content
from infra.simulator.device import Device, Fields, now_micros
from infra.simulator.host import Host
from infra.simulator.journal import RECORDS, TOPICS, JournalWriter, Kind
from infra.simulator.series import SOURCES, Series, load
from projections.catalogue import OF_UPLOADS
from projections.projection import Projection, RowProjection
from schemas.codec import encode
from schemas.contract import load as load_contract
from schemas.corrections import FACT, Corrections, Entry
from schemas.json_form import RequestForm
from schemas.log import TopicPartition
from schemas.record_columns import BatchDecoder, decoder_of
from schemas.wire import prefix
from streams.limits import Limit
from streams.runner import Gap, Runner, writer
from tests.schemas.corrections import patched, skipped

PARTITIONS = 2
POISON = b"\xde\xad"
ANY_BAD_RECORDS = Limit(run=10_000, ratio=1.0, window=10_000)
CONTRACT = load_contract()
SERIES: tuple[Series, ...] = load(SOURCES[:3])
FIGURES = Host().figures()


@dataclass(frozen=True)
class Logged:
    """A record of the log, and what the device said in it."""

    kind: Kind
    source: TopicPartition
    offset: int
    device: Device
    fields: Fields

    @property
    def place(self) -> str:
        """As findings name it."""
        return f"{self.source} offset {self.offset}"


class World:
    """`fleet` fills it; what is wrong with it afterwards is the test's doing."""

    def __init__(self, folder: Path, run: str = "run") -> None:
        self.folder = folder
        self.journal = JournalWriter(folder / run, {})
        self.log = MemoryLog({**dict.fromkeys(TOPICS.values(), PARTITIONS), DEAD_LETTERS: 1})
        self.registry = MemoryRegistry()
        self.stores = {view.name: store_of(view) for view in OF_UPLOADS}
        self.letters = MemoryDeadLetters()
        self._letters_logged = 0
        self.entries: list[Entry] = []
        self._contents = {kind: Content(CONTRACT.records[name]) for kind, name in RECORDS.items()}
        self._forms = {kind: RequestForm(CONTRACT.records[name]) for kind, name in RECORDS.items()}
        for store in self.stores.values():
            store.prepare(1)

    # --- the device's and the ingress's part

    def sent(self, kind: Kind, device: Device, fields: Fields) -> None:
        self.journal.sent(kind, device.boot, fields.get("sequence", 0), [self._contents[kind].digest(fields)])

    def logged(self, kind: Kind, device: Device, fields: Fields) -> Logged:
        """Put the record into the log."""
        source = TopicPartition(TOPICS[kind], crc32(device.id.encode()) % PARTITIONS)
        offset = self.log.append(source, device.id.encode(), self.framed(kind, device, fields))
        return Logged(kind, source, offset, device, fields)

    def acknowledged(self, record: Logged) -> None:
        position = (record.fields.get("sequence", 0), record.source.partition, record.offset)
        self.journal.acknowledged(record.kind, record.device.boot, [position])

    def upload(self, kind: Kind, device: Device, fields: Fields) -> Logged:
        self.sent(kind, device, fields)
        record = self.logged(kind, device, fields)
        self.acknowledged(record)
        return record

    def framed(self, kind: Kind, device: Device, fields: Fields) -> bytes:
        """The record as the ingress would write it."""
        topic, record = CONTRACT.topics[TOPICS[kind]], CONTRACT.records[RECORDS[kind]]
        number = self.registry.register(topic.subject(record), record.schema)
        stamped = {"event_id": str(uuid4()), "device_id": device.id, "received_at": now_micros()}
        values = {**self._forms[kind].parse(msgspec.json.encode(fields)), **stamped}
        return prefix(number) + encode(record, values)

    # --- the carrier's part

    def fold(self, *names: str) -> None:
        """Bring views (all, if none is named) to the log's end, or to a gap; and letters to their topic."""
        for view in OF_UPLOADS:
            if not names or view.name in names:
                self._fold(view)
        for letter in self.letters.letters[self._letters_logged :]:
            self.log.append(TopicPartition(DEAD_LETTERS, 0), None, self._letter(letter))
        self._letters_logged = len(self.letters.letters)

    def _fold(self, view: Projection, corrected: LogReader | None = None) -> None:
        log = corrected or self.log
        runner = Runner(view, writer(view, self.stores[view.name]), self._decoders(view), ANY_BAD_RECORDS, 1, self.letters)
        bounds = log.bounds(view.topics)
        for source, position in runner.start(bounds).items():
            with suppress(Gap):
                for batch in log.read(source, max(position, bounds[source][0]), bounds[source][1]):
                    runner.handle(batch)

    def _decoders(self, view: Projection) -> dict[str, BatchDecoder]:
        return {topic: decoder_of(CONTRACT.topics[topic], self.registry.schema) for topic in view.topics}

    def _letter(self, letter: DeadLetter) -> bytes:
        topic = CONTRACT.topics[DEAD_LETTERS]
        values: Mapping[str, Any] = {
            "event_id": str(uuid4()), "view": letter.view, "topic": letter.source.topic, "set_aside_at": now_micros(),
            "partition": letter.source.partition, "offset": letter.offset, "reason": letter.reason,
            "detail": letter.detail, "key": letter.key, "value": letter.value,
        }  # fmt: skip
        return prefix(self.registry.register(topic.subject(topic.record), topic.record.schema)) + encode(
            topic.record, values
        )

    # --- the question

    def reconcile(self, wait: float = 0.0) -> Report:
        views = {view.name: View(view, self.stores[view.name]) for view in OF_UPLOADS}
        return Reconciliation(views, self.log, CONTRACT, self.registry.schema, self.folder, self.corrections).run(wait)

    # --- the operator's part

    def correct(self, record: Logged, value: bytes | None) -> None:
        """The record counts with another value, or, with None, not at all; no view has that yet."""
        batch = next(iter(self.log.read(record.source, record.offset, record.offset + 1)))
        about = (record.source, record.offset, batch.values[0])
        made = skipped(*about) if value is None else patched(*about, value)
        self.entries.append(Entry(len(self.entries), made))

    def corrections(self, until: int) -> Corrections:
        return Corrections.of(self.entries, until)

    def rebuild(self, *names: str) -> None:
        """Make views (all, if none is named) anew, under all corrections."""
        corrections = self.corrections(len(self.entries))
        for view in OF_UPLOADS:
            if not names or view.name in names:
                self.stores[view.name] = store_of(view)
                self.stores[view.name].prepare(1)
                self.stores[view.name].note(1, {FACT: str(corrections.until)})
                self._fold(view, CorrectedLog(self.log, corrections))


def store_of(view: Projection) -> Any:
    return MemoryRowStore(view.table) if isinstance(view, RowProjection) else MemoryKeyedStore()


def fleet(world: World, devices: int = 4, uploads: int = 4, seed: int = 0) -> list[Logged]:
    """Devices that registered, booted, booted again and uploaded; every record acknowledged."""
    chance = random.Random(seed)
    found = []
    for i in range(devices):
        series = SERIES[i % len(SERIES)]
        device = Device(
            f"sim-{world.folder.name}-{seed}-{i}", series, chance.randrange(len(series)), now_micros() - 10**12, 0
        )
        device.start(world.journal)
        found.append(world.upload(Kind.REGISTRATION, device, device.registration()))
        for _ in range(2):
            found.append(world.upload(Kind.HEARTBEAT, device, device.heartbeat(FIGURES)))
            for _ in range(uploads):
                fields, events = device.telemetry(chance.randint(1, 3))
                found.append(world.upload(Kind.TELEMETRY, device, fields))
                found += [world.upload(Kind.EVENT, device, event) for event in events]
            found.append(world.upload(Kind.EVENT, device, device.event("started", {"n": 1.5, "a": {"ü": None}})))
            device.start(world.journal)
    return found
