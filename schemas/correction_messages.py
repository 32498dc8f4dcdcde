"""Corrections of records that lie in the log, as the avsc of the same name declare them (field docs are there)."""

from schemas.log import TopicPartition
from schemas.messages import Event


class Correction(Event, frozen=True, kw_only=True):
    """What an operator says of one record. Of several corrections of a record the last one counts."""

    topic: str
    partition: int
    offset: int
    original_sha256: str | None
    reason: str

    @property
    def source(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


class RecordPatched(Correction, frozen=True, kw_only=True):
    """The record counts with another value, at its place in the log."""

    record_type: str
    schema_id: int
    value: bytes


class RecordSkipped(Correction, frozen=True, kw_only=True):
    """The record counts as if it had never been there."""


class CorrectionWithdrawn(Correction, frozen=True, kw_only=True):
    """The record counts again as it lies in the log."""

    withdrawn_event_id: str
