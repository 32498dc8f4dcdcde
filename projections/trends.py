"""trends: a row per record of what a device's readings were in a window; the one of most readings counts."""

import polars as pl

from projections.projection import RowProjection
from schemas.table import PROVENANCE, Column, ColumnType, Table

TABLE = Table(
    name="trends",
    columns=(
        *PROVENANCE,
        Column("device_id", ColumnType.STRING, "Device that measured."),
        Column("metric", ColumnType.LABEL, "What was measured."),
        Column("window", ColumnType.LABEL, "Kind of window: 1m, 1h, or 1h/5m."),
        Column("start", ColumnType.TIMESTAMP, "Beginning of the window."),
        Column("end", ColumnType.TIMESTAMP, "End of the window, which it does not include."),
        Column("count", ColumnType.LONG, "Readings in the window."),
        Column("low", ColumnType.DOUBLE, "Least value, or null.", nullable=True),
        Column("high", ColumnType.DOUBLE, "Greatest value, or null.", nullable=True),
        Column("mean", ColumnType.DOUBLE, "Mean value, or null.", nullable=True),
        Column("stddev", ColumnType.DOUBLE, "Standard deviation of the sample, or null.", nullable=True),
        Column("first", ColumnType.DOUBLE, "Value of the earliest reading, or null.", nullable=True),
        Column("last", ColumnType.DOUBLE, "Value of the latest reading, or null.", nullable=True),
        Column("slope", ColumnType.DOUBLE, "Change by least squares, in units per second, or null.", nullable=True),
        Column("r2", ColumnType.DOUBLE, "Share of the variance that the slope explains, or null.", nullable=True),
        Column("late", ColumnType.LONG, "Readings that came ten minutes after the end of their minute, or later."),
        Column("set_aside", ColumnType.LONG, "Readings received in the window that could not be taken."),
        Column("revision", ColumnType.LONG, "How many records of this window came before, since its sums were begun."),
        Column("known_at", ColumnType.TIMESTAMP, "Greatest time of reception among what was counted."),
    ),
    order=("device_id", "metric", "window", "start"),
    identity=("topic", "partition", "offset"),
)


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a frame of TrendComputed records, one each."""
    return frame.rename({"received_at": "known_at"}).select(TABLE.names)


TRENDS = RowProjection("trends", ("fleet.trends",), TABLE, rows)
