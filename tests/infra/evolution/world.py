"""A log in memory with records of several schema ids, and the live check over it."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.memory import MemoryLog
from connectors.ports import UnknownSchema
from infra.evolution.live import LiveCheck, Report
from projections.catalogue import CATALOGUE
from projections.projection import Projection
from schemas.codec import encode
from schemas.contract import HERE, RecordType, Schema, load
from schemas.log import TopicPartition
from schemas.upcasters import Upcaster
from schemas.wire import prefix

CONTRACT = load()
PARTITIONS = 3


@dataclass(frozen=True)
class Written:
    """Values, and the schema that they were written under."""

    schema: Schema
    values: Sequence[Mapping[str, Any]]


def edited(schema: Schema, change: Callable[[dict[str, dict[str, Any]], Schema], None]) -> Schema:
    """A copy of a schema after `change(fields by name, schema)`."""
    made = copy.deepcopy(schema)
    change({field["name"]: field for field in made["fields"]}, made)
    return made


def check(
    record: RecordType,
    present: Schema,
    written: Mapping[int, Written],
    views: Sequence[Projection] = CATALOGUE,
    steps: Sequence[Upcaster] = (),
    forgotten: Sequence[int] = (),
) -> Report:
    """What the live check finds where `present` is the schema of a record type of the contract, and the registry has
    lost the ids that are `forgotten`."""
    topic = next(topic for topic in CONTRACT.topics.values() if record in topic.records)
    now = replace(record, schema=present)
    records = tuple(now if one.name == record.name else one for one in topic.records)
    contract = replace(CONTRACT, topics={topic.name: replace(topic, records=records)}, records={record.name: now})
    log = MemoryLog({topic.name: PARTITIONS})
    for number, part in written.items():
        for i, values in enumerate(part.values):
            key = str(values.get("device_id", i % 10)).encode()
            body = encode(RecordType(record.name, record.context, part.schema), values)
            log.append(TopicPartition(topic.name, sum(key) % PARTITIONS), key, prefix(number) + body)

    def schema_of(number: int) -> Schema:
        if number in forgotten:
            raise UnknownSchema(f"the registry has no schema {number}")
        return written[number].schema

    return LiveCheck(log, contract, HERE, schema_of, views, steps).run([topic.name], 200)


def told(report: Report) -> list[tuple[int, str, str]]:
    """(schema id, place, message) of each finding."""
    return [(finding.schema_id, finding.place, finding.message) for finding in report.findings]
