"""Folding the log into memory: what a view of documents must hold, of all keys or of some, up to an exact cut.

A document carries, for each partition, the offset of the last record folded into it. Where a view is written meanwhile, its
positions are read first (P), then each document atomically: whatever it holds by then is at least what P implies. Scratch
folds for each key the records up to the later of P and the document's own stamp, and must come to the same document.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl

from connectors.ports import Away, Document, LogReader
from projections.projection import KEY, KeyedProjection, with_position
from projections.updates import changes
from schemas.log import Batch, TopicPartition
from schemas.record_columns import BatchDecoder
from streams.parking import demand_no_parking

STAMP = "position."


@dataclass(frozen=True)
class Source:
    """What documents are folded from.

    Raises:
        Parks: the view's documents can't be.
    """

    projection: KeyedProjection
    log: LogReader
    decoders: Mapping[str, BatchDecoder]

    def __post_init__(self) -> None:
        demand_no_parking(self.projection)


@dataclass(frozen=True)
class Until:
    """How far to fold: below the positions; and for the keys of `documents` up to these documents' own stamps, too. With
    `only`, nothing but these keys; with `chosen`, nothing but the keys that it is true of."""

    positions: Mapping[TopicPartition, int]
    documents: Mapping[str, Document] = field(default_factory=dict)
    only: Collection[str] | None = None
    chosen: Callable[[str], bool] | None = None


def refold(source: Source, until: Until) -> dict[str, Document]:
    """The documents that the log implies.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    scratch: dict[str, Document] = {}
    for partition, (low, _) in source.log.bounds(source.projection.topics).items():
        whole(partition, low, source.projection.name)
        fold_on(source, partition, (low, until.positions.get(partition, 0)), until, scratch)
    return scratch


def whole(source: TopicPartition, low: int, view: str) -> None:
    """
    Raises:
        ValueError: the log begins above 0.
    """
    if low > 0:
        raise ValueError(f"{source}: the log begins at offset {low}, so {view} can't be verified from its beginning")


def read_up_to(log: LogReader, source: TopicPartition, offsets: tuple[int, int, int]) -> Iterator[Batch]:
    """The batches of a partition from the first of `offsets` up to the second.

    Raises:
        Away: it ended before the third, though everything below that was folded once: what was read is not the whole log.
    """
    start, stop, least = offsets
    following = start
    for batch in log.read(source, start, stop):
        if batch.begins > following:
            raise Away(f"{source}: the log was read up to {following}, and then from {batch.begins} on")
        following = batch.following
        yield batch
    if following < min(least, stop):
        raise Away(f"{source}: the log was read up to {following} only, not to {least}")


def fold_on(
    source: Source, partition: TopicPartition, offsets: tuple[int, int], until: Until, scratch: dict[str, Document]
) -> None:
    """Fold the records of one partition from the first of `offsets` up to the second, or to the documents' own stamps."""
    start, position = offsets
    projection, topic = source.projection, partition.topic
    stamps = stamps_of(until.documents, partition)
    limits = pl.DataFrame(
        {KEY: list(stamps), "__stamp": list(stamps.values())}, schema={KEY: pl.String, "__stamp": pl.Int64}
    )
    only = None if until.only is None else pl.Series(KEY, list(until.only), pl.String).implode()
    stop = max([position, *(stamp + 1 for stamp in stamps.values())])
    for batch in read_up_to(source.log, partition, (start, stop, position)):
        frame = with_position(source.decoders[topic].decode(batch.values).frame, batch)
        keyed = projection.keyed(topic, frame)
        if only is not None:
            keyed = keyed.filter(pl.col(KEY).is_in(only))
        if until.chosen is not None:
            wanted = [key for key in keyed[KEY].unique().to_list() if until.chosen(key)]
            keyed = keyed.filter(pl.col(KEY).is_in(pl.Series(KEY, wanted, pl.String).implode()))
        for key, updates in projection.summarize(topic, _held(keyed, limits, position)).items():
            document = scratch.setdefault(key, {})
            document.update(changes(document, updates))


def stamps_of(documents: Mapping[str, Document], source: TopicPartition) -> dict[str, int]:
    """For each document the offset of the last record of a partition that is in it. What is no offset says nothing."""
    field = f"{STAMP}{source}"
    found = ((key, document.get(field, "")) for key, document in documents.items())
    return {key: int(stamp) for key, stamp in found if stamp.isascii() and stamp.isdecimal() and len(stamp) < 19}


def _held(frame: pl.DataFrame, limits: pl.DataFrame, position: int) -> pl.DataFrame:
    """The records that a document must hold: below the position, or not after its own stamp."""
    if limits.is_empty():
        return frame.filter(pl.col("offset") < position)
    stamped = frame.join(limits, on=KEY, how="left", maintain_order="left")
    held = (pl.col("offset") < position) | (pl.col("offset") <= pl.col("__stamp").fill_null(-1))
    return stamped.filter(held).drop("__stamp")
