"""telemetry: a row per reading."""

import polars as pl

from projections.projection import RowProjection
from schemas.table import PROVENANCE, Column, ColumnType, Table

TABLE = Table(
    name="telemetry",
    columns=(
        *PROVENANCE,
        Column("reading", ColumnType.LONG, "Place of the reading in its record, from 0."),
        Column("event_id", ColumnType.STRING, "Id of the record's event (UUIDv7)."),
        Column("device_id", ColumnType.STRING, "Device that measured."),
        Column("metric", ColumnType.LABEL, "What was measured."),
        Column("at", ColumnType.TIMESTAMP, "When, by the device's clock."),
        Column("value", ColumnType.DOUBLE, "The value, in the unit given."),
        Column("unit", ColumnType.LABEL, "Unit of the value, or null.", nullable=True),
        Column("boot_id", ColumnType.STRING, "The device's start that the upload belongs to."),
        Column("sequence", ColumnType.LONG, "Number of the upload since that start."),
        Column("occurred_at", ColumnType.TIMESTAMP, "When the upload was made, by the device's clock."),
        Column("received_at", ColumnType.TIMESTAMP, "When it was accepted, by the server's clock."),
    ),
    order=("device_id", "metric", "at"),
    identity=("topic", "partition", "offset", "reading"),
)


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The readings of a frame of TelemetryReceived records, in the order of the log."""
    return (
        frame.with_columns(pl.int_ranges(pl.col("readings").list.len().cast(pl.Int64)).alias("reading"))
        .filter(pl.col("readings").list.len() > 0)
        .explode("readings", "reading")
        .unnest("readings")
        .select(TABLE.names)
    )


TELEMETRY = RowProjection("telemetry", ("fleet.telemetry",), TABLE, rows)
