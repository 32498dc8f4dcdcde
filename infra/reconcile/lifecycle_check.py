"""What the views of registrations, certificates and alerts must say, by the log: pure, over frames."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from connectors.ports import Document
from infra.reconcile.facts import Finding
from infra.reconcile.log_check import NAMED
from infra.reconcile.registration_check import RECORDED_ROWS
from infra.reconcile.view_check import ViewVerdict
from projections.alerts import STATUS
from projections.certificates import ISSUED, SUPERSEDES, status
from projections.projection import KEY
from projections.updates import payloads
from schemas.record_columns import RECORD


@dataclass(frozen=True)
class LifecycleVerdict:
    """`entered`: certificates given to devices that are in the ledger; `missing`: those that are not."""

    views: Mapping[str, ViewVerdict]
    entered: int
    missing: Finding

    @property
    def exact(self) -> bool:
        return not self.missing.count and all(view.exact for view in self.views.values())

    def as_json(self) -> dict[str, int]:
        return {"in_the_ledger": self.entered, "not_in_the_ledger": self.missing.count}


@dataclass(frozen=True)
class Statement:
    """One sentence about a document, told from both sides: `of_document`, and `of_log` from the records that touched it,
    with `columns` of them in the log's order; SAID_ROWS. A key's records are all in one partition."""

    columns: tuple[str, ...]
    of_document: Callable[[Document], str]
    of_log: Callable[[pl.DataFrame], pl.DataFrame]


def _certificate(document: Document) -> str:
    told = payloads(document)
    return f"{status(told)} of {told.get('certificate', {}).get('device_id', 'nobody')}"


def _certificates(records: pl.DataFrame) -> pl.DataFrame:
    record, own = pl.col(RECORD), ~pl.col(SUPERSEDES)
    issued = record.is_in(ISSUED) & own
    state = (
        pl.when((record == "CertificateRevoked").any())
        .then(pl.lit("revoked"))
        .when(~issued.any())
        .then(pl.lit("unknown"))
        .when((~own).any())
        .then(pl.lit("superseded"))
        .otherwise(pl.lit("valid"))
    )
    of = pl.col("device_id").filter(issued).last().fill_null("nobody")
    return _said(records, pl.format("{} of {}", state, of))


def _registration(document: Document) -> str:
    told = payloads(document)
    certificate, spent = told.get("certificate", {}), told.get("spent", {})
    return f"certificate {certificate.get('serial', 'none')}, spent by {spent.get('hardware_id', 'nobody')}"


def _registrations(records: pl.DataFrame) -> pl.DataFrame:
    def newest(column: str, record: str) -> pl.Expr:
        return pl.col(column).filter(pl.col(RECORD) == record).last()

    serial = newest("serial", "CertificateRecorded").fill_null("none")
    by = newest("__spent_by", "ClaimSpent").fill_null("nobody")
    # The key of a claim's records is the claim, that of a device's the hardware id.
    records = records.with_columns(pl.col("hardware_id").alias("__spent_by"))
    return _said(records, pl.format("certificate {}, spent by {}", serial, by))


def _alert(document: Document) -> str:
    told = payloads(document)
    return f"{told.get('state', {}).get('status', 'nothing')} by {told.get('alert', {}).get('rule_id', 'nobody')}"


def _alerts(records: pl.DataFrame) -> pl.DataFrame:
    status = pl.col(RECORD).replace_strict(STATUS, default=None, return_dtype=pl.String).drop_nulls().last()
    return _said(records, pl.format("{} by {}", status.fill_null("nothing"), pl.col("rule_id").last().fill_null("nobody")))


def _said(records: pl.DataFrame, sentence: pl.Expr) -> pl.DataFrame:
    return records.group_by(pl.col(KEY).alias("device_id"), maintain_order=True).agg(sentence.alias("said"))


STATEMENTS: Mapping[str, Statement] = {
    "certificates": Statement((RECORD, SUPERSEDES, "device_id"), _certificate, _certificates),
    "alerts": Statement((RECORD, "rule_id"), _alert, _alerts),
    "registrations": Statement((RECORD, "serial", "hardware_id"), _registration, _registrations),
}
"""By view of documents."""


def check_statements(expected: pl.DataFrame, actual: pl.DataFrame, trimmed: pl.DataFrame) -> Finding:
    """Documents that say something else than the log.

    Args:
        expected, actual: SAID_ROWS of the log and of the view. One that only one side has is counted elsewhere.
        trimmed: device_id of documents of which the log no longer holds all.
    """
    both = expected.join(actual, on="device_id", suffix="_found").join(trimmed, on="device_id", how="anti")
    wrong = both.filter(pl.col("said") != pl.col("said_found")).sort("device_id")
    named = [f"{key}: says {found!r}, the log {said!r}" for key, said, found in wrong.head(NAMED).iter_rows()]
    return Finding(len(wrong), named)


def check_entered(recorded: pl.DataFrame, entered: pl.DataFrame) -> Finding:
    """Certificates that the registration events speak of and the ledger does not hold in that place; both RECORDED_ROWS,
    `recorded` read before `entered`."""
    absent = recorded.unique().join(entered, on=list(RECORDED_ROWS), how="anti").sort("serial")
    named = [
        f"certificate {row['serial']} of {row['device_id']}: given to it, and not the ledger's entry {row['leaf_index']}"
        for row in absent.head(NAMED).to_dicts()
    ]
    return Finding(len(absent), named)
