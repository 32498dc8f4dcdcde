"""certificate_log: a row per event of the certificate ledger, for people (docs/views.md has queries)."""

import polars as pl

from projections.projection import RowProjection
from schemas.table import PROVENANCE, Column, ColumnType, Table

STRING, LABEL, LONG, TIMESTAMP = ColumnType.STRING, ColumnType.LABEL, ColumnType.LONG, ColumnType.TIMESTAMP

TABLE = Table(
    name="certificate_log",
    columns=(
        *PROVENANCE,
        Column("event_id", STRING, "Id of the event."),
        Column("subject", STRING, "Serial number, key id of an authority, id of a mass revocation, or ledger."),
        Column("event", LABEL, "Record type of the event."),
        Column("leaf_index", LONG, "Its place in the Merkle tree, or null where it is no leaf.", nullable=True),
        Column("serial", STRING, "Serial number of the certificate, or null.", nullable=True),
        Column("device_id", STRING, "Id of the device in the fleet, or null.", nullable=True),
        Column("hardware_id", STRING, "Serial number of the device, or null.", nullable=True),
        Column("owner", STRING, "Principal that owns the device, or null.", nullable=True),
        Column("model", STRING, "Model name, or null.", nullable=True),
        Column("purpose", LABEL, "registration, renewal or rotation; or null.", nullable=True),
        Column("previous_serial", STRING, "The certificate that this one takes the place of, or null.", nullable=True),
        Column("not_before", TIMESTAMP, "First moment of the certificate's life, or null.", nullable=True),
        Column("not_after", TIMESTAMP, "Last moment of its life, or null.", nullable=True),
        Column("key_algorithm", LABEL, "Such as EC P-256; or null.", nullable=True),
        Column("key_hash", STRING, "SHA-256 of the SubjectPublicKeyInfo, hexadecimal; or null.", nullable=True),
        Column("issuer_key_id", LABEL, "Key id of the issuing authority, or null.", nullable=True),
        Column("key_id", STRING, "Key id of an authority that is trusted from now on, or null.", nullable=True),
        Column("reason", LABEL, "Why it was revoked, or null.", nullable=True),
        Column("detail", STRING, "More about why, or what was wrong; or null.", nullable=True),
        Column("until", TIMESTAMP, "How long an exception holds, or null.", nullable=True),
        Column("revocation_id", STRING, "The mass revocation, or null.", nullable=True),
        Column("selector", LABEL, "Whose certificates a mass revocation is about, or null.", nullable=True),
        Column("value", STRING, "The owner or model of the selector, or null.", nullable=True),
        Column("certificates", LONG, "How many certificates a mass revocation is about, or null.", nullable=True),
        Column("command", LABEL, "Record type of the command that was refused, or null.", nullable=True),
        Column("code", LABEL, "Error code of a refusal, or null.", nullable=True),
        Column("tree_size", LONG, "Leaves that a signed head covers, or null.", nullable=True),
        Column("actor", STRING, "Who gave the command."),
        Column("command_id", STRING, "The command that was decided."),
        Column("occurred_at", TIMESTAMP, "When the command was given, by the server's clock."),
    ),
    order=("subject", "occurred_at"),
    identity=("topic", "partition", "offset"),
    key="subject",
)


def rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows of a frame of ledger events, one each."""
    return frame.with_columns(
        pl.coalesce("serial", "key_id", "revocation_id", pl.lit("ledger")).alias("subject"),
        pl.col("record").alias("event"),
        pl.col("key_hash").bin.encode("hex"),
    ).select(TABLE.names)


CERTIFICATE_LOG = RowProjection("certificate_log", ("fleet.certificates",), TABLE, rows)
