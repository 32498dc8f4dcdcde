"""The topic that the benches read: telemetry of a simulated fleet, three readings a record.

Records are made by the thousand with numpy (a record by itself costs more than the fastest contestant needs to read it):
all fields have a fixed width, so that a block of records is a matrix of bytes with a row for each.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.wire import prefix

TOPIC = "fleet.telemetry"
PARTITIONS = 6
SCHEMA_ID = 7  # where no registry is asked
READINGS = 3
BLOCK = 20_000  # records made at a time
MOST_RECORDS = 1_000_000  # what the fixed width of `sequence` allows
MOST_WAITING = 10 * BLOCK  # records that are not yet acknowledged
DEADLINE = 60.0  # seconds that the broker may take to acknowledge

FIRST_MOMENT = 1_780_000_000_000_000  # 2026, in microseconds
FIRST_SEQUENCE = 8_192  # from here to 2**20 a sequence is three bytes long

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fleet:
    """How much telemetry there is: `records` uploads of `devices` devices in turn, 1,000 a second by the server's clock.

    Devices' clocks run 5 to 250 ms behind the upload, each reading is taken in the second before it. `value_seed` seeds
    the delays and values.
    """

    records: int
    devices: int
    value_seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.records <= MOST_RECORDS:
            raise ValueError(f"records is {self.records}, not between 1 and {MOST_RECORDS}")
        if not 0 < self.devices <= MOST_RECORDS:
            raise ValueError(f"devices is {self.devices}, not between 1 and {MOST_RECORDS}")


def blocks(fleet: Fleet, schema_id: int = SCHEMA_ID) -> Iterator[list[tuple[bytes, bytes]]]:
    """The fleet's records in order, as blocks of (key, Confluent-framed value)."""
    random = np.random.default_rng(fleet.value_seed)
    for first in range(0, fleet.records, BLOCK):
        numbers = np.arange(first, min(first + BLOCK, fleet.records), dtype=np.int64)
        keys = _joined([b"device-", _digits(numbers % fleet.devices, 6)])
        yield list(zip(_rows(keys), _rows(_values(keys, numbers, random, schema_id)), strict=True))


def _values(keys: Bytes, numbers: Numbers, random: np.random.Generator, schema_id: int) -> Bytes:
    received = FIRST_MOMENT + numbers * 1_000
    occurred = received - random.integers(5_000, 250_000, len(numbers))
    parts: list[bytes | Bytes] = [prefix(schema_id)]
    parts += [_length(36), b"01985c07-4a00-7000-8000-", _digits(numbers, 12)]  # event_id
    parts += [_length(keys.shape[1]), keys]  # device_id
    parts += [_varints(occurred, 8), _varints(received, 8)]
    parts += [_length(6), b"boot-1"]
    parts += [_varints(FIRST_SEQUENCE + numbers, 3)]
    parts += [_length(READINGS)]  # a block of the array; an Avro count is written like a length
    for metric, unit in ((b"temperature", b"Cel"), (b"humidity", b"%"), (b"battery", None)):
        taken = occurred - random.integers(0, 1_000_000, len(numbers))
        values = random.normal(20.0, 5.0, len(numbers)).astype("<f8")
        parts += [_length(len(metric)), metric, _varints(taken, 8), values.view(np.uint8).reshape(-1, 8)]
        parts += [b"\x00" if unit is None else b"\x02" + _length(len(unit)) + unit]
    parts += [b"\x00"]  # the end of the array
    return _joined(parts)


def _joined(parts: list[bytes | Bytes]) -> Bytes:
    """The parts side by side; bytes are the same in every row."""
    rows = max(len(part) for part in parts if not isinstance(part, bytes))
    wide = [
        np.broadcast_to(np.frombuffer(part, np.uint8), (rows, len(part))) if isinstance(part, bytes) else part
        for part in parts
    ]
    return np.ascontiguousarray(np.concatenate(wide, axis=1))


def _rows(matrix: Bytes) -> list[bytes]:
    width = matrix.shape[1]
    joined = matrix.tobytes()
    return [joined[start : start + width] for start in range(0, len(joined), width)]


def _digits(numbers: Numbers, width: int) -> Bytes:
    """The numbers in decimal, with leading zeros."""
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def _varints(numbers: Numbers, width: int) -> Bytes:
    """Avro's form of positive longs that all take `width` bytes."""
    shifts = np.arange(width, dtype=np.int64) * 7
    groups = ((numbers * 2)[:, None] >> shifts & 0x7F).astype(np.uint8)
    groups[:, :-1] |= 0x80
    return groups


def _length(number: int) -> bytes:
    """Avro's form of a length below 64."""
    return bytes([number * 2])


def fill(servers: str, fleet: Fleet, schema_id: int = SCHEMA_ID, create: bool = True) -> None:
    """Create the topic (unless it is there already) and write the fleet's telemetry to it.

    Uncompressed: without further packages Faust's client reads nothing else but gzip, which costs every contestant more
    than it is worth on one machine.

    Raises:
        RuntimeError: the broker refused a record, or did not acknowledge all in time.
        KafkaException: the topic can't be created, or the broker does not answer.
    """
    if create:
        admin = AdminClient({"bootstrap.servers": servers})
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(DEADLINE)
    refused: list[KafkaError] = []

    def report(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            refused.append(error)

    producer = _producer(servers)
    until = time.monotonic() + DEADLINE
    for block in blocks(fleet, schema_id):
        for key, value in block:
            producer.produce(TOPIC, value, key, on_delivery=report)
        while len(producer) > MOST_WAITING - BLOCK and time.monotonic() < until:
            producer.poll(0.05)
    left = producer.flush(max(1.0, until - time.monotonic()))
    if left or refused:
        raise RuntimeError(f"the broker did not acknowledge {left} records, and refused {len(refused)}: {refused[:1]}")


def _producer(servers: str) -> Producer:
    return Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "queue.buffering.max.messages": MOST_WAITING,
            "delivery.report.only.error": True,
        }
    )
