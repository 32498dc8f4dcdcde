"""Columnar twin of projections.device_state: the same updates from a frame of records, a group-by at a time.

tests/projections/test_device_state.py holds the two equal on random records.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from projections.device_state import (
    COUNTERS,
    EVENT_FIELDS,
    EVENTS,
    HEARTBEAT_LEFT_OUT,
    HEARTBEATS,
    ONLINE_MICROS,
    REGISTERED,
    REGISTRATION_FIELDS,
    REGISTRATIONS,
    TELEMETRY,
)
from projections.projection import KEY
from projections.updates import Add, Most, Newest, Update

Rows = Iterable[tuple[Any, ...]]


def keyed(topic: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The records that change a device's document."""
    if topic == REGISTRATIONS:
        frame = frame.filter(pl.col("record") == REGISTERED)
    return frame.with_columns(pl.col("device_id").alias(KEY))


def summarize(topic: str, frame: pl.DataFrame) -> dict[str, dict[str, Update]]:
    """The updates per device of a keyed frame of records of one partition of `topic`."""
    if frame.is_empty():
        return {}
    partition = int(frame.item(0, "partition"))
    summary = _presence(topic, partition, frame)
    if topic == TELEMETRY:
        _add_readings(summary, partition, frame)
    else:
        _add_newest_record(topic, summary, partition, frame)
    return summary


def _presence(topic: str, partition: int, frame: pl.DataFrame) -> dict[str, dict[str, Update]]:
    counter, position = f"count.{COUNTERS[topic]}", f"position.{topic}/{partition}"
    grouped = (
        _in_order(frame.select("device_id", "received_at", "occurred_at", "offset"), "received_at")
        .group_by("device_id", maintain_order=True)
        .agg(
            pl.len(),
            pl.col("offset").max().alias("highest"),
            pl.col("received_at", "occurred_at", "offset").last(),
        )
    )
    summary: dict[str, dict[str, Update]] = {}
    for device, count, highest, received, occurred, offset in grouped.iter_rows():
        summary[device] = {
            "last_seen": Most(received),
            "online_until": Most(received + ONLINE_MICROS),
            "skew": Newest((received, topic, partition, offset), {"micros": received - occurred}),
            position: Most(highest),
            counter: Add(count),
        }
    return summary


def _add_readings(summary: dict[str, dict[str, Update]], partition: int, frame: pl.DataFrame) -> None:
    readings = frame.select("device_id", "received_at", "offset", pl.col("readings").list.len().alias("n"), "readings")
    for device, count in readings.group_by("device_id").agg(pl.col("n").sum()).iter_rows():
        summary[device]["count.readings"] = Add(count)
    place = pl.int_ranges(pl.col("n").cast(pl.Int64)).alias("place")
    long = (
        readings.filter(pl.col("n") > 0)
        .with_columns(place)
        .explode("readings", "place")
        .unnest("readings")
        .with_columns(pl.min_horizontal("at", "received_at").alias("time"))
    )
    newest = (
        _in_order(long, "time")
        .group_by("device_id", "metric")
        .agg(pl.col("value", "unit", "at", "received_at", "time", "offset", "place").last())
    )
    columns = ("device_id", "metric", "value", "unit", "at", "received_at", "time", "offset", "place")
    for device, metric, value, unit, at, received, time, offset, where in newest.select(columns).iter_rows():
        summary[device]["metric." + metric] = Newest(
            (time, partition, offset, where), {"value": value, "unit": unit, "at": at, "received_at": received}
        )


def _add_newest_record(topic: str, summary: dict[str, dict[str, Update]], partition: int, frame: pl.DataFrame) -> None:
    timed = frame.with_columns(pl.min_horizontal("occurred_at", "received_at").alias("__time"))
    newest = _in_order(timed, "__time").unique("device_id", keep="last", maintain_order=True)
    for row in newest.iter_rows(named=True):
        order = (row.pop("__time"), partition, row["offset"])
        name, payload = _payload(topic, row)
        summary[row["device_id"]][name] = Newest(order, payload)


def _payload(topic: str, row: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if topic == HEARTBEATS:
        return "heartbeat", {name: value for name, value in row.items() if name not in HEARTBEAT_LEFT_OUT}
    if topic == EVENTS:
        return "event", {name: row[name] for name in EVENT_FIELDS}
    return "registration", {name: row[name] for name in REGISTRATION_FIELDS}


def _in_order(frame: pl.DataFrame, time: str) -> pl.DataFrame:
    """`frame` sorted by `time`, among equals in the order of the log. Records lie in the order of the log already,
    so one stable sort does; mostly even that is not needed, as clocks mostly advance."""
    return frame if frame[time].is_sorted() else frame.sort(time, maintain_order=True)
