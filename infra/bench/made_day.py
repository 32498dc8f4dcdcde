"""A day of telemetry that is made as it is read: Avro records of fixed length, so that a million take a moment.

1,000 devices send one reading every ten seconds. Each device's temperature goes up and down with a period of its own; now
and then it is beyond 100.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from schemas.log import Batch, TopicPartition
from schemas.partitioner import partition_of
from schemas.wire import prefix

SECOND = 1_000_000
START = 1_790_000_000 * SECOND
EVERY = 10  # seconds between two readings of a device
BATCH = 100_000
Bytes = npt.NDArray[np.uint8]


def varint(values: npt.NDArray[np.int64], width: int) -> Bytes:
    """Avro longs of `width` bytes each, one in a row; all values must need that many."""
    zigzag = (values << 1).astype(np.uint64)
    parts = [(zigzag >> np.uint64(7 * place)).astype(np.uint8) & 0x7F for place in range(width)]
    return np.stack([part | (0x80 if place < width - 1 else 0) for place, part in enumerate(parts)], axis=1)


class MadeDay:
    """A PastReader of one topic: telemetry/P holds the readings of the devices at home in P, in the order of their times."""

    def __init__(self, schema_id: int, devices: int, partitions: int) -> None:
        names = [f"sensor-{number:05d}" for number in range(devices)]
        homes = [partition_of(name.encode(), partitions) for name in names]
        self.devices = {p: [n for n, home in enumerate(homes) if home == p] for p in range(partitions)}
        self._prefix = prefix(schema_id)
        self.records = 0

    def per_tick(self, partition: int) -> int:
        """Readings of a partition every ten seconds; they are spread over these."""
        return len(self.devices[partition])

    def offset(self, partition: int, second: int) -> int:
        """The first offset of a second."""
        count = self.per_tick(partition)
        return second // EVERY * count + -(-(second % EVERY) * count // EVERY)

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        for begins in range(start, stop, BATCH):
            following = min(begins + BATCH, stop)
            self.records += following - begins
            values = self._values(source.partition, np.arange(begins, following, dtype=np.int64))
            keys: list[bytes | None] = [None] * len(values)
            yield Batch(source, range(begins, following), keys, values, 0, begins, following)

    def _values(self, partition: int, offsets: npt.NDArray[np.int64]) -> list[bytes | None]:
        count = self.per_tick(partition)
        device = np.array(self.devices[partition], np.int64)[offsets % count]
        at = START + (offsets // count) * EVERY * SECOND + (offsets % count) * EVERY * SECOND // count
        phase = (at - START) / SECOND / (3_600 + 13.0 * (device % 97)) * 2 * np.pi + device
        value = 70 + 32 * np.sin(phase) + np.sin(offsets * 0.7)
        rows = len(offsets)

        def fixed(text: bytes) -> Bytes:
            return np.tile(np.frombuffer(text, np.uint8), (rows, 1))

        digits = np.stack([device // 10**place % 10 + ord("0") for place in (4, 3, 2, 1, 0)], axis=1).astype(np.uint8)
        time, double = varint(at, 8), value.astype("<f8").view(np.uint8).reshape(rows, 8)
        parts = [
            fixed(self._prefix + b"\x48" + b"0198a6f0-0000-7000-8000-000000000001" + b"\x18sensor-"), digits, time, time,
            fixed(b"\x02b"), varint(offsets + 2**20, 4), fixed(b"\x02\x16temperature"), time, double, fixed(b"\x00\x00"),
        ]  # fmt: skip
        whole = np.concatenate(parts, axis=1)
        width, data = whole.shape[1], whole.tobytes()
        return [data[place : place + width] for place in range(0, len(data), width)]
