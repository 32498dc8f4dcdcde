"""incidents: a row per event of an alert, for people: when each was raised, acknowledged and resolved, and how long that
took (queries: docs/views.md)."""

import polars as pl

from projections.projection import RowProjection
from schemas.table import PROVENANCE, Column, ColumnType, Table

STRING, LABEL, LONG, TIMESTAMP = ColumnType.STRING, ColumnType.LABEL, ColumnType.LONG, ColumnType.TIMESTAMP

TABLE = Table(
    name="incidents",
    columns=(
        *PROVENANCE,
        Column("event_id", STRING, "Id of the event."),
        Column("alert_id", STRING, "Id of the incident."),
        Column("event", LABEL, "Record type of the event."),
        Column("number", LONG, "Number of the event among the incident's; null of a refusal.", nullable=True),
        Column("rule_id", STRING, "Id of the rule, or null.", nullable=True),
        Column("rule_version", LONG, "Version of the rule, or null.", nullable=True),
        Column("device_id", STRING, "The device, or null for an incident about no single one.", nullable=True),
        Column("home_key", STRING, "The device, or fleet/RULE/GROUP."),
        Column("group_labels", STRING, "Values of the rule's group_by labels as JSON; or null.", nullable=True),
        Column("severity", LABEL, "critical, warning or info; or null.", nullable=True),
        Column("mode", LABEL, "live or shadow; or null.", nullable=True),
        Column("labels", STRING, "Labels as a JSON object, or null.", nullable=True),
        Column("annotations", STRING, "What the rule says to people, as a JSON object; or null.", nullable=True),
        Column("value", ColumnType.DOUBLE, "The value that the rule was about, or null.", nullable=True),
        Column("muted_by", STRING, "Why nobody is notified, or null.", nullable=True),
        Column("since", TIMESTAMP, "Since when the condition held, or null.", nullable=True),
        Column("fired_at", TIMESTAMP, "Of a resolution: when it had fired; null where it never had.", nullable=True),
        Column("level", LONG, "Level of escalation, or null.", nullable=True),
        Column("reason", LABEL, "Why it was resolved, or null.", nullable=True),
        Column("comment", STRING, "What somebody said, or null.", nullable=True),
        Column("command", LABEL, "Record type of a command that was refused, or null.", nullable=True),
        Column("code", LABEL, "Error code of a refusal, or null.", nullable=True),
        Column("actor", STRING, "engine, or who gave the command."),
        Column("occurred_at", TIMESTAMP, "When it became so, in event time."),
        Column("received_at", TIMESTAMP, "The same by the server's clock."),
    ),
    order=("home_key", "occurred_at"),
    identity=("topic", "partition", "offset"),
    key="home_key",
)


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a frame of alert events, one each."""
    whole = (pl.col(name).cast(pl.Int64) for name in ("number", "level"))
    named = (pl.col("record").alias("event"), pl.col("group").alias("group_labels"))
    return frame.with_columns(*named, *whole).select(TABLE.names)


INCIDENTS = RowProjection("incidents", ("fleet.alerts",), TABLE, rows)
