"""Reading what the views hold."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from connectors.ports import Away, Document, KeyedStore, RowStore
from infra.reconcile.facts import COUNTED_ROWS, KINDS, Bounds
from infra.reconcile.view_check import DOCUMENT_ROWS
from schemas.log import TopicPartition

POLL_SECONDS = 0.25
COUNTED_AT_ONCE = 500_000  # offsets
FAR = 2**62  # beyond every offset
STAMP = "position."
Says = Callable[[Document], str]
SAID_ROWS = {"device_id": pl.String(), "said": pl.String()}
STAMP_ROWS = {"device_id": pl.String(), "topic": pl.String(), "partition": pl.Int64(), "following": pl.Int64()}


class NotANumber(ValueError):
    """A document does not count in numbers; the message names it and the field."""


@dataclass(frozen=True)
class Documents:
    """What a view of documents says of itself.

    counted: DOCUMENT_ROWS.
    said: SAID_ROWS: what each says that `says` asks for.
    stamps: STAMP_ROWS: of each document the offset behind the newest record of a partition in it. A document that went on
        since the positions were read is compared with the log up to there.
    positions: of the view, read before its documents.
    """

    counted: pl.DataFrame
    said: pl.DataFrame
    stamps: pl.DataFrame
    positions: Mapping[TopicPartition, int]


def wait_for_views(
    positions: Mapping[str, Callable[[], Mapping[TopicPartition, int]]],
    ends: Mapping[str, Mapping[TopicPartition, int]],
    seconds: float,
) -> dict[str, int]:
    """Wait until every view has folded all records before its `ends`; returns for each that has not after `seconds` how
    many are missing.

    Raises:
        Away: a store did not answer, up to the last.
    """
    until = time.monotonic() + seconds
    while True:
        away: Away | None = None
        behind: dict[str, int] = {}
        for view, read in positions.items():
            try:
                stored = read()
            except Away as error:
                away = error
                continue
            missing = sum(max(0, end - stored.get(source, 0)) for source, end in ends[view].items())
            if missing:
                behind[view] = missing
        if away is None and not behind:
            return {}
        if time.monotonic() >= until:
            if away is not None:
                raise away
            return behind
        time.sleep(POLL_SECONDS)


def read_documents(store: KeyedStore, version: int, counters: Mapping[str, str], says: Says | None = None) -> Documents:
    """All documents' counts and stamps, and what `says` finds in them; the positions are read before them.

    Args:
        counters: field -> the topic whose records it counts.

    Raises:
        NotANumber: one says something else where it counts, or where it says how far it is.
    """
    positions = store.positions(version)
    said: dict[str, str] = {}
    counts: dict[tuple[str, str], int] = {}
    stamps: dict[tuple[str, str], int] = {}
    for key, document in store.scan(version):
        if says is not None:
            said[key] = says(document)
        for name, text in document.items():
            if name in counters:
                counts[key, counters[name]] = _number(key, name, text)
            elif name.startswith(STAMP):
                stamps[key, name.removeprefix(STAMP)] = _number(key, name, text) + 1
    parsed = [(key, *TopicPartition.parse(source), following) for (key, source), following in stamps.items()]
    return Documents(
        pl.DataFrame([(*key, count) for key, count in counts.items()], DOCUMENT_ROWS, orient="row"),
        pl.DataFrame(list(said.items()), SAID_ROWS, orient="row"),
        pl.DataFrame(parsed, STAMP_ROWS, orient="row"),
        positions,
    )


def _number(key: str, name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise NotANumber(f"the document of {key} says {text!r} in {name}, which is no number") from None


def row_counts(store: RowStore, version: int, bounds: Bounds) -> pl.DataFrame:
    """COUNTED_ROWS of a view of rows: from the first offset of each partition that the log keeps, also beyond its end."""
    return pl.concat([pl.DataFrame(schema=COUNTED_ROWS), *_row_counts(store, version, bounds)])


def _row_counts(store: RowStore, version: int, bounds: Bounds) -> Iterator[pl.DataFrame]:
    for source, (first, end) in bounds.items():
        edges = [*range(first, end, COUNTED_AT_ONCE), end, FAR]
        for start, stop in pairwise(edges):
            counts = store.counts(version, source, start, stop)
            yield pl.DataFrame(
                {
                    "kind": pl.repeat(KINDS[source.topic], len(counts), dtype=pl.UInt8, eager=True),
                    "partition": pl.repeat(source.partition, len(counts), dtype=pl.Int32, eager=True),
                    "offset": pl.Series(list(counts), dtype=pl.Int64),
                    "rows": pl.Series(list(counts.values()), dtype=pl.UInt32),
                }
            )


def without_newer(counted: pl.DataFrame, bounds: Bounds, later: Bounds) -> pl.DataFrame:
    """`counted` without what the view rightly holds of records that came since the `bounds` were looked up; `later` are
    bounds that were looked up after it was counted. What remains beyond the end stands for no record of the log."""
    came = [(KINDS[source.topic], source.partition, end, later[source][1]) for source, (_, end) in bounds.items()]
    schema = {"kind": pl.UInt8(), "partition": pl.Int32(), "end": pl.Int64(), "later": pl.Int64()}
    newer = (pl.col("offset") >= pl.col("end")) & (pl.col("offset") < pl.col("later"))
    ends = pl.DataFrame(came, schema, orient="row")
    return counted.join(ends, on=("kind", "partition")).filter(~newer).select(*COUNTED_ROWS)
