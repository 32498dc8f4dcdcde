"""What every row store asks of a table and of the rows it is given, so that all of them refuse the same faults."""

from collections.abc import Iterator, Mapping

import polars as pl

from schemas.log import TopicPartition
from schemas.table import PROVENANCE, Column, ColumnType, Table

DTYPES: Mapping[ColumnType, pl.DataType] = {
    ColumnType.STRING: pl.String(),
    ColumnType.LABEL: pl.String(),
    ColumnType.LONG: pl.Int64(),
    ColumnType.DOUBLE: pl.Float64(),
    ColumnType.BOOLEAN: pl.Boolean(),
    ColumnType.TIMESTAMP: pl.Int64(),
    ColumnType.DOUBLES: pl.List(pl.Float64()),
    ColumnType.STRINGS: pl.List(pl.String()),
}
"""How a column is held on its way into a store; a timestamp as microseconds."""

ARRAYS = frozenset({ColumnType.DOUBLES, ColumnType.STRINGS})


def check_table(table: Table) -> None:
    """Refuse a table whose rows could not be told apart or traced back to the log.

    Raises:
        ValueError: the provenance columns do not come first, `identity`, `order` or `key` name a column that is not
            there, `identity` lacks a provenance column (rows of two records would be one row, and what a view holds
            up to an offset would depend on later records), or a column is nullable that is an array or sorts rows.
    """
    provenance = tuple(column.name for column in PROVENANCE)
    if table.columns[: len(PROVENANCE)] != PROVENANCE:
        raise ValueError(f"table {table.name} does not start with the columns {', '.join(provenance)}")
    unknown = [name for name in (*table.order, *table.identity, table.key) if name not in table.names]
    if unknown:
        raise ValueError(f"table {table.name} has no column {', '.join(unknown)}")
    missing = [name for name in provenance if name not in table.identity]
    if missing:
        raise ValueError(f"the identity of table {table.name} lacks {', '.join(missing)}")
    sorting = {*table.order, *table.identity, table.key}
    nullable = [c.name for c in table.columns if c.nullable and (c.type in ARRAYS or c.name in sorting)]
    if nullable:
        raise ValueError(f"table {table.name}: {', '.join(nullable)} may not be nullable (an array, or sorts rows)")


def check_passed(table: Table, source: TopicPartition, offset: int, position: int) -> None:
    """Refuse to amend the rows of a record that is still to be folded: it would then be there twice.

    Raises:
        ValueError: the position is not beyond it.
    """
    if position <= offset:
        raise ValueError(f"table {table.name}: stands at {source}:{position} and has no rows of offset {offset} yet")


def canonical(table: Table, source: TopicPartition, first: int, following: int, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` in the table's column order and in the types of `DTYPES`.

    Raises:
        ValueError: a column is missing, too many, of another type or null where it may not be; or a row does not come
            from the records [first, following) of `source`. Nothing may be written then.
    """
    if set(rows.columns) != set(table.names):
        odd = sorted(set(rows.columns) ^ set(table.names))
        raise ValueError(f"table {table.name}: missing or unknown columns {', '.join(odd)}")
    frame = rows.select(_cast(table, column, rows[column.name]) for column in table.columns)
    if frame.is_empty():
        return frame
    strangers = (frame["topic"] != source.topic).any() or (frame["partition"] != source.partition).any()
    oldest, newest = frame.select(pl.min("offset").alias("oldest"), pl.max("offset").alias("newest")).row(0)
    if strangers or oldest < first or newest >= following:
        raise ValueError(f"table {table.name}: rows that do not come from {source} [{first}, {following})")
    return frame


def pieces(first: int, following: int, rows: pl.DataFrame, most: int) -> Iterator[tuple[int, int, pl.DataFrame]]:
    """`rows` of the records [first, following), cut between records into pieces of about `most` bytes, oldest first.

    Each comes with the records [first, following) that it is all the rows of. The same rows are always cut alike.
    """
    if rows.estimated_size() <= most:
        yield first, following, rows
        return
    size = pl.sum_horizontal(_bytes(name, dtype) for name, dtype in rows.schema.items())
    ordered = rows.sort("offset", maintain_order=True).with_columns((size.cum_sum() // most).alias("__piece"))
    ordered = ordered.with_columns(pl.col("__piece").first().over("offset"))
    cut = [part.drop("__piece") for part in ordered.partition_by("__piece", maintain_order=True)]
    starts = [first, *(part["offset"][0] for part in cut[1:]), following]
    yield from zip(starts, starts[1:], cut, strict=False)


def _bytes(name: str, dtype: pl.DataType) -> pl.Expr:
    """About how many bytes each row has in a column."""
    column = pl.col(name)
    match dtype:
        case pl.String():
            return column.str.len_bytes().fill_null(0).cast(pl.Int64) + 1
        case pl.List(inner=pl.String()):
            return column.list.eval(pl.element().str.len_bytes().cast(pl.Int64) + 1).list.sum() + 8
        case pl.List():
            return column.list.len().cast(pl.Int64) * 8 + 8
        case _:
            return pl.lit(8, pl.Int64)


def _cast(table: Table, column: Column, series: pl.Series) -> pl.Series:
    wanted = DTYPES[column.type]
    if not _lossless(series.dtype, column.type):
        raise ValueError(f"table {table.name}: column {column.name} is {series.dtype}, not {column.type}")
    try:
        cast = series.cast(wanted, strict=True)
    except pl.exceptions.InvalidOperationError as error:
        raise ValueError(f"table {table.name}: column {column.name}: {error}") from None
    holes = cast.null_count()
    if column.type in ARRAYS and not holes:
        holes = cast.explode(empty_as_null=False).null_count()
    if holes and not column.nullable:
        raise ValueError(f"table {table.name}: column {column.name} has {holes} nulls and is not nullable")
    return cast


def _lossless(dtype: pl.DataType, kind: ColumnType) -> bool:
    """Whether every value of `dtype` is one of `kind` (a column of nulls only has a dtype of its own, Null)."""
    if dtype == pl.Null:
        return True
    match kind:
        case ColumnType.STRING | ColumnType.LABEL:
            return dtype in (pl.String, pl.Categorical, pl.Enum)
        case ColumnType.LONG:
            return dtype.is_integer()
        case ColumnType.DOUBLE:
            return dtype.is_float()
        case ColumnType.BOOLEAN:
            return dtype == pl.Boolean
        case ColumnType.TIMESTAMP:
            return dtype == pl.Int64 or dtype in (pl.Datetime("us"), pl.Datetime("us", "UTC"))
        case ColumnType.DOUBLES | ColumnType.STRINGS:
            inner = dtype.inner if isinstance(dtype, pl.List) else None
            return inner in (pl.Null, pl.Float64 if kind is ColumnType.DOUBLES else pl.String)
