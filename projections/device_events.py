"""device_events: a row per event that a device reported."""

import polars as pl

from projections.projection import RowProjection
from schemas.table import PROVENANCE, Column, ColumnType, Table

TABLE = Table(
    name="device_events",
    columns=(
        *PROVENANCE,
        Column("event_id", ColumnType.STRING, "Id of the event (UUIDv7)."),
        Column("device_id", ColumnType.STRING, "Device that reported it."),
        Column("event_type", ColumnType.LABEL, "Kind of event."),
        Column("confidence", ColumnType.DOUBLE, "How sure the device is, 0 to 1, or null.", nullable=True),
        Column("metadata", ColumnType.STRING, "What else the device says of it: a JSON object."),
        Column("media_files", ColumnType.STRINGS, "Names of the media files that belong to it."),
        Column("boot_id", ColumnType.STRING, "The device's start that the upload belongs to."),
        Column("sequence", ColumnType.LONG, "Number of the upload since that start."),
        Column("occurred_at", ColumnType.TIMESTAMP, "When it happened, by the device's clock."),
        Column("received_at", ColumnType.TIMESTAMP, "When it was accepted, by the server's clock."),
    ),
    order=("device_id", "occurred_at"),
    identity=("topic", "partition", "offset"),
)


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a frame of DeviceEventReceived records, one each."""
    return frame.select(TABLE.names)


DEVICE_EVENTS = RowProjection("device_events", ("fleet.device-events",), TABLE, rows)
