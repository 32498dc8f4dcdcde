"""Records of the topics of registration and certificates, and frames of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl
from hypothesis import strategies as st

from projections.projection import Row
from schemas.columns import INDEX
from schemas.contract import load
from schemas.record_columns import RECORD, topic_schema
from schemas.shape import shape_of
from tests.schemas.records import within

CONTRACT = load()
REGISTRATION, LEDGER, ALERT = "fleet.registration.events", "fleet.certificates", "fleet.alerts"
IDS: Mapping[str, Sequence[str]] = {
    "hardware_id": ("hw-1", "hw-2"),
    "claim_id": ("claim-1", "claim-2"),
    "alert_id": ("01980000-0000-7000-8000-000000000001", "01980000-0000-7000-8000-000000000002"),
    "serial": ("a1", "b2", "c3"),
    "previous_serial": ("a1", "b2", "c3"),
    "code": ("REG-001", "REG-002"),
    "command": ("SpendClaim", "OpenSession", "AdmitClaim", "IssueClaimToken"),
}


class Logged(NamedTuple):
    partition: int
    offset: int
    record: str
    values: dict[str, Any]


def values_of(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Values of a record type; its ids are few."""
    parts = {}
    for part in shape_of(CONTRACT.records[name].schema).fields:
        drawn = st.sampled_from(IDS[part.name]) if part.name in IDS else within(part.shape)
        parts[part.name] = st.none() | drawn if part.shape.nullable else drawn
    return st.fixed_dictionaries(parts)


@st.composite
def logs(draw: st.DrawFn, topic: str, partitions: int, most: int = 12) -> list[Logged]:
    """Records of any types of a topic, in the order of the log of each partition."""
    names = [record.name for record in CONTRACT.topics[topic].records]
    log = []
    for partition in range(partitions):
        offset = 0
        for name in draw(st.lists(st.sampled_from(names), max_size=most)):
            offset += draw(st.integers(1, 3))
            log.append(Logged(partition, offset, name, draw(values_of(name))))
    return log


def frame(topic: str, log: Sequence[Logged]) -> pl.DataFrame:
    """The frame of records of one partition, as a projection sees it."""
    columns = {name: kind for name, kind in topic_schema(CONTRACT.topics[topic].records).items() if name != INDEX}
    table = pl.DataFrame([{RECORD: one.record, **one.values} for one in log], schema=columns, orient="row")
    return table.select(
        pl.lit(topic).alias("topic"),
        pl.lit(log[0].partition, pl.Int64).alias("partition"),
        pl.Series("offset", [one.offset for one in log], pl.Int64),
        pl.all(),
    )


def rows(topic: str, log: Sequence[Logged]) -> list[Row]:
    """The same records as rows."""
    return [
        {"topic": topic, "partition": one.partition, "offset": one.offset, RECORD: one.record, **one.values} for one in log
    ]
