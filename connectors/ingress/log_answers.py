"""The documents of the pages of the log."""

from typing import Any

import msgspec


class LogPartition(msgspec.Struct):
    """A partition: the first offset that is kept, the end (the offset after the last record that can be read)."""

    partition: int
    first: int
    end: int
    link: str


class LogTopic(msgspec.Struct):
    """A topic that the caller may read."""

    topic: str
    link: str
    partitions: list[LogPartition]


class LogTopics(msgspec.Struct):
    """All topics that the caller may read."""

    topics: list[LogTopic]


class LogHeader(msgspec.Struct, gc=False):
    """A header of a record. `value_type`: "text", "binary" (then `value` is Base64) or null."""

    name: str
    value: str | None
    value_type: str | None


class LogEntry(msgspec.Struct, gc=False):
    """A record. `value_type` is "avro", "json", "text", "binary" (then `value` is Base64) or null (a tombstone); `key_type`
    the same without "json". `timestamp` is in ISO 8601, or milliseconds if it is in no year from 1 to 9999; `timestamp_type`
    "create" or "append". `error` says why what looks like Avro could not be decoded."""

    offset: int
    timestamp: str | int | None
    timestamp_type: str | None
    key: Any
    key_type: str | None
    key_schema_id: int | None
    headers: list[LogHeader]
    schema_id: int | None
    value: Any
    value_type: str | None
    error: str | None


class LogPage(msgspec.Struct, rename={"from_": "from"}):
    """A page. The next one is at `next`; a `full` one never changes while the log keeps its records."""

    topic: str
    partition: int
    from_: int
    records: list[LogEntry]
    next: str
    full: bool


LOG_DOCUMENTS = (LogTopics, LogTopic, LogPage, LogEntry)
