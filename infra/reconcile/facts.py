"""What reconciliation compares, as plain frames. A record's identity is (kind, boot, sequence), its position (kind,
partition, offset); `kind` says the topic (infra.simulator.journal), `boot` is a number given while reading the journal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from infra.simulator.journal import ACKNOWLEDGED, SENT, TOPICS, Boot, JournalError, Kind, runs
from projections.catalogue import CATALOGUE
from schemas.log import TopicPartition

IDENTITY = ("kind", "boot", "sequence")
POSITION = ("kind", "partition", "offset")

_OTHERS = sorted({topic for view in CATALOGUE for topic in view.topics} - {*TOPICS.values()})
KINDS: Mapping[str, int] = {
    **{topic: int(kind) for kind, topic in TOPICS.items()},
    **{topic: number for number, topic in enumerate(_OTHERS, start=64)},
}
"""The journal's numbers, and others for the topics of views that no device writes to."""
NAMES: Mapping[int, str] = {kind: topic for topic, kind in KINDS.items()}
Bounds = Mapping[TopicPartition, tuple[int, int]]
"""Of each partition the first offset that the log keeps, and the one after its last."""

BOOTS = {"boot": pl.UInt32(), "device_id": pl.String(), "boot_id": pl.String()}
SENT_ROWS = {"kind": pl.UInt8(), "boot": pl.UInt32(), "sequence": pl.Int64(), "digest": pl.UInt64()}
ACKNOWLEDGED_ROWS = {
    "kind": pl.UInt8(),
    "boot": pl.UInt32(),
    "sequence": pl.Int64(),
    "partition": pl.Int32(),
    "offset": pl.Int64(),
}
# A record of the log that decodes. `boot` is null for a boot that the journal does not know; `rows` are the rows that a
# row view of the topic makes of it.
LOGGED_ROWS = {
    "kind": pl.UInt8(),
    "partition": pl.Int32(),
    "offset": pl.Int64(),
    "boot": pl.UInt32(),
    "sequence": pl.Int64(),
    "digest": pl.UInt64(),
    "rows": pl.UInt32(),
}
POSITION_ROWS = {"kind": pl.UInt8(), "partition": pl.Int32(), "offset": pl.Int64()}
COUNTED_ROWS = {**POSITION_ROWS, "rows": pl.UInt32()}


@dataclass(frozen=True)
class Journal:
    """All runs of a journal. Frames of BOOTS, SENT_ROWS and ACKNOWLEDGED_ROWS; no row comes twice."""

    boots: pl.DataFrame
    sent: pl.DataFrame
    acknowledged: pl.DataFrame

    @property
    def acknowledged_identities(self) -> int:
        return self.acknowledged.select(IDENTITY).n_unique()


@dataclass
class Finding:
    """One kind of thing found: how often, and the first of them in words."""

    count: int = 0
    named: list[str] = field(default_factory=list)


def read_journal(folder: Path) -> Journal:
    """The runs under `folder`; their boots are numbered through.

    Raises:
        JournalError: there is no run, a file holds what no simulator wrote, or two runs hold the same boot.
    """
    boots: dict[Boot, int] = {}
    sent: list[pl.DataFrame] = []
    acknowledged: list[pl.DataFrame] = []
    for run in runs(folder):
        before = len(boots)
        for boot in run.boots:
            if boot in boots:  # its records could not be told apart
                raise JournalError(f"{folder / run.name}: the boot {boot.boot_id} of {boot.device_id} is there twice")
            boots[boot] = len(boots)
        sent.append(_frame(run.sent, SENT, before))
        acknowledged.append(_frame(run.acknowledged, ACKNOWLEDGED, before))
    if not sent:
        raise JournalError(f"there is no journal in {folder}: `fleetlog simulate` writes it")
    return Journal(
        pl.DataFrame([(n, boot.device_id, boot.boot_id) for boot, n in boots.items()], BOOTS, orient="row"),
        pl.concat([pl.DataFrame(schema=SENT_ROWS), *sent]).unique(IDENTITY),
        pl.concat([pl.DataFrame(schema=ACKNOWLEDGED_ROWS), *acknowledged]).unique(),
    )


def _frame(rows: "np.ndarray[tuple[int], np.dtype[np.void]]", dtype: "np.dtype[np.void]", before: int) -> pl.DataFrame:
    assert dtype.names is not None
    columns = {name: np.ascontiguousarray(rows[name]) for name in dtype.names}
    return pl.DataFrame(columns).with_columns(pl.col("boot") + pl.lit(before, pl.UInt32))


def registrations(journal: Journal) -> pl.DataFrame:
    """Under which boot a device registered: `device_id`, `boot`. A registration in the log names no boot."""
    tried = journal.sent.filter(pl.col("kind") == Kind.REGISTRATION).select("boot")
    return journal.boots.join(tried, on="boot", how="semi").select("device_id", "boot")
