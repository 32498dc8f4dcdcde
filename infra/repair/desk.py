"""What the commands of repair work with: the log as it lies, the registry, the letters and the corrections."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from connectors.corrections import end_of_corrections, entries
from infra import compose
from infra.settings import Settings
from projections.catalogue import CATALOGUE
from schemas import contract as contracts
from schemas.avro_reader import BadSchema
from schemas.contract import RecordType, Topic
from schemas.corrections import Corrections, Entry, corrected, made_with
from schemas.partial import Partly, decoded_as_far_as_possible
from schemas.places import Place
from schemas.record_columns import BatchDecoder, decoder_of
from schemas.wire import PREFIX_BYTES, NotFramed, UnknownSchema, schema_id
from streams.letters import LETTERS_TOPIC, Letter, listed, of_record, with_states


class UnknownPlace(ValueError):
    """The log holds no record there; the message says what it holds instead."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it lies in the log."""

    place: Place
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a value says: schema id, the subject and its version, the record type, and the values as far as they go."""

    schema_id: int | None
    subject: str | None
    version: int | None
    record_type: str | None
    partly: Partly


class Desk:
    """Opened by a command, closed at its end. What it asks may raise Away."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.contract = contracts.load()
        self.registry = compose.registry(settings)
        self.codec = compose.corrections_codec(settings)
        self.log = compose.log_reader(settings)
        self._versions: dict[tuple[str, int], int | None] = {}

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, *_: Any) -> None:
        self.log.close()
        self.registry.close()

    def topic(self, name: str) -> Topic:
        """
        Raises:
            UnknownPlace: the contract has none of this name.
        """
        found = self.contract.topics.get(name)
        if found is None:
            raise UnknownPlace(f"there is no topic {name}; there are {', '.join(self.contract.topics)}")
        return found

    def decoder(self, topic: str) -> BatchDecoder:
        return decoder_of(self.topic(topic), self.registry.schema)

    def corrections(self) -> Corrections:
        """All corrections in force."""
        until = end_of_corrections(self.log)
        return Corrections.of(entries(self.log, self.codec, until), until)

    def history(self, place: Place) -> list[Entry]:
        """All corrections that there were of a record, oldest first."""
        until = end_of_corrections(self.log)
        return [
            entry
            for entry in entries(self.log, self.codec, until)
            if (entry.correction.source, entry.correction.offset) == (place.source, place.offset)
        ]

    def letters(self, corrections: Corrections) -> pl.DataFrame:
        """All letters with their states (streams.letters)."""
        found = listed(self.log, self.decoder(LETTERS_TOPIC))
        views = set(found["view"].unique().to_list())
        return with_states(found, corrections, {name: made for name, made in self.made().items() if name in views})

    def letters_of(self, place: Place) -> list[Letter]:
        return of_record(self.log, self.decoder(LETTERS_TOPIC), place)

    def made(self) -> dict[str, int]:
        """For each view the offset before which all corrections are in its live version."""
        found = {}
        for projection in CATALOGUE:
            store = compose.store(self.settings, projection)
            try:
                found[projection.name] = made_with(store.facts(store.live()))
            finally:
                store.close()
        return found

    def record(self, place: Place) -> Record:
        """The record that lies at a place.

        Raises:
            UnknownPlace: there is none.
        """
        topic = self.topic(place.source.topic)
        bounds = self.log.bounds([topic.name])
        if place.source not in bounds:
            raise UnknownPlace(f"{topic.name} has the partitions 0 to {len(bounds) - 1}, not {place.source.partition}")
        low, end = bounds[place.source]
        if not low <= place.offset < end:
            raise UnknownPlace(f"{place.source} holds the offsets from {low} up to {end}, not {place.offset}")
        for batch in self.log.read(place.source, place.offset, place.offset + 1):
            if len(batch):
                return Record(place, batch.keys[0], batch.values[0])
        raise UnknownPlace(f"{place}: no record lies there; the offset belongs to a transaction")

    def counts_as(self, record: Record, corrections: Corrections) -> bytes | None:
        """The value with which a record counts under corrections; None where it does not, or is a tombstone."""
        entry = corrections.of_record(record.place.source, record.place.offset)
        return record.value if entry is None else corrected(entry, record.value)

    def told(self, topic: Topic, value: bytes | None) -> Told:
        """What a value says, as far as it can be read."""
        if value is None:
            return Told(None, None, None, None, Partly({}, "a tombstone: no value"))
        try:
            number = schema_id(value)
        except NotFramed as error:
            return Told(None, None, None, None, Partly({}, str(error), 0))
        try:
            schema = self.registry.schema(number)
            partly = decoded_as_far_as_possible(schema, value[PREFIX_BYTES:])
        except UnknownSchema as error:
            return Told(number, None, None, None, Partly({}, str(error) or f"the registry has no schema {number}", 1))
        except BadSchema as error:
            return Told(number, None, None, None, Partly({}, f"schema {number}: {error}", 1))
        record = self.record_type(topic, f"{schema.get('namespace', '')}.{schema.get('name', '')}")
        subject = topic.subject(record) if record else None
        name = record.name if record else str(schema.get("name", "")) or None
        return Told(number, subject, self.version(subject, number) if subject else None, name, partly)

    def record_type(self, topic: Topic, name: str) -> RecordType | None:
        """The record type of a topic by its full or short name."""
        return next((record for record in topic.records if name in (record.full_name, record.name)), None)

    def version(self, subject: str, number: int) -> int | None:
        """The version of a subject that has a schema id; None where it has none such."""
        if (subject, number) not in self._versions:
            versions = self.registry.versions(subject)
            found = next((v for v in reversed(versions) if self.registry.version(subject, v).schema_id == number), None)
            self._versions[subject, number] = found
        return self._versions[subject, number]


def views_reading(topic: str) -> Sequence[str]:
    return [projection.name for projection in CATALOGUE if topic in projection.topics]
