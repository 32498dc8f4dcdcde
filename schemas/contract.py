"""The contract: which topics there are and what their records are, read from topics.toml and avsc/.

An avsc file is a plain Avro schema. Beside Avro's own attributes its fields carry the contract's: `minimum`, `maximum`,
`minLength`, `maxLength`, `pattern`, `minItems`, `maxItems`, `itemMaxLength` and `format` bound the value as JSON Schema
would (an Avro client ignores them), and `origin: server` marks what the ingress fills in, so that a device does not
send it.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DAY_MILLISECONDS = 86_400_000
Schema = dict[str, Any]


class ContractError(ValueError):
    """The contract contradicts itself; the message names the file and the place."""


@dataclass(frozen=True)
class RecordType:
    """One record type: `name` is its short name, `schema` the parsed avsc."""

    name: str
    context: str
    schema: Schema

    @property
    def full_name(self) -> str:
        return f"{self.schema['namespace']}.{self.name}"

    @cached_property
    def fields(self) -> dict[str, Schema]:
        return {field["name"]: field for field in self.schema["fields"]}


@dataclass(frozen=True)
class Topic:
    """One topic, as topics.toml declares it."""

    name: str
    key: str
    records: tuple[RecordType, ...]
    strategy: str
    partitions: int
    retention_days: int
    compatibility: str
    owner: str
    access: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    max_message_bytes: int = 12_000_000

    @property
    def retention_ms(self) -> int:
        """How long a record stays in the log, in milliseconds; -1: for ever. Then it is in the archive only."""
        return -1 if self.retention_days < 0 else self.retention_days * DAY_MILLISECONDS

    @property
    def broker_retention_ms(self) -> int:
        """The broker deletes nothing by itself: what is older than its retention goes when it is archived and proven to be
        (streams.archive_guard)."""
        return -1

    @property
    def cleanup_policy(self) -> str:
        """Every topic is a log of events: compaction would leave gaps."""
        return "delete"

    def subject(self, record: RecordType) -> str:
        """The registry subject of one of its record types (Confluent's TopicNameStrategy, TopicRecordNameStrategy)."""
        return f"{self.name}-value" if self.strategy == "topic" else f"{self.name}-{record.full_name}"

    @property
    def record(self) -> RecordType:
        """The record type of a topic that holds one."""
        (only,) = self.records
        return only


@dataclass(frozen=True)
class Contract:
    topics: Mapping[str, Topic]
    records: Mapping[str, RecordType]


def load(root: Path = HERE) -> Contract:
    """The contract under `root`.

    Raises:
        ContractError: a file can't be read or does not parse, or topics.toml names a record type that has no avsc.
    """
    records: dict[str, RecordType] = {}
    for path in sorted((root / "avsc").glob("*/*.avsc")):
        record = _record(path)
        if record.name in records:
            raise ContractError(f"{path}: a second record type named {record.name}")
        records[record.name] = record
    try:
        declared = tomllib.loads((root / "topics.toml").read_text("utf-8")).get("topics", {})
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{root / 'topics.toml'} can't be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"topics.toml: {error}") from None
    return Contract({name: _topic(name, table, records) for name, table in declared.items()}, records)


def _record(path: Path) -> RecordType:
    try:
        schema = json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise ContractError(f"{path}:{error.lineno}: {error.msg}") from None
    if not isinstance(schema, dict) or schema.get("type") != "record" or not isinstance(schema.get("fields"), list):
        raise ContractError(f"{path}: is no record with fields")
    if schema.get("name") != path.stem:
        raise ContractError(f"{path}: holds the record {schema.get('name')!r}, not {path.stem!r}")
    return RecordType(path.stem, path.parent.name, schema)


def _topic(name: str, table: Mapping[str, Any], records: Mapping[str, RecordType]) -> Topic:
    lists = {field: tuple(table.get(field, ())) for field in ("records", "producers", "consumers")}
    missing = [record for record in lists["records"] if record not in records]
    if missing:
        raise ContractError(f"topics.toml: {name} holds {', '.join(missing)}, which has no avsc")
    values = {**table, **lists, "records": tuple(records[record] for record in lists["records"])}
    try:
        return Topic(name=name, **values)
    except TypeError as error:
        raise ContractError(f"topics.toml: {name}: {error}") from None
