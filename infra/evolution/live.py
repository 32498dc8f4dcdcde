"""Whether what lies in the log keeps its meaning under the present schemas: compatible is not yet right.

A sample of the records of each schema id on a topic is read with the schema that it was written with, and with the
present one. What the one holds and the other does not, or holds otherwise, is a finding; so is a view that comes out
differently when it is folded over both. Values that upcasters change on purpose are not compared, only their results.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.ports import LogReader, UnknownSchema
from infra.evolution import folds
from infra.evolution.fields import completed, renamed
from infra.evolution.numbers import shifted
from infra.evolution.sample import Record, Sample, sample
from projections.projection import Projection
from schemas.avro_reader import BadSchema, Undecodable
from schemas.codec import Decoder, named
from schemas.contract import Contract, ContractError, RecordType, Schema, Topic
from schemas.released import versions
from schemas.shape import Shape, shape_of, violations
from schemas.upcasters import Upcaster, Upcasting, UpcastingDecoder

Values = dict[str, Any]
SHOWN = 80


@dataclass(frozen=True, slots=True)
class Finding:
    """`place` is a field, or a view and its field. `severity` is "error", or "warning" where the evidence is statistical."""

    topic: str
    schema_id: int
    place: str
    message: str
    severity: str = "error"

    def __str__(self) -> str:
        where = f"{self.topic}, schema id {self.schema_id}: "
        return f"{self.severity}: {where}{f'{self.place}: ' if self.place else ''}{self.message}"


@dataclass(slots=True)
class Report:
    """`sampled`: topic -> schema id -> records that were compared."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sampled: dict[str, dict[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveCheck:
    """What the check needs. `schema_of` gives the schema under an id, and raises UnknownSchema."""

    log: LogReader
    contract: Contract
    root: Path
    schema_of: Callable[[int], Schema]
    views: Sequence[Projection]
    steps: Sequence[Upcaster]

    def run(self, topics: Iterable[str], per_id: int) -> Report:
        """Check topics of the contract. Raises Away, ContractError."""
        report = Report()
        for name in topics:
            found = sample(self.log, name, per_id)
            report.notes.append(
                f"{name}: read {found.read:,} of {found.held:,} records; schema ids: {len(found.records)}; "
                f"{found.left_out:,} without a value or not framed"
            )
            report.sampled[name] = {number: len(records) for number, records in found.records.items()}
            self._topic(self.contract.topics[name], found, report)
        return report

    def _topic(self, topic: Topic, found: Sample, report: Report) -> None:
        read: dict[str, dict[int, list[tuple[Record, Values]]]] = {}
        for number, records in found.records.items():
            try:
                schema = self.schema_of(number)
                writer = named(schema)
            except (UnknownSchema, BadSchema) as error:
                report.findings.append(Finding(topic.name, number, "", f"{len(records)} records: {error}"))
                continue
            name = writer.get("name") if isinstance(writer, dict) else None
            record = next((record for record in topic.records if record.full_name == name), None)
            if record is None:
                message = f"{len(records)} records are of {name or 'no record'}, which is not of this topic"
                report.findings.append(Finding(topic.name, number, "", message))
                continue
            steps = Upcasting(record, versions(self.root, record.name), self.steps)
            one = _Comparison(topic, number, schema, record, steps)
            read.setdefault(record.name, {})[number] = one.run(records, self._views(topic), report)
        for name, by_id in read.items():
            for number, place, message in shifted(shape_of(self.contract.records[name].schema), by_id):
                report.findings.append(Finding(topic.name, number, place, message, "warning"))

    def _views(self, topic: Topic) -> list[Projection]:
        return [view for view in self.views if topic.name in view.topics]


class _Comparison:
    """Of the records of one schema id."""

    def __init__(self, topic: Topic, number: int, schema: Schema, record: RecordType, steps: Upcasting) -> None:
        self._topic, self._number, self._schema, self._record = topic, number, schema, record
        self._old, self._new = Decoder(schema), steps.decoder(schema)
        self._shape = shape_of(record.schema)
        try:
            self._old_shape: Shape | None = shape_of(schema)
        except ContractError:  # a foreign producer's: it has no bounds that we know of
            self._old_shape = None

    def _finding(self, place: str, message: str) -> Finding:
        return Finding(self._topic.name, self._number, place, message)

    def run(self, records: Sequence[Record], views: Sequence[Projection], report: Report) -> list[tuple[Record, Values]]:
        """Adds to `report`; returns the records that can be read, with their values under the present schema."""
        good, refused = self._decoded(records)
        report.findings += [self._finding("", message) for message in _counted(refused)]
        report.findings += self._out_of_bounds(good)
        if isinstance(self._new, UpcastingDecoder):
            report.notes.append(f"{self._topic.name}, schema id {self._number}: goes through upcasters")
            return [(record, new) for record, _, new in good]
        found, notes = renamed(self._record.schema, self._schema, [old for _, old, _ in good])
        report.findings += [self._finding(place, message) for place, message in found]
        report.notes += [f"{self._topic.name}, schema id {self._number}: {note}" for note in notes]
        report.findings += self._changed(good, views)
        return [(record, new) for record, _, new in good]

    def _decoded(self, records: Sequence[Record]) -> tuple[list[tuple[Record, Values, Values]], list[tuple[Record, str]]]:
        """Records that both read, as (record, written, read); and those that only their own schema reads."""
        good, refused = [], []
        for record in records:
            try:
                old = self._old.decode(record.body)
            except Undecodable:
                continue  # no record of its schema: poison, whatever the schema
            try:
                good.append((record, old, self._new.decode(record.body)))
            except Undecodable as error:
                refused.append((record, str(error)))
        return good, refused

    def _out_of_bounds(self, good: Sequence[tuple[Record, Values, Values]]) -> list[Finding]:
        """Records that are outside the contract now, and were not by their own schema."""
        first: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for record, old, new in good:
            if self._old_shape is not None and any(violations(self._old_shape, old, "")):
                continue
            for path, message in violations(self._shape, new, ""):
                place = "".join("[]" if part.isdecimal() else part for part in path.replace("]", "[").split("["))
                counts[place] += 1
                first.setdefault(place, f"{record.place}: {message}")
        return [
            self._finding(
                place, f"is outside the contract's bounds {count} times in {len(good)} records, first at {first[place]}"
            )
            for place, count in counts.items()
        ]

    def _changed(self, good: Sequence[tuple[Record, Values, Values]], views: Sequence[Projection]) -> Iterator[Finding]:
        """Values and views that differ from what was written."""
        records = [record for record, _, _ in good]
        read = [new for _, _, new in good]
        as_written = [self._new.decode(record.body) for record in records]
        counts: Counter[str] = Counter()
        first: dict[str, str] = {}
        for record, values, old in zip(records, as_written, (old for _, old, _ in good), strict=True):
            for path, now, was in completed(values, old):
                counts[path] += 1
                first.setdefault(path, f"{record.place}: {_shown(was)} is read as {_shown(now)}")
        for path, count in counts.items():
            yield self._finding(
                path, f"is read as another value {count} times in {len(good)} records, first at {first[path]}"
            )
        for view in views if good else ():
            for place, message in folds.differing(view, (self._topic, self._record), records, read, as_written):
                yield self._finding(f"view {view.name}{f', {place}' if place else ''}", message)


def _counted(refused: Sequence[tuple[Record, str]]) -> list[str]:
    if not refused:
        return []
    record, message = refused[0]
    return [f"{len(refused)} records can't be read with the present schema, first {record.place}: {message}"]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
