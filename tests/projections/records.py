"""Random records and frames of them, for property tests."""

from typing import Any

import polars as pl
from hypothesis import strategies as st

from projections.device_state import EVENTS, HEARTBEATS, REGISTRATIONS, TELEMETRY
from projections.projection import Row

DEVICES = ("dev-a", "dev-b", "dev-c")
METRICS = ("temperature", "humidity")

READING = pl.Struct({"metric": pl.String, "at": pl.Int64, "value": pl.Float64, "unit": pl.String})
ENVELOPE = {"event_id": pl.String, "device_id": pl.String, "occurred_at": pl.Int64, "received_at": pl.Int64}
UPLOAD = {**ENVELOPE, "boot_id": pl.String, "sequence": pl.Int64}
SCHEMAS: dict[str, dict[str, Any]] = {
    TELEMETRY: {**UPLOAD, "readings": pl.List(READING)},
    HEARTBEATS: {**UPLOAD, "uptime": pl.Int64, "memory_usage": pl.Struct({"total": pl.Int64, "used": pl.Int64})},
    EVENTS: {**UPLOAD, "event_type": pl.String, "confidence": pl.Float64},
    REGISTRATIONS: {
        "record": pl.String,
        **ENVELOPE,
        "hardware_id": pl.String,
        "model": pl.String,
        "firmware_version": pl.String,
        "hardware_revision": pl.String,
        "capabilities": pl.List(pl.String),
    },
}

# Few distinct times, so that equal ones, late ones and clocks that run ahead all come up.
times = st.integers(0, 12).map(lambda n: 1_790_000_000_000_000 + n * 1_000_000)
numbers = st.floats(allow_nan=False, allow_infinity=False)
envelopes = {
    "event_id": st.uuids().map(str),
    "device_id": st.sampled_from(DEVICES),
    "occurred_at": times,
    "received_at": times,
}
uploads = {**envelopes, "boot_id": st.just("boot"), "sequence": st.integers(0, 99)}
readings = st.fixed_dictionaries(
    {
        "metric": st.sampled_from(METRICS),
        "at": times,
        "value": numbers,
        "unit": st.sampled_from([None, "Cel", "%"]),
    }
)
RECORDS = {
    TELEMETRY: st.fixed_dictionaries({**uploads, "readings": st.lists(readings, max_size=4)}),
    HEARTBEATS: st.fixed_dictionaries(
        {
            **uploads,
            "uptime": st.integers(0, 9),
            "memory_usage": st.fixed_dictionaries({"total": st.just(8), "used": st.integers(0, 8)}),
        }
    ),
    EVENTS: st.fixed_dictionaries(
        {**uploads, "event_type": st.sampled_from(["meteor", "error"]), "confidence": st.none() | numbers}
    ),
    REGISTRATIONS: st.fixed_dictionaries(
        {
            **envelopes,
            "record": st.sampled_from(["DeviceRegistered", "DeviceReset"]),
            "hardware_id": st.sampled_from(DEVICES),
            "model": st.just("cam"),
            "firmware_version": st.sampled_from(["1", "2"]),
            "hardware_revision": st.none(),
            "capabilities": st.lists(st.sampled_from(["camera", "gps"]), max_size=2),
        }
    ),
}


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[str, int, int, dict[str, Any]]]:
    """(topic, partition, offset, record): a few records of every topic in two partitions each, in the order of a log."""
    log = []
    for topic, records in RECORDS.items():
        for partition in (0, 1):
            for offset, record in enumerate(draw(st.lists(records, max_size=6))):
                log.append((topic, partition, offset, record))
    return log


def frame(topic: str, partition: int, numbered: list[tuple[int, dict[str, Any]]]) -> pl.DataFrame:
    """The frame of records of one partition, given with their offsets."""
    table = pl.DataFrame([record for _, record in numbered], schema=SCHEMAS[topic])
    return table.select(
        pl.lit(topic).alias("topic"),
        pl.lit(partition, pl.Int64).alias("partition"),
        pl.Series("offset", [offset for offset, _ in numbered], pl.Int64),
        pl.all(),
    )


def rows(topic: str, partition: int, numbered: list[tuple[int, dict[str, Any]]]) -> list[Row]:
    """The same records as rows."""
    return [{"topic": topic, "partition": partition, "offset": offset, **record} for offset, record in numbered]
