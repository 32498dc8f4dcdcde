"""What is wrong with the contract: each avsc by itself, the topics, released versions, examples.

An example is examples/<Record>/<name>.json: `version` it was written under, `values` (bytes as text, a character per
byte, as in Avro's JSON), and `body`, the Avro body in hex, which must decode to them for ever.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from schemas import field_rules
from schemas.avro_reader import BadSchema, Undecodable
from schemas.codec import Decoder, named
from schemas.columns import supports_columns
from schemas.contract import HERE, Contract, ContractError, RecordType, Schema, Topic, load
from schemas.record_columns import Unlike, topic_schema
from schemas.released import RULES, problems, versions
from schemas.shape import Shape, shape_of, violations
from schemas.upcasters import UPCASTERS, Upcaster, Upcasting, broken_steps, gaps


class Finding(NamedTuple):
    """`file` is relative to the schemas' folder; `place` is a field's path, may be empty."""

    file: str
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.place}: {self.message}" if self.place else f"{self.file}: {self.message}"


def check(root: Path = HERE, steps: Sequence[Upcaster] = UPCASTERS) -> list[Finding]:
    """All that is wrong with the contract under `root` and with the upcasters of its records."""
    try:
        contract = load(root)
    except ContractError as error:
        return [Finding(".", "", str(error))]
    found = [finding for topic in contract.topics.values() for finding in _topic(topic)]
    found += _strays(root, contract)
    for record in contract.records.values():
        found += _record(root, contract, record, steps)
    strangers = sorted({step.record for step in steps} - set(contract.records))
    found += [Finding("upcasters.py", name, "there is no record type of this name") for name in strangers]
    return found


def avsc_file(record: RecordType) -> str:
    return f"avsc/{record.context}/{record.name}.avsc"


def _topic(topic: Topic) -> Iterator[Finding]:
    def finding(message: str) -> Finding:
        return Finding("topics.toml", topic.name, message)

    if not topic.owner:
        yield finding("has no owner")
    if not topic.records:
        yield finding("holds no record type")
    if topic.strategy not in ("topic", "topic-record"):
        yield finding(f"the strategy is {topic.strategy!r}, not topic or topic-record")
    if topic.strategy == "topic" and len(topic.records) > 1:
        yield finding("holds several record types; its strategy, topic, allows one")
    with suppress(BadSchema, ContractError):  # which is found with the record itself
        try:
            topic_schema(topic.records)
        except Unlike as error:
            yield finding(f"its records can't be read as columns of one frame: {error}")
    if topic.compatibility not in RULES:
        yield finding(f"there is no compatibility level {topic.compatibility!r}")
    if topic.access not in ("device", "internal"):
        yield finding(f"access is {topic.access!r}, not device or internal")
    if topic.partitions < 1:
        yield finding(f"has {topic.partitions} partitions")
    if topic.retention_days < 1 and topic.retention_days != -1:
        yield finding(f"retention_days is {topic.retention_days}, neither positive nor -1")


def _strays(root: Path, contract: Contract) -> Iterator[Finding]:
    """Folders of record types that are not there (any more)."""
    for folder in ("released", "examples"):
        for path in sorted((root / folder).glob("*")):
            if path.name not in contract.records:
                yield Finding(f"{folder}/{path.name}", "", "there is no record type of this name")


def _record(root: Path, contract: Contract, record: RecordType, steps: Sequence[Upcaster]) -> Iterator[Finding]:
    file = avsc_file(record)
    topics = [topic for topic in contract.topics.values() if record in topic.records]
    if not topics:
        yield Finding(file, "", "no topic holds this record type")
    try:
        named(record.schema)
    except BadSchema as error:
        yield Finding(file, "", str(error))
        return
    if record.schema.get("namespace") != f"fleetlog.{record.context}":
        yield Finding(file, "", f"the namespace is to be fleetlog.{record.context}")
    for path, message in field_rules.faults(record.schema):
        yield Finding(file, path, message)
    try:
        shape = shape_of(record.schema)
        released = versions(root, record.name)
        if any(topic.strategy == "topic" for topic in topics) and not supports_columns(record.schema):
            yield Finding(file, "", "a topic of one record type needs one that can be read as columns")
        yield from _compatibility(record, topics, released)
        broken = broken_steps(record, released, steps)
        yield from (Finding("upcasters.py", record.name, message) for message in (*broken, *gaps(record, released, steps)))
        yield from _examples(root, record, shape, Upcasting(record, released, () if broken else steps))
    except (ContractError, BadSchema) as error:
        yield Finding(file, "", str(error))


def _compatibility(record: RecordType, topics: list[Topic], released: dict[int, Schema]) -> Iterator[Finding]:
    if not released:
        yield Finding(avsc_file(record), "", "no version of it is released (fleetlog schema release)")
    for topic in topics:
        for version, fault in problems(record, released, topic.compatibility) if topic.compatibility in RULES else ():
            message = f"{fault.message}: not {topic.compatibility} with version {version}"
            yield Finding(avsc_file(record), fault.path, message)


def _examples(root: Path, record: RecordType, shape: Shape, steps: Upcasting) -> Iterator[Finding]:
    paths = sorted((root / "examples" / record.name).glob("*.json"))
    if not paths:
        yield Finding(avsc_file(record), "", "has no example")
    for path in paths:
        for place, message in _example(path, shape, steps):
            yield Finding(f"examples/{record.name}/{path.name}", place, message)


def _example(path: Path, shape: Shape, steps: Upcasting) -> Iterator[tuple[str, str]]:
    try:
        example = json.loads(path.read_text("utf-8"))
        version, values, body = example["version"], example["values"], bytes.fromhex(example["body"])
    except (ValueError, KeyError, TypeError) as error:
        yield "", f"is no example (JSON with version, values and body in hex): {error!r}"
        return
    written = steps.written.get(version)
    if written is None:
        yield "version", f"there is no version {version}"
        return
    try:
        said = Decoder(written).decode(body)
        read = steps.decoder(written, version).decode(body)
    except Undecodable as error:
        yield "body", str(error)
        return
    if json_values(said) != values:
        yield "body", "decodes to other values than it is said to"
    yield from violations(shape, read, "")


def json_values(value: Any) -> Any:
    """Decoded values as an example holds them: bytes become text, a character per byte."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {name: json_values(part) for name, part in value.items()}
    return [json_values(item) for item in value] if isinstance(value, list) else value
