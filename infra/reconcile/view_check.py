"""The log against the views: pure, over frames."""

from dataclasses import dataclass, field

import polars as pl

from infra.reconcile.facts import POSITION, Finding
from infra.reconcile.log_check import NAMED, position_name

RowCounts = pl.DataFrame
"""Of COUNTED_ROWS: how many rows (documents' counts: see DOCUMENT_ROWS) there are of the record at a position."""

# `device_id` is the document's key, also where that is something else.
DOCUMENT_ROWS = {"device_id": pl.String(), "counter": pl.String(), "records": pl.Int64()}

EXPECTED_ROWS = {**DOCUMENT_ROWS, "set_aside": pl.Int64()}
"""`set_aside`: how many of the records are among the view's dead letters although they decode by now; a document may hold
them (it was made anew since) or not."""


@dataclass
class ViewVerdict:
    """
    present:    records that are in the view once
    lost:       records that are not, or only in part
    duplicated: records that are in it more than once, or although the log does not hold them
    set_aside:  records that are among the dead letters instead
    behind:     records that the view had not reached when the time to wait was over (they count as lost)
    changed:    documents that say something else than the log
    """

    present: int
    lost: Finding
    duplicated: Finding
    set_aside: int
    behind: int = 0
    changed: Finding = field(default_factory=Finding)

    @property
    def exact(self) -> bool:
        return not (self.lost.count or self.duplicated.count or self.changed.count)


def check_rows(expected: RowCounts, actual: RowCounts, faulty: pl.DataFrame, set_aside: pl.DataFrame) -> ViewVerdict:
    """A view of rows.

    Args:
        expected: COUNTED_ROWS of the records that decode.
        actual: COUNTED_ROWS of the view, over the same offsets.
        faulty: POSITION_ROWS of records that do not decode: they make no rows.
        set_aside: POSITION_ROWS of this view's dead letters.
    """
    wanted = pl.concat([expected, faulty.with_columns(pl.lit(0, pl.UInt32).alias("rows"))])
    both = wanted.join(actual, on=POSITION, how="full", suffix="_found", coalesce=True).with_columns(
        pl.col("rows").is_null().alias("stray"), pl.col("rows", "rows_found").fill_null(0)
    )
    surplus = both.filter(pl.col("stray") | (pl.col("rows_found") > pl.col("rows")))
    missing = both.filter((pl.col("rows_found") < pl.col("rows")) | ((pl.col("rows") == 0) & ~pl.col("stray")))
    missing = missing.join(surplus, on=POSITION, how="anti")
    lost = missing.join(set_aside, on=POSITION, how="anti")
    return ViewVerdict(
        present=len(both) - len(surplus) - len(missing),
        lost=Finding(len(lost), _named(lost)),
        duplicated=Finding(len(surplus), _named(surplus)),
        set_aside=len(missing) - len(lost),
    )


def _named(records: pl.DataFrame) -> list[str]:
    return [
        f"{position_name(row)}: {row['rows_found']} rows instead of {row['rows']}"
        for row in records.sort(POSITION).head(NAMED).iter_rows(named=True)
    ]


def check_documents(
    expected: pl.DataFrame,
    actual: pl.DataFrame,
    trimmed: pl.DataFrame,
    faulty: pl.DataFrame,
    set_aside: pl.DataFrame,
) -> ViewVerdict:
    """A view of documents that count the records folded into them.

    Args:
        expected: EXPECTED_ROWS of the log.
        actual: DOCUMENT_ROWS of the view.
        trimmed: device_id, counter of documents with records of a partition whose log no longer begins at its first one:
            they may count more.
        faulty, set_aside: as for `check_rows`.
    """
    key = ("device_id", "counter")
    both = expected.join(actual, on=key, how="full", suffix="_found", coalesce=True).with_columns(
        pl.col("records", "records_found", "set_aside").fill_null(0)
    )
    lacking = (pl.col("records") - pl.col("records_found")).clip(0)
    both = both.with_columns((lacking - pl.col("set_aside")).clip(0).alias("lost"), lacking.alias("lacking"))
    fewer = both.filter(pl.col("lost") > 0)
    more = both.filter(pl.col("records_found") > pl.col("records")).join(trimmed, on=key, how="anti")
    unfound = faulty.join(set_aside, on=POSITION, how="anti")
    undecoded = [f"{position_name(row)}: does not decode, and is not set aside" for row in _rows(unfound)]
    lost = int(fewer["lost"].sum())
    return ViewVerdict(
        present=int(both.select(pl.min_horizontal("records", "records_found")).sum().item()),
        lost=Finding(lost + len(unfound), [*_named_counts(fewer), *undecoded]),
        duplicated=Finding(int((more["records_found"] - more["records"]).sum()), _named_counts(more)),
        set_aside=len(faulty) - len(unfound) + int(both["lacking"].sum()) - lost,
    )


def _named_counts(documents: pl.DataFrame) -> list[str]:
    return [
        f"{row['device_id']}: {row['counter']} is {row['records_found']} instead of {row['records']}"
        for row in documents.sort("device_id", "counter").head(NAMED).iter_rows(named=True)
    ]


def _rows(positions: pl.DataFrame) -> list[dict[str, int]]:
    return positions.sort(POSITION).head(NAMED).to_dicts()
