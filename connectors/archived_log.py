"""The archive and the live log read as one: what the log no longer holds comes from the archive, the rest from the log."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from connectors.archive import Archive
from connectors.whole_log import WholeLog
from schemas.archive.manifest import Manifest
from schemas.archive.records import Records
from schemas.log import Batch, TopicPartition

BATCH_RECORDS = 20_000


class _Piece(Protocol):
    """A Batch or Records."""

    @property
    def following(self) -> int: ...


T = TypeVar("T", bound=_Piece)


class ArchivedLog:
    """A WholeLog over a live one and the archive below its beginning. The archive is asked for nothing that the log has, and
    not at all while the log reaches back to its beginning; it may then be away.

    Beside what a LogReader raises: Damaged, which names the object, and Refused.
    """

    def __init__(self, live: WholeLog, archive: Archive, batch_records: int = BATCH_RECORDS) -> None:
        """`batch_records`: most records of one batch out of the archive."""
        self._live, self._archive, self._batch_records = live, archive, batch_records

    def bounds(self, topics: Iterable[str]) -> dict[TopicPartition, tuple[int, int]]:
        live = self._live.bounds(topics)
        trimmed = {source.topic for source, (low, _) in live.items() if low > 0}
        manifests = {topic: self._manifest(topic) for topic in trimmed}
        return {source: (_low(manifests.get(source.topic), source, low), end) for source, (low, end) in live.items()}

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        return self._both(source, start, stop, self._live.read, self._archived_batches)

    def records(self, source: TopicPartition, start: int, stop: int) -> Iterator[Records]:
        """See WholeLog."""
        return self._both(source, start, stop, self._live.records, self._archived)

    def offset_at(self, source: TopicPartition, milliseconds: int) -> int:
        """An offset below which every record's timestamp is earlier."""
        low = self._live_low(source)
        manifest = self._manifest(source.topic) if low else None
        archived = manifest.covering(source.partition, _low(manifest, source, low), low) if manifest else ()
        for segment in archived:
            if segment.newest is not None and segment.newest >= milliseconds:
                return segment.first
        return self._live.offset_at(source, milliseconds)

    def close(self) -> None:
        self._live.close()

    def _both(
        self,
        source: TopicPartition,
        start: int,
        stop: int,
        live: Callable[[TopicPartition, int, int], Iterator[T]],
        archived: Callable[[TopicPartition, int, int], Iterator[T]],
    ) -> Iterator[T]:
        following = start
        while following < stop:
            # Where the log begins is asked for only when it refuses: mostly it has what is wanted, and a short read should
            # not cost more questions than records.
            try:
                for piece in live(source, following, stop):
                    yield piece
                    following = piece.following
            except ValueError:
                low = self._live_low(source)
                if low <= following:
                    raise
            else:
                return
            for piece in archived(source, following, min(low, stop)):
                yield piece
                following = piece.following

    def _archived_batches(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        for records in self._archived(source, start, stop, with_headers=False):
            yield records.batch()

    def _archived(self, source: TopicPartition, start: int, stop: int, with_headers: bool = True) -> Iterator[Records]:
        """The records of [start, stop), which the live log no longer holds, and the archive must."""
        manifest = self._manifest(source.topic)
        first, following = (0, 0) if manifest is None else manifest.span(source.partition)
        if manifest is None or not first <= start or following < stop:
            held = f"holds those from {first} to {following}" if following else "holds none of them"
            raise ValueError(
                f"{source}: the log begins at offset {self._live_low(source)}, it can't be read from {start}; "
                f"the archive {self._archive} {held}"
            )
        for segment in manifest.covering(source.partition, start, stop):
            records = self._archive.records(source, segment, with_headers=with_headers).between(start, stop)
            yield from records.pieces(self._batch_records)

    def _live_low(self, source: TopicPartition) -> int:
        return self._live.bounds([source.topic])[source][0]

    def _manifest(self, topic: str) -> Manifest | None:
        found = self._archive.manifest(topic)
        return None if found is None else found[0]


def _low(manifest: Manifest | None, source: TopicPartition, low: int) -> int:
    """The first offset that can be read of a partition whose log begins at `low`."""
    if manifest is None:
        return low
    first, following = manifest.span(source.partition)
    return min(first, low) if following >= low else low  # a break between the two: as if nothing were archived
