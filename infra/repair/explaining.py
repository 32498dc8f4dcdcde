"""What made a document or a row, and what a record did to which: gathered for the commands explain and impact."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from connectors.corrections import CorrectedLog
from connectors.ports import Document, KeyedStore, RowStore
from infra import compose
from infra.repair.desk import Desk, Record
from infra.repair.telling import correction, moment
from projections.catalogue import CATALOGUE
from projections.projection import KEY, KeyedProjection, Projection, RowProjection, with_position
from schemas.check import json_values
from schemas.corrections import Corrections, made_with
from schemas.log import Batch, TopicPartition
from schemas.places import Place
from schemas.table import ColumnType
from streams.explain import Made, explain, only, worth
from streams.key_fold import STAMP, KeyFold, cuts

MOST_KEYS = 100  # of one record that are folded to see what it is worth to them


class NotThere(ValueError):
    """The view holds no such document, field or row."""


class Seen:
    """The live version of a view, its facts, and the log as it counts there. Closed at the end."""

    def __init__(self, desk: Desk, projection: Projection) -> None:
        self.desk, self.projection = desk, projection
        self.store = compose.store(desk.settings, projection)
        self.version = self.store.live()
        self.facts = self.store.facts(self.version)
        self.corrections: Corrections = compose.corrections_until(desk.settings, desk.log, made_with(self.facts))
        self.log = CorrectedLog(desk.log, self.corrections)
        self.decoders = compose.decoders(projection, desk.contract, desk.registry)

    def __enter__(self) -> "Seen":
        return self

    def __exit__(self, *_: Any) -> None:
        self.store.close()

    def about(self) -> dict[str, Any]:
        return {
            "view": self.projection.name,
            "version": self.version,
            "revision": self.facts.get("revision", str(self.projection.revision)),
            "code": self.facts.get("code"),
            "corrections": self.corrections.until,
        }

    def counting(self, place: Place) -> tuple[Batch, pl.DataFrame]:
        """A record as it counts in this version, as a batch, and as a frame with its position; both empty where it does not
        count; the frame where it can't be decoded."""
        for batch in self.log.read(place.source, place.offset, place.offset + 1):
            frame = self.decoders[place.source.topic].decode(batch.values).frame
            return batch, with_position(frame, batch)
        raise NotThere(f"{place}: the log holds no record there")


def explained_document(desk: Desk, projection: KeyedProjection, key: str, name: str | None, most: int) -> dict[str, Any]:
    """How the fields of a document came to be, or one of them.

    Raises:
        NotThere: there is no such document, or field.
        Away: something needed does not answer.
        ValueError: the log no longer reaches back to its beginning.
    """
    with Seen(desk, projection) as seen:
        store: KeyedStore = seen.store  # type: ignore[assignment]
        positions = store.positions(seen.version)
        (loaded,) = store.load(seen.version, [key])
        document = loaded.document
        if not document:
            raise NotThere(f"{projection.name} holds no document {key!r}")
        if name is not None and name not in document:
            raise NotThere(
                f"{projection.name}: the document {key!r} has no field {name}; it has {', '.join(sorted(document))}"
            )
        limits = only(cuts(positions, {key: document}), stamped([document]))
        made = explain(KeyFold(projection, seen.log, seen.decoders, [key]), projection, key, limits, most)
        names = [name] if name else sorted(document)
        places = dict.fromkeys(place for one in names for place in made.get(one, Made("", ())).places)
        return {
            **seen.about(),
            "key": key,
            "fields": {one: _field(document[one], made.get(one)) for one in names},
            "records": {str(place): told_record(seen, place) for place in sorted(places, reverse=True)},
        }


def stamped(documents: Iterable[Document]) -> list[TopicPartition]:
    """The partitions whose records are in some documents, as they say of themselves."""
    names = {name for document in documents for name in document if name.startswith(STAMP)}
    return [TopicPartition.parse(name.removeprefix(STAMP)) for name in names]


def _field(text: str, made: Made | None) -> dict[str, Any]:
    if made is None:
        return {"value": text, "how": "not what the log implies", "from": [], "more": False}
    return {"value": text, "how": made.how, "from": [str(place) for place in made.places], "more": made.more}


def told_record(seen: Seen, place: Place) -> dict[str, Any]:
    """A record as it counts in a view: its schema id, subject and version, its values, and the correction of it."""
    batch, _ = seen.counting(place)
    topic = seen.desk.topic(place.source.topic)
    told = seen.desk.told(topic, batch.values[0] if len(batch) else None)
    entry = seen.corrections.of_record(place.source, place.offset)
    return {
        "schema_id": told.schema_id,
        "subject": told.subject,
        "subject_version": told.version,
        "record_type": told.record_type,
        "values": json_values(told.partly.values),
        "correction": None if entry is None else f"fleet.corrections:0:{entry.at}",
    }


