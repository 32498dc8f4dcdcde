"""The journal against the log: pure, over frames."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from infra.reconcile.facts import IDENTITY, KINDS, NAMES, POSITION, Finding, Journal
from schemas.log import TopicPartition

NAMED = 10  # findings of one kind that are named


@dataclass(frozen=True)
class LogVerdict:
    """
    sent, acknowledged: identities in the journal
    lost:           acknowledged records that are not at their position (another record is there, or none)
    duplicated:     further positions of identities that are in the log more than once
    corrupted:      records whose content is not what was sent under their identity
    unsent:         records under a boot of the journal that the journal never sent
    unacknowledged: identities in the log that nobody was told of: an answer that got lost. Allowed
    foreign:        records of other writers. Allowed
    expired:        acknowledged records that the log no longer keeps
    """

    sent: int
    acknowledged: int
    logged: int
    lost: Finding
    duplicated: Finding
    corrupted: Finding
    unsent: Finding
    unacknowledged: int
    foreign: int
    expired: int

    @property
    def exact(self) -> bool:
        return not (self.lost.count or self.duplicated.count or self.corrupted.count or self.unsent.count)


def check_log(
    journal: Journal, acknowledged: pl.DataFrame, logged: pl.DataFrame, firsts: Mapping[TopicPartition, int]
) -> LogVerdict:
    """Compare.

    Args:
        journal: everything that was sent before the log's end was looked up; so every record of it must be here.
        acknowledged: rows of ACKNOWLEDGED_ROWS that were written before that; so all of them must be in the log.
        logged: rows of LOGGED_ROWS.
        firsts: the first offset that each partition still keeps; absent: 0.
    """
    names = _Names(journal.boots)
    due, expired = _kept(acknowledged, firsts)
    found = due.join(logged, on=POSITION, how="left", suffix="_found")
    differs = [pl.col(name).ne_missing(pl.col(f"{name}_found")) for name in ("boot", "sequence")]
    lost = found.filter(pl.any_horizontal(differs))

    own = logged.filter(pl.col("boot").is_not_null())
    with_sent = own.join(journal.sent, on=IDENTITY, how="left", suffix="_sent")
    unsent = with_sent.filter(pl.col("digest_sent").is_null())
    corrupted = with_sent.filter(pl.col("digest") != pl.col("digest_sent"))
    repeated = own.filter(pl.struct(IDENTITY).is_duplicated()).sort(POSITION)
    further = repeated.filter(~pl.struct(IDENTITY).is_first_distinct())
    unacknowledged = own.join(journal.acknowledged, on=IDENTITY, how="anti").select(IDENTITY).n_unique()
    return LogVerdict(
        sent=len(journal.sent),
        acknowledged=journal.acknowledged_identities,
        logged=len(logged),
        lost=Finding(len(lost), names.of(lost, "acknowledged, and not there")),
        duplicated=Finding(len(further), names.of(repeated, "more than once in the log")),
        corrupted=Finding(len(corrupted), names.of(corrupted, "holds other content than was sent")),
        unsent=Finding(len(unsent), names.of(unsent, "was never sent")),
        unacknowledged=unacknowledged,
        foreign=len(logged) - len(own),
        expired=expired,
    )


def _kept(acknowledged: pl.DataFrame, firsts: Mapping[TopicPartition, int]) -> tuple[pl.DataFrame, int]:
    """Acknowledged rows that the log must still hold, and how many it must not."""
    rows = [(KINDS[source.topic], source.partition, first) for source, first in firsts.items() if first > 0]
    trimmed = pl.DataFrame(rows, {"kind": pl.UInt8, "partition": pl.Int32, "first": pl.Int64}, orient="row")
    kept = acknowledged.join(trimmed, on=("kind", "partition"), how="left").filter(
        pl.col("first").is_null() | (pl.col("offset") >= pl.col("first"))
    )
    return kept.drop("first"), len(acknowledged) - len(kept)


class _Names:
    """Puts records into words."""

    def __init__(self, boots: pl.DataFrame) -> None:
        self._boots = boots

    def of(self, records: pl.DataFrame, what: str) -> list[str]:
        shown = records.sort(POSITION).head(NAMED).join(self._boots, on="boot", how="left", maintain_order="left")
        return [
            f"{position_name(row)}: {row['device_id']}, boot {row['boot_id']}, sequence {row['sequence']}: {what}"
            for row in shown.iter_rows(named=True)
        ]


def position_name(row: Mapping[str, int]) -> str:
    """A position in words."""
    return f"{NAMES[row['kind']]}/{row['partition']} offset {row['offset']}"
