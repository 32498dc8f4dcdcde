"""Logs to archive, and an object store that dies."""

import random
from collections.abc import Iterator

from connectors.archive import Archive
from connectors.objects import MemoryObjects, Stored
from connectors.whole_log import MemoryWholeLog, WholeLog
from schemas.archive.records import Records, joined
from schemas.log import TopicPartition
from schemas.wire import UnknownSchema, prefix
from streams.archiving import Archiver, Closing, Surroundings

TOPIC = "fleet.toy"
PARTITIONS = 2
SOURCES = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
CLOSING = Closing(offsets=10, size=400, milliseconds=1000)


def fill(log: MemoryWholeLog, chance: random.Random, records: int, now: int = 0) -> None:
    """Random records with holes between, at about the time `now`."""
    for _ in range(records):
        source = chance.choice(SOURCES)
        if chance.random() < 0.2:
            log.skip(source, chance.randint(1, 4))
        value = chance.choice([None, b"", prefix(chance.randint(1, 3)) + chance.randbytes(chance.randint(0, 80))])
        offset = log.append(source, chance.choice([None, b"k%d" % chance.randint(0, 5)]), value)
        log.timestamps[source, offset] = now + chance.randint(-5, 5)
        if chance.random() < 0.3:
            log.headers[source, offset] = (("trace", chance.randbytes(3)), ("", None))


def random_log(seed: int, records: int = 80) -> MemoryWholeLog:
    log = MemoryWholeLog({TOPIC: PARTITIONS}, batch_records=7)
    fill(log, random.Random(seed), records)
    return log


def schema_of(schema_id: int) -> dict[str, object]:
    if schema_id == 3:
        raise UnknownSchema("no schema 3")
    return {"type": "record", "name": f"R{schema_id}", "fields": []}


def archiver(log: WholeLog, archive: Archive, now: int = 0, group: int = 0) -> Archiver:
    groups = {"fleetlog.toy": {f"{TOPIC}/0": group}} if group else {}
    return Archiver(log, archive, Surroundings(lambda: groups, schema_of, lambda: "", lambda: now), CLOSING)


def whole(log: WholeLog, source: TopicPartition) -> list[tuple[object, ...]]:
    """All that a log gives of a partition, from its beginning to its end; the pieces must follow each other."""
    low, end = log.bounds([source.topic])[source]
    pieces = list(log.records(source, low, end))
    assert [piece.read_from for piece in pieces] == [low, *(piece.read_to for piece in pieces)][: len(pieces)]
    if not pieces:
        return []
    assert pieces[-1].read_to == end
    return rows(joined(pieces))


def rows(of: Records) -> list[tuple[object, ...]]:
    columns = of.offsets, of.timestamps, of.keys, of.headers, of.values
    return list(zip(*columns, strict=True))  # type: ignore[arg-type]


class Killed(BaseException):
    """As `kill -9`: no handler of the program runs to an end that matters."""


class MortalObjects:
    """An object store whose user is killed before or after the change number `at`."""

    def __init__(self, inner: MemoryObjects, at: int, before: bool) -> None:
        self.inner, self.changes, self._at, self._before = inner, 0, at, before

    def create(self, name: str, data: bytes) -> bool:
        with self._dying():
            return self.inner.create(name, data)

    def delete(self, name: str) -> None:
        with self._dying():
            self.inner.delete(name)

    def _dying(self) -> "_Dying":
        self.changes += 1
        return _Dying(self.changes == self._at, self._before)

    def get(self, name: str) -> bytes:
        return self.inner.get(name)

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        return self.inner.get_range(name, start, stop)

    def list(self, prefix: str) -> Iterator[Stored]:
        return self.inner.list(prefix)


class _Dying:
    def __init__(self, dies: bool, before: bool) -> None:
        self._dies, self._before = dies, before

    def __enter__(self) -> None:
        if self._dies and self._before:
            raise Killed

    def __exit__(self, *_: object) -> None:
        if self._dies and not self._before:
            raise Killed
