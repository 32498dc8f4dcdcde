"""Writing corrections: everything is checked before the first one is written."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.command_writer import CommandWriter
from connectors.ingress.identifiers import EventIds
from infra.repair.desk import Desk, Record
from projections.catalogue import CATALOGUE
from schemas.contract import RecordType, Topic
from schemas.correction_messages import Correction, CorrectionWithdrawn, RecordPatched, RecordSkipped
from schemas.corrections import CORRECTIONS_TOPIC, Corrections, digest
from schemas.places import Place
from schemas.shape import shape_of
from schemas.wire import schema_id
from streams.correcting import Incorrigible, avro_values, changed_values, check_topic, check_value, framed

LONGEST_REASON = 1000


class NoLetter(ValueError):
    """No view has set this record aside."""


@dataclass(frozen=True, slots=True)
class Order:
    """What every correction says: why and by whom; and whether a record may be corrected that no view has set aside."""

    reason: str
    actor: str
    without_letter: bool = False
    command_id: str = field(default_factory=lambda: EventIds().next()[1])


@dataclass(frozen=True, slots=True)
class NewValue:
    """Where a patch's value comes from: one of `values` (a JSON file), `raw` (a file of framed bytes) and `assignments`."""

    values: Path | None = None
    raw: Path | None = None
    assignments: Sequence[str] = ()
    record_type: str | None = None


def patch(desk: Desk, place: Place, new: NewValue, order: Order) -> tuple[int, RecordPatched]:
    """Write that a record counts with another value; returns where the correction lies, and the correction.

    Raises:
        UnknownPlace, NoLetter, Incorrigible: it can't be corrected, or not so; nothing was written.
        Away: the broker or the registry does not answer.
    """
    record, corrections = _correctable(desk, place, order), desk.corrections()
    topic = check_topic(desk.contract, _views(), record.place.source.topic, skips_undecodable=False)
    value = _value(desk, topic, record, corrections, new)
    values = check_value(topic, record.key, value, desk.registry.schema)
    if value == desk.counts_as(record, corrections):
        raise Incorrigible(f"{record.place} counts with exactly this value already")
    correction = RecordPatched(
        **_about(record, order),
        record_type=str(values.get("record") or topic.records[0].name),
        schema_id=schema_id(value),
        value=value,
    )
    return _write(desk, [correction])[0], correction


def discard(desk: Desk, places: Sequence[Place], order: Order) -> list[tuple[int, RecordSkipped]]:
    """Write that records count as if they had never been there. Raises as `patch`."""
    corrections, made = desk.corrections(), list[RecordSkipped]()
    for place in places:
        record = _correctable(desk, place, order)
        name = record.place.source.topic
        undecodable = bool(desk.decoder(name).decode([record.value]).faults)
        check_topic(desk.contract, _views(), name, skips_undecodable=undecodable)
        entry = corrections.of_record(record.place.source, record.place.offset)
        if entry is not None and isinstance(entry.correction, RecordSkipped):
            raise Incorrigible(f"{record.place} is discarded already, by {CORRECTIONS_TOPIC}:0:{entry.at}")
        made.append(RecordSkipped(**_about(record, order)))
    return list(zip(_write(desk, made), made, strict=True))


def withdraw(desk: Desk, place: Place, order: Order) -> tuple[int, CorrectionWithdrawn]:
    """Write that a record counts again as it lies in the log. Raises as `patch`."""
    entry = desk.corrections().of_record(place.source, place.offset)
    if entry is None:
        raise Incorrigible(f"{place}: no correction of it is in force")
    correction = CorrectionWithdrawn(
        **_about(desk.record(place), order) | {"original_sha256": entry.correction.original_sha256},
        withdrawn_event_id=entry.correction.event_id,
    )
    return _write(desk, [correction])[0], correction


def _correctable(desk: Desk, place: Place, order: Order) -> Record:
    """The record that is meant, by its own place or a letter's."""
    if not 1 <= len(order.reason) <= LONGEST_REASON:
        raise Incorrigible(f"a reason has 1 to {LONGEST_REASON} characters")
    letters = desk.letters_of(place)
    if letters:
        return desk.record(letters[0].place)
    record = desk.record(place)
    if not order.without_letter:
        raise NoLetter(f"{place}: no view has set this record aside; --without-letter corrects it nevertheless")
    return record


def _value(desk: Desk, topic: Topic, record: Record, corrections: Corrections, new: NewValue) -> bytes:
    if new.raw is not None:
        return new.raw.read_bytes()
    told = desk.told(topic, desk.counts_as(record, corrections))
    kind = _record_type(desk, topic, new.record_type or told.record_type)
    if new.values is not None:
        try:
            given = json.loads(new.values.read_text("utf-8"))
        except ValueError as error:
            raise Incorrigible(f"{new.values} is no JSON: {error}") from None
        if not isinstance(given, dict):
            raise Incorrigible(f"{new.values} holds no JSON object with the record's fields")
        values: dict[str, Any] = avro_values(shape_of(kind.schema), given, "")
    else:
        known = {name: value for name, value in told.partly.values.items() if name in kind.fields}
        values = changed_values(kind, known, new.assignments)
    return framed(topic, kind, values, desk.registry.register)


def _record_type(desk: Desk, topic: Topic, name: str | None) -> RecordType:
    if name is None and len(topic.records) == 1:
        return topic.record
    found = desk.record_type(topic, name) if name else None
    if found is None:
        kinds = ", ".join(record.name for record in topic.records)
        raise Incorrigible(f"{topic.name} holds {kinds}, not {name or 'what can be told'}: say which by --record")
    return found


def _about(record: Record, order: Order) -> dict[str, Any]:
    now = time.time_ns() // 1000
    return {
        "event_id": EventIds().next()[1],
        "command_id": order.command_id,
        "correlation_id": order.command_id,
        "actor": order.actor,
        "occurred_at": now,
        "received_at": now,
        "topic": record.place.source.topic,
        "partition": record.place.source.partition,
        "offset": record.place.offset,
        "original_sha256": digest(record.value),
        "reason": order.reason,
    }


def _write(desk: Desk, corrections: Sequence[Correction]) -> list[int]:
    writer = CommandWriter(desk.settings.kafka, {CORRECTIONS_TOPIC: desk.codec})
    return [writer.write(CORRECTIONS_TOPIC, f"{c.source}/{c.offset}", c) for c in corrections]


def _views() -> dict[str, tuple[str, ...]]:
    return {projection.name: projection.topics for projection in CATALOGUE}
