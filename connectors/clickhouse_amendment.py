"""The block that puts rows in place of others, see connectors.clickhouse_ddl."""

import time
from collections.abc import Sequence
from typing import Any

import polars as pl

from connectors.clickhouse_ddl import AMENDED, GONE
from connectors.rows import ARRAYS, DTYPES
from schemas.table import Column, ColumnType, Table

_EMPTY: dict[ColumnType, Any] = {
    ColumnType.STRING: "",
    ColumnType.LABEL: "",
    ColumnType.LONG: 0,
    ColumnType.DOUBLE: 0.0,
    ColumnType.BOOLEAN: False,
    ColumnType.TIMESTAMP: 0,
}


def amendment(
    table: Table, sorting: Sequence[str], rows: pl.DataFrame, places: Sequence[tuple[Any, ...]], now: int | None = None
) -> pl.DataFrame:
    """`rows` (as connectors.rows.canonical makes them) with the columns of HIDDEN; after them a row for each place that none
    of them takes, which says that it is empty.

    `places`: of the rows that there are, their sorting columns and when they were amended, in microseconds. The new rows are
    amended at `now` (the clock's if None), and in any case later than these.
    """
    latest = max((place[-1] for place in places), default=0)
    moment = max(time.time_ns() // 1000 if now is None else now, latest + 1)
    taken = set(rows.select(sorting).iter_rows())
    left = [place[:-1] for place in places if place[:-1] not in taken]
    found = {name: [place[i] for place in left] for i, name in enumerate(sorting)}
    columns = [pl.Series(c.name, found.get(c.name) or [_empty(c)] * len(left), DTYPES[c.type]) for c in table.columns]
    return pl.concat(
        part.with_columns(pl.lit(moment, pl.Int64).alias(AMENDED.name), pl.lit(empty).alias(GONE.name))
        for part, empty in ((rows, False), (pl.DataFrame(columns), True))
    )


def _empty(column: Column) -> Any:
    if column.nullable:
        return None
    return [] if column.type in ARRAYS else _EMPTY[column.type]
