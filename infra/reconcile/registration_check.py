"""Registrations in the journal against the log: who was told to be registered is, and nobody twice. Pure, over frames."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from infra.reconcile.facts import Finding
from infra.reconcile.log_check import NAMED
from infra.simulator.journal import Registered

# What the registration events and the ledger say: certificates of a device's registration, not of its renewals.
RECORDED_ROWS = {"hardware_id": pl.String(), "device_id": pl.String(), "serial": pl.String(), "leaf_index": pl.Int64()}


@dataclass(frozen=True)
class RegistrationVerdict:
    """
    begun, acknowledged: devices in the journal
    recorded:       registrations of those devices in the ledger
    lost:           acknowledged, and not so in the registration events or not so in the ledger
    duplicated:     devices with more than one registration in the ledger, or with several ids
    unacknowledged: registered in the log, and the device was not told: an answer that got lost. Allowed
    foreign:        registrations of others. Allowed
    """

    begun: int
    acknowledged: int
    recorded: int
    lost: Finding
    duplicated: Finding
    unacknowledged: int
    foreign: int

    @property
    def exact(self) -> bool:
        return not (self.lost.count or self.duplicated.count)

    def as_json(self) -> dict[str, int]:
        counts = ("begun", "acknowledged", "recorded", "unacknowledged", "foreign")
        found = {name: int(getattr(self, name)) for name in counts}
        return found | {"lost": self.lost.count, "duplicated": self.duplicated.count}


def check_registrations(
    begun: Iterable[str], done: Sequence[Registered], recorded: pl.DataFrame, issued: pl.DataFrame
) -> RegistrationVerdict:
    """Compare.

    Args:
        begun, done: as infra.simulator.journal.registrations gives them; `done` read before the log, `begun` after it.
        recorded: RECORDED_ROWS of the registration events' CertificateRecorded.
        issued: RECORDED_ROWS of the ledger's CertificateIssued.
    """
    own = pl.DataFrame({"hardware_id": sorted(set(begun))}, {"hardware_id": pl.String()})
    rows = [(one.hardware_id, one.device_id, one.serial, one.leaf_index) for one in done]
    told = pl.DataFrame(rows, RECORDED_ROWS, orient="row").unique()
    lost = pl.concat([told.join(there, on=list(RECORDED_ROWS), how="anti") for there in (recorded, issued)]).unique()
    mine = issued.join(own, on="hardware_id", how="semi").unique()
    several = mine.filter(pl.col("hardware_id").is_duplicated() | pl.col("device_id").is_duplicated())
    return RegistrationVerdict(
        begun=len(own),
        acknowledged=told["hardware_id"].n_unique(),
        recorded=len(mine),
        lost=Finding(len(lost), _named(lost, "was told to be registered, and is not so in the log")),
        duplicated=Finding(several["hardware_id"].n_unique(), _named(several, "is registered more than once")),
        unacknowledged=len(mine.join(told, on="hardware_id", how="anti")),
        foreign=len(issued) - len(issued.join(own, on="hardware_id", how="semi")),
    )


def _named(rows: pl.DataFrame, what: str) -> list[str]:
    shown = rows.sort(list(RECORDED_ROWS)).head(NAMED)
    return [f"{row['hardware_id']} as {row['device_id']}, certificate {row['serial']}: {what}" for row in shown.to_dicts()]
