"""The documents that Kafka-REST v3 answers with where records are written."""

from datetime import UTC, datetime

import msgspec

from connectors.ingress.rest_answers import RestError
from connectors.ingress.rest_writer import Written


class DataOut(msgspec.Struct, omit_defaults=True, gc=False, frozen=True, kw_only=True):
    """A key or value as it was written: type, schema, and how many bytes. `schema_version` is told where one was named, or
    the latest taken."""

    type: str | None = None
    subject: str | None = None
    schema_id: int | None = None
    schema_version: int | None = None
    size: int


class RecordOut(msgspec.Struct, omit_defaults=True, gc=False):
    """A record is in the log, acknowledged by the broker. `timestamp` is the record's."""

    error_code: int
    cluster_id: str
    topic_name: str
    partition_id: int
    offset: int
    timestamp: str | None = None
    key: DataOut | None = None
    value: DataOut | None = None


class EntryOut(msgspec.Struct, omit_defaults=True, gc=False):
    """An entry of a batch is in the log."""

    id: str
    cluster_id: str
    topic_name: str
    partition_id: int
    offset: int
    timestamp: str | None = None
    key: DataOut | None = None
    value: DataOut | None = None


class EntryFailed(msgspec.Struct):
    """An entry of a batch is not in the log, or (503) this is not known."""

    id: str
    error_code: int
    message: str


class BatchOut(msgspec.Struct):
    """What became of the entries, each part in their order."""

    successes: list[EntryOut]
    failures: list[EntryFailed]


class BatchFailed(msgspec.Struct):
    """No entry was written, and the same batch may be taken later."""

    error_code: int
    message: str
    successes: list[EntryOut]
    failures: list[EntryFailed]


Told = RecordOut | RestError
V3_RECORD_DOCUMENTS = (RecordOut, DataOut, EntryOut, EntryFailed, BatchOut, BatchFailed)


class Reporter:
    """Tells of records written to one topic of one cluster."""

    def __init__(self, cluster: str, topic: str) -> None:
        self._cluster, self._topic = cluster, topic
        self._second, self._text = -1, ""

    def record(self, written: Written, key: DataOut | None, value: DataOut | None) -> RecordOut:
        moment = self._moment(written.timestamp)
        return RecordOut(200, self._cluster, self._topic, written.partition, written.offset, moment, key, value)

    def entry(self, name: str, written: Written, key: DataOut | None, value: DataOut | None) -> EntryOut:
        moment = self._moment(written.timestamp)
        return EntryOut(name, self._cluster, self._topic, written.partition, written.offset, moment, key, value)

    def _moment(self, timestamp: int | None) -> str | None:
        """Milliseconds since 1970 UTC as ISO 8601, without the fraction where it is nought (as Java's Instant)."""
        if timestamp is None:
            return None
        second, thousandths = divmod(timestamp, 1000)
        if second != self._second:  # most records of a stream are of the second of the one before
            self._second, self._text = second, datetime.fromtimestamp(second, UTC).isoformat()[:-6]  # less +00:00
        return f"{self._text}.{thousandths:03d}Z" if thousandths else f"{self._text}Z"
