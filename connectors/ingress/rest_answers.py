"""The documents of the Kafka-REST API."""

import msgspec

from connectors.http.request import Fault


class RestError(msgspec.Struct):
    """What went wrong. The first three digits of `error_code` are the HTTP status, or it is the status (or 500xx)."""

    error_code: int
    message: str


def message_of(fault: Fault) -> str:
    """What a fault says and where, none of it twice: RestError has no field for places."""
    places = [
        path if message in fault.detail else f"{path}: {message}"
        for path, message in fault.errors
        if path not in fault.detail
    ]
    return f"{fault.detail} ({'; '.join(places)})" if places else fault.detail


class Offset(msgspec.Struct):
    """What became of one record: its position, or error_code 1 (not retriable) or 2 (retriable) and what is wrong."""

    partition: int | None
    offset: int | None
    error_code: int | None = None
    error: str | None = None


class ProduceOut(msgspec.Struct):
    """What became of the records, in their order."""

    offsets: list[Offset]
    key_schema_id: int | None
    value_schema_id: int | None


class ProduceFailed(msgspec.Struct):
    """No record was written."""

    error_code: int
    message: str
    offsets: list[Offset]


class ReplicaOut(msgspec.Struct):
    """A partition's replica on a broker."""

    broker: int
    leader: bool
    in_sync: bool


class PartitionOut(msgspec.Struct):
    """A partition; `leader` is the broker's number, -1 while there is none."""

    partition: int
    leader: int
    replicas: list[ReplicaOut]


class TopicOut(msgspec.Struct):
    """A topic with all its settings, defaults too."""

    name: str
    configs: dict[str, str | None]
    partitions: list[PartitionOut]


class OffsetsOut(msgspec.Struct):
    """The offset of the first record that is kept, and the one that the next record will get."""

    beginning_offset: int
    end_offset: int


class BrokersOut(msgspec.Struct):
    """The numbers of the brokers that are there."""

    brokers: list[int]


REST_DOCUMENTS = (RestError, ProduceOut, ProduceFailed, TopicOut, PartitionOut, OffsetsOut, BrokersOut)
