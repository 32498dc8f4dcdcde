"""Some documents of a keyed view, folded anew from the log: nothing but their records is folded, nothing is written."""

from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from connectors.ports import Document, LogReader
from projections.projection import KEY, KeyedProjection, with_position
from projections.updates import changes
from schemas.log import TopicPartition
from schemas.record_columns import BatchDecoder
from streams.parking import demand_no_parking

STAMP = "position."

FROM, TO = "__from", "__to"

Cuts = Mapping[str, int]
"""Key -> the offset that follows the last record to fold."""


class KeyFold:
    """The documents of `keys` as the log implies them, each up to where `advance` was told. Reads a partition once for each
    call, from where the furthest back of the keys stands."""

    def __init__(
        self,
        projection: KeyedProjection,
        log: LogReader,
        decoders: Mapping[str, BatchDecoder],
        keys: Iterable[str],
        without: tuple[TopicPartition, int] | None = None,
    ) -> None:
        """`without`: a record that is left out, to see what it is worth.

        Raises:
            Parks: the view's documents can't be folded so.
        """
        demand_no_parking(projection)
        self.documents: dict[str, Document] = {key: {} for key in keys}
        self._projection, self._log, self._decoders, self._without = projection, log, decoders, without
        self._reached: dict[tuple[TopicPartition, str], int] = {}

    def advance(self, source: TopicPartition, cuts: Cuts) -> int:
        """Fold the records of a partition up to `cuts`; keys that stand there already are left. Returns the records folded.

        Raises:
            Away: the broker or the registry does not answer.
            ValueError: the log no longer reaches back to the beginning.
        """
        due = {key: cut for key, cut in cuts.items() if cut > self._reached.get((source, key), 0)}
        folded = 0
        for frame in self.records(source, due):
            folded += len(frame)
            for key, updates in self._projection.summarize(source.topic, frame).items():
                document = self.documents[key]
                document.update(changes(document, updates))
        self._reached.update({(source, key): cut for key, cut in due.items()})
        return folded

    def records(self, source: TopicPartition, cuts: Cuts) -> Iterator[pl.DataFrame]:
        """The keyed frames of what `advance` would fold, in the order of the log; none is empty."""
        if not cuts:
            return
        starts = {key: self._reached.get((source, key), 0) for key in cuts}
        limits = pl.DataFrame(
            {KEY: list(cuts), FROM: list(starts.values()), TO: list(cuts.values())},
            schema={KEY: pl.String, FROM: pl.Int64, TO: pl.Int64},
        )
        for batch in self._log.read(source, min(starts.values()), max(cuts.values())):
            decoded = self._decoders[source.topic].decode(batch.values).frame
            keyed = self._projection.keyed(source.topic, with_position(decoded, batch))
            mine = keyed.join(limits, on=KEY, how="inner", maintain_order="left")
            mine = mine.filter((pl.col("offset") >= pl.col(FROM)) & (pl.col("offset") < pl.col(TO))).drop(FROM, TO)
            if self._without is not None and self._without[0] == source:
                mine = mine.filter(pl.col("offset") != self._without[1])
            if not mine.is_empty():
                yield mine


def cuts(positions: Mapping[TopicPartition, int], documents: Mapping[str, Document]) -> dict[TopicPartition, Cuts]:
    """For each partition how far each document is folded: up to the later of the version's position, which was read before
    the document, and of the document's own stamp, which may have gone on since."""
    stamped = {
        TopicPartition.parse(name.removeprefix(STAMP))
        for document in documents.values()
        for name in document
        if name.startswith(STAMP)
    }
    return {
        source: {
            key: max(positions.get(source, 0), int(document.get(f"{STAMP}{source}", "-1")) + 1)
            for key, document in documents.items()
        }
        for source in sorted(stamped | set(positions))
    }
