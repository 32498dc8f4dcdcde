"""security_events: a row per event of somebody who did what an honest device or user does not do."""

import polars as pl

from projections.projection import RowProjection
from schemas.table import PROVENANCE, Column, ColumnType, Table

TABLE = Table(
    name="security_events",
    columns=(
        *PROVENANCE,
        Column("event_id", ColumnType.STRING, "Id of the event (UUIDv7)."),
        Column("subject", ColumnType.STRING, "Device id, hardware id, claim id, principal or network address."),
        Column("device_id", ColumnType.STRING, "The device, where it is known; or null.", nullable=True),
        Column("kind", ColumnType.LABEL, "What happened."),
        Column("address", ColumnType.STRING, "Network address that it came from, or null.", nullable=True),
        Column("detail", ColumnType.STRING, "What was seen and where."),
        Column("occurred_at", ColumnType.TIMESTAMP, "When, by the server's clock."),
        Column("received_at", ColumnType.TIMESTAMP, "The same."),
    ),
    order=("subject", "occurred_at"),
    identity=("topic", "partition", "offset"),
    key="subject",
)


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a frame of SecurityEventRecorded records, one each."""
    return frame.select(TABLE.names)


SECURITY_EVENTS = RowProjection("security_events", ("fleet.security-events",), TABLE, rows)
