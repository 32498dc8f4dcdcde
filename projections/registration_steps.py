"""registration_steps: a row per event of a registration, for the funnel and its durations (queries: docs/views.md)."""

import polars as pl

from projections.projection import RowProjection
from schemas.table import PROVENANCE, Column, ColumnType, Table

STRING, LABEL, LONG = ColumnType.STRING, ColumnType.LABEL, ColumnType.LONG

TABLE = Table(
    name="registration_steps",
    columns=(
        *PROVENANCE,
        Column("event_id", STRING, "Id of the event."),
        Column("subject", STRING, "Hardware id of the device, or id of the claim, that the event is about."),
        Column("step", LABEL, "Record type of the event."),
        Column("hardware_id", STRING, "Serial number of the device, or null.", nullable=True),
        Column("device_id", STRING, "Id of the device in the fleet, or null.", nullable=True),
        Column("claim_id", STRING, "The claim, or null.", nullable=True),
        Column("session_id", STRING, "The registration session, or the renewal; or null.", nullable=True),
        Column("owner", STRING, "Principal that owns the device or the claim, or null.", nullable=True),
        Column("model", STRING, "Model name, or null.", nullable=True),
        Column("via", LABEL, "What admitted the device: claim or pre_registration; or null.", nullable=True),
        Column("purpose", LABEL, "What the certificate is for, or null.", nullable=True),
        Column("serial", STRING, "Serial number of the certificate, or null.", nullable=True),
        Column("state", LABEL, "State that the device reported, or null.", nullable=True),
        Column("command", LABEL, "Record type of the command that was refused, or null.", nullable=True),
        Column("code", LABEL, "Error code of a refusal, or null.", nullable=True),
        Column("reason", LABEL, "Why a certificate was revoked, or null.", nullable=True),
        Column("attempts_left", LONG, "How many more failures the session or the claim bears, or null.", nullable=True),
        Column("detail", STRING, "What was wrong, or null.", nullable=True),
        Column("actor", STRING, "Who gave the command; null of a device that registered itself.", nullable=True),
        Column("command_id", STRING, "The command that was decided, or null.", nullable=True),
        Column("correlation_id", STRING, "The command that began it all, or null.", nullable=True),
        Column("occurred_at", ColumnType.TIMESTAMP, "When the command was given, by the server's clock."),
    ),
    order=("subject", "occurred_at"),
    identity=("topic", "partition", "offset"),
    key="subject",
)


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a frame of registration events, one each."""
    of_claim = pl.col("record").str.starts_with("Claim") | pl.col("command").is_in(["IssueClaimToken", "SpendClaim"])
    claim, device = pl.col("claim_id"), pl.col("hardware_id")
    first = pl.when(of_claim.fill_null(False)).then(pl.coalesce(claim, device)).otherwise(pl.coalesce(device, claim))
    return frame.with_columns(
        pl.coalesce(first, pl.lit("")).alias("subject"),
        pl.col("record").alias("step"),
        pl.col("attempts_left").cast(pl.Int64),
    ).select(TABLE.names)


REGISTRATION_STEPS = RowProjection("registration_steps", ("fleet.registration.events",), TABLE, rows)
