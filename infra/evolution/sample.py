"""A bounded sample of what lies on a topic, by schema id: from slices of every partition, from its oldest record to its
newest. Schema ids that occur only between two slices are not met."""

from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest

from connectors.ports import Away, LogReader
from schemas.log import Batch, TopicPartition
from schemas.wire import PREFIX_BYTES, NotFramed, schema_id

SLICES = 8  # of a partition, evenly spaced; the first holds its oldest records, the last its newest
LEAST_RECORDS = 20_000  # of a topic that are read at least, if it has so many: a smaller topic is read whole
MOST_BYTES = 64_000_000  # of a topic's sample; a slice ends early where its share is used up


@dataclass(frozen=True, slots=True)
class Record:
    source: TopicPartition
    offset: int
    key: bytes | None
    body: bytes

    @property
    def place(self) -> str:
        return f"{self.source}@{self.offset}"


@dataclass(slots=True)
class Sample:
    """`records` by schema id, in the order of the log; of `read` records of the `held` on the topic. `left_out` counts
    tombstones and values that are not framed."""

    held: int = 0
    read: int = 0
    left_out: int = 0
    records: dict[int, list[Record]] = field(default_factory=dict)


def sample(
    log: LogReader, topic: str, per_id: int, most_bytes: int = MOST_BYTES, least_records: int = LEAST_RECORDS
) -> Sample:
    """At most `per_id` records of each schema id, spread over partitions and time as evenly as they come. Raises Away."""
    bounds = log.bounds([topic])
    found = Sample(held=sum(end - low for low, end in bounds.values()))
    partitions = max(1, len(bounds))
    size = max(-(-least_records // (SLICES * partitions)), -(-2 * per_id // partitions))
    share = most_bytes // max(1, SLICES * len(bounds))
    by_slice: list[dict[int, list[Record]]] = []
    for source, (low, end) in bounds.items():
        for start, stop in slices(low, end, size):
            met: dict[int, list[Record]] = {}
            held = 0
            with closing(_framed(log, source, (start, stop), found)) as framed:
                for number, record in framed:
                    met.setdefault(number, []).append(record)
                    held += len(record.body)
                    if held > share:
                        break
            by_slice.append(met)
    for number in sorted({number for met in by_slice for number in met}):
        found.records[number] = _spread([met.get(number, []) for met in by_slice], per_id)
    return found


def slices(low: int, end: int, size: int) -> list[tuple[int, int]]:
    """At most SLICES ranges of at most `size` offsets in [low, end), the first at its start, the last at its end."""
    if end - low <= SLICES * size:  # all, and still in parts, so that each has its share of the bytes
        cuts = sorted({low + (end - low) * i // SLICES for i in range(SLICES + 1)})
        return list(pairwise(cuts))
    starts = (low + (end - size - low) * i // (SLICES - 1) for i in range(SLICES))
    return [(start, start + size) for start in starts]


def _framed(
    log: LogReader, source: TopicPartition, within: tuple[int, int], found: Sample
) -> Generator[tuple[int, Record], None, None]:
    for batch in _read(log, source, within):
        found.read += len(batch)
        for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
            try:
                number = schema_id(value) if value is not None else None
            except NotFramed:
                number = None
            if number is None or value is None:
                found.left_out += 1
            else:
                yield number, Record(source, offset, key, value[PREFIX_BYTES:])


def _read(log: LogReader, source: TopicPartition, within: tuple[int, int]) -> Iterator[Batch]:
    try:
        yield from log.read(source, *within)
    except ValueError as error:  # retention was faster
        raise Away(f"{error}; run it again") from error


def _spread(by_slice: list[list[Record]], most: int) -> list[Record]:
    """`most` records, as many from each slice as it can give; from within a slice at even steps."""
    sizes = [len(part) for part in by_slice]
    taken: Counter[int] = Counter()
    for round_ in zip_longest(*(range(size) for size in sizes)):
        for place, one in enumerate(round_):
            if one is not None and taken.total() < most:
                taken[place] += 1
        if taken.total() >= most:
            break
    chosen = [part[i * len(part) // taken[place]] for place, part in enumerate(by_slice) for i in range(taken[place])]
    return sorted(chosen, key=lambda record: (record.source, record.offset))