def explained_row(desk: Desk, projection: RowProjection, identity: Mapping[str, str]) -> dict[str, Any]:
    """The record that rows were made from. `identity`: values of the table's identity columns, `topic`, `partition` and
    `offset` at least.

    Raises:
        NotThere: it names no record, or no row is made from it. The rest as `explained_document`.
    """
    columns = {column.name: column for column in projection.table.columns if column.name in projection.table.identity}
    missing = [name for name in ("topic", "partition", "offset") if name not in identity]
    if missing or (unknown := sorted(set(identity) - set(columns))):
        odd = f"lacks {', '.join(missing)}" if missing else f"has no {', '.join(unknown)}"
        raise NotThere(f"the identity of a row of {projection.name} is {', '.join(columns)}: it {odd}")
    place = Place.parse(f"{identity['topic']}:{identity['partition']}:{identity['offset']}")
    desk.record(place)
    if place.source.topic not in projection.topics:
        raise NotThere(f"{projection.name} reads {', '.join(projection.topics)}, not {place.source.topic}")
    with Seen(desk, projection) as seen:
        store: RowStore = seen.store  # type: ignore[assignment]
        rows = made_rows(seen, place)
        for name, text in identity.items():
            if columns[name].type is ColumnType.LONG and not re.fullmatch(r"-?[0-9]{1,18}", text):
                raise NotThere(f"{name} of a row of {projection.name} is a number, not {text!r}")
            rows = rows.filter(pl.col(name).cast(pl.String) == text)
        if rows.is_empty():
            raise NotThere(f"{projection.name}: no row is made from the record {place}, as it counts")
        held = store.counts(seen.version, place.source, place.offset, place.offset + 1)
        return {
            **seen.about(),
            "rows": [json_values(row) for row in rows.to_dicts()],
            "rows_of_the_record_in_the_view": held.get(place.offset, 0),
            "records": {str(place): told_record(seen, place)},
        }


def made_rows(seen: Seen, place: Place) -> pl.DataFrame:
    """The rows of a record as it counts."""
    projection = seen.projection
    assert isinstance(projection, RowProjection)
    batch, frame = seen.counting(place)
    return (
        projection.rows(frame) if len(batch) and len(frame) else pl.DataFrame(schema=dict.fromkeys(projection.table.names))
    )


def impact(desk: Desk, place: Place) -> dict[str, Any]:
    """What a record did to which views, and what it is to them.

    Raises:
        UnknownPlace: there is no such record. The rest as `explained_document`.
    """
    letters = desk.letters_of(place)
    record = desk.record(letters[0].place if letters else place)
    topic = desk.topic(record.place.source.topic)
    told = desk.told(topic, record.value)
    return {
        "position": str(record.place),
        "schema_id": told.schema_id,
        "subject": told.subject,
        "subject_version": told.version,
        "record_type": told.record_type,
        "values": json_values(told.partly.values),
        "fault": told.partly.fault or None,
        "views": [_impact(desk, projection, record) for projection in CATALOGUE if topic.name in projection.topics],
        "letters": [{"view": one.view, "reason": one.reason, "detail": one.detail, "lies_at": str(one.lies_at),
                     "set_aside_at": moment(one.set_aside_at)} for one in letters],
        "corrections": [correction(desk, entry) for entry in desk.history(record.place)],
    }  # fmt: skip


def _impact(desk: Desk, projection: Projection, record: Record) -> dict[str, Any]:
    place = record.place
    with Seen(desk, projection) as seen:
        positions = seen.store.positions(seen.version)
        reached = positions.get(place.source, 0) > place.offset
        found = {**seen.about(), "reached": reached}
        if isinstance(projection, RowProjection):
            rows = made_rows(seen, place)
            found["rows"] = [json_values(row) for row in rows.to_dicts()]
            return found
        store: KeyedStore = seen.store  # type: ignore[assignment]
        _, frame = seen.counting(place)
        keys = sorted(set(projection.keyed(place.source.topic, frame)[KEY].to_list())) if len(frame) else []
        documents = dict(zip(keys, (one.document for one in store.load(seen.version, keys[:MOST_KEYS])), strict=False))
        limits = only(cuts(positions, documents), stamped(documents.values()))
        values = worth(projection, seen.log, seen.decoders, place, limits) if reached and limits else []
        found["keys"] = {
            one.key: {name: {"with": now, "without": else_} for name, (now, else_) in one.fields.items()} for one in values
        }
        found["more_keys"] = max(0, len(keys) - MOST_KEYS)
        return found
