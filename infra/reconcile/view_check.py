"""The log against the views: pure, over frames."""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl

from infra.reconcile.facts import POSITION, Finding
from infra.reconcile.log_check import NAMED, position_name

RowCounts = pl.DataFrame
"""Of COUNTED_ROWS: how many rows (documents' counts: see DOCUMENT_ROWS) there are of the record at a position."""

DOCUMENT_ROWS = {"device_id": pl.String(), "counter": pl.String(), "records": pl.Int64()}


@dataclass
class ViewVerdict:
    """
    present:    records that are in the view once
    lost:       records that are not, or only in part
    duplicated: records that are in it more than once, or although the log does not hold them
    set_aside:  records that are among the dead letters instead
    behind:     records that the view had not reached when the time to wait was over (they are lost, for now)
    """

    present: int
    lost: Finding
    duplicated: Finding
    set_aside: int
    behind: int = 0

    @property
    def exact(self) -> bool:
        return not (self.lost.count or self.duplicated.count)


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
    trimmed: Collection[str],
    faulty: pl.DataFrame,
    set_aside: pl.DataFrame,
) -> ViewVerdict:
    """A view of documents that count the records folded into them.

    Args:
        expected: DOCUMENT_ROWS of the log.
        actual: DOCUMENT_ROWS of the view.
        trimmed: counters of topics whose log no longer begins at its first record: a document may count more.
        faulty, set_aside: as for `check_rows`.
    """
    both = expected.join(actual, on=("device_id", "counter"), how="full", suffix="_found", coalesce=True).with_columns(
        pl.col("records", "records_found").fill_null(0)
    )
    fewer = both.filter(pl.col("records_found") < pl.col("records"))
    more = both.filter((pl.col("records_found") > pl.col("records")) & ~pl.col("counter").is_in(list(trimmed)))
    unfound = faulty.join(set_aside, on=POSITION, how="anti")
    lost = int((fewer["records"] - fewer["records_found"]).sum()) + len(unfound)
    return ViewVerdict(
        present=int(both.select(pl.min_horizontal("records", "records_found")).sum().item()),
        lost=Finding(
            lost,
            [*_named_counts(fewer), *(f"{position_name(r)}: does not decode, and is not set aside" for r in _rows(unfound))],
        ),
        duplicated=Finding(int((more["records_found"] - more["records"]).sum()), _named_counts(more)),
        set_aside=len(faulty) - len(unfound),
    )


def _named_counts(documents: pl.DataFrame) -> list[str]:
    return [
        f"{row['device_id']}: {row['counter']} is {row['records_found']} instead of {row['records']}"
        for row in documents.sort("device_id", "counter").head(NAMED).iter_rows(named=True)
    ]


def _rows(positions: pl.DataFrame) -> list[dict[str, int]]:
    return positions.sort(POSITION).head(NAMED).to_dicts()
