"""Corrections, for tests."""

from typing import Any
from uuid import UUID, uuid5

from schemas.correction_messages import CorrectionWithdrawn, RecordPatched, RecordSkipped
from schemas.corrections import digest
from schemas.log import TopicPartition


def about(source: TopicPartition, offset: int, original: bytes | None) -> dict[str, Any]:
    event = str(uuid5(UUID(int=6), f"{source}:{offset}"))
    return {
        "event_id": event, "command_id": event, "correlation_id": event, "actor": "test", "occurred_at": 1, "received_at": 1,
        "topic": source.topic, "partition": source.partition, "offset": offset, "original_sha256": digest(original),
        "reason": "as tested",
    }  # fmt: skip


def patched(source: TopicPartition, offset: int, original: bytes | None, value: bytes) -> RecordPatched:
    return RecordPatched(**about(source, offset, original), record_type="Record", schema_id=1, value=value)


def skipped(source: TopicPartition, offset: int, original: bytes | None) -> RecordSkipped:
    return RecordSkipped(**about(source, offset, original))


def withdrawn(source: TopicPartition, offset: int, original: bytes | None) -> CorrectionWithdrawn:
    given = about(source, offset, original)
    return CorrectionWithdrawn(**given, withdrawn_event_id=given["event_id"])
