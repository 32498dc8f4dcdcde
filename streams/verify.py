"""Verify: replay the log into scratch and compare a content hash per key with the live view, while it goes on living.

A view that is being written is compared at an exact cut all the same:

- A row view never changes a row, so both sides are cut at the positions P that the live view had when verification
  began: rows of records below P, on both sides.
- A document carries, for each partition, the offset of the last record folded into it. Its positions are read first (P),
  then each document atomically: whatever it holds by then is at least what P implies. Scratch folds for each key the
  records up to the later of P and the document's own stamp, and must come to the same document. A record that was lost,
  doubled or changed on the way into the document makes the two differ.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from connectors.ports import Document, KeyedStore, LogReader, RowStore
from projections.projection import KEY, KeyedProjection, RowProjection, with_position
from projections.updates import changes
from schemas.log import TopicPartition
from schemas.record_columns import BatchDecoder
from streams.runner import Runner
from streams.versions import SCRATCH

STAMP = "position."


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many keys were compared, and the keys that differ, sorted."""

    keys: int
    differing: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return not self.differing


def content_hash(document: Mapping[str, str]) -> str:
    """A hash of a document's fields, whatever their order."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(document):
        for text in (name, document[name]):
            data = text.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def compare(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Verdict:
    """The verdict on two tables of key -> content hash."""
    keys = ours.keys() | theirs.keys()
    return Verdict(len(keys), tuple(sorted(key for key in keys if ours.get(key) != theirs.get(key))))


def verify_keyed(
    projection: KeyedProjection, store: KeyedStore, log: LogReader, decoders: Mapping[str, BatchDecoder]
) -> Verdict:
    """Compare the live version of a view of documents with the log.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    version = store.live()
    positions = store.positions(version)
    live: dict[str, Document] = dict(store.scan(version))
    scratch: dict[str, Document] = {}
    for source, (low, _) in log.bounds(projection.topics).items():
        _whole(source, low, projection.name)
        stamps = _stamps(live, source)
        stop = max([positions.get(source, 0), *(stamp + 1 for stamp in stamps.values())])
        limits = pl.DataFrame(
            {KEY: list(stamps), "__stamp": list(stamps.values())}, schema={KEY: pl.String, "__stamp": pl.Int64}
        )
        for batch in log.read(source, low, stop):
            frame = with_position(decoders[source.topic].decode(batch.values).frame, batch)
            keyed = _until(projection.keyed(source.topic, frame), limits, positions.get(source, 0))
            for key, updates in projection.summarize(source.topic, keyed).items():
                document = scratch.setdefault(key, {})
                document.update(changes(document, updates))
    return compare(
        {key: content_hash(document) for key, document in live.items()},
        {key: content_hash(document) for key, document in scratch.items()},
    )


def _stamps(documents: Mapping[str, Document], source: TopicPartition) -> dict[str, int]:
    field = f"{STAMP}{source}"
    return {key: int(document[field]) for key, document in documents.items() if field in document}


def _until(frame: pl.DataFrame, limits: pl.DataFrame, position: int) -> pl.DataFrame:
    """The records that a document must hold: below the position, or not after its own stamp."""
    stamped = frame.join(limits, on=KEY, how="left", maintain_order="left")
    held = (pl.col("offset") < position) | (pl.col("offset") <= pl.col("__stamp").fill_null(-1))
    return stamped.filter(held).drop("__stamp")


def verify_rows(projection: RowProjection, store: RowStore, log: LogReader, make_runner: Callable[[int], Runner]) -> Verdict:
    """Compare the live version of a view of rows with the log, by way of a scratch version that is dropped again.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    version = store.live()
    positions = store.positions(version)
    scratch = SCRATCH + secrets.randbelow(SCRATCH)  # two verifications at once don't meet
    store.prepare(scratch)
    try:
        runner = make_runner(scratch)
        bounds = log.bounds(projection.topics)
        runner.start(bounds)
        for source, (low, _) in bounds.items():
            _whole(source, low, projection.name)
            for batch in log.read(source, low, positions.get(source, 0)):
                runner.handle(batch)
        return compare(store.digests(version, positions), store.digests(scratch, positions))
    finally:
        store.drop(scratch)


def _whole(source: TopicPartition, low: int, view: str) -> None:
    if low > 0:
        raise ValueError(f"{source}: the log begins at offset {low}, so {view} can't be verified from its beginning")
