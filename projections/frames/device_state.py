"""Columnar twin of projections.device_state: the same updates from a frame of records, a group-by at a time.

tests/projections/test_device_state.py holds the two equal on random records.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
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

# Numbers of groups that may be free, for each reading: memory that is not used is cheaper than to number groups densely.
MOST_EMPTY = 4

Numbers = np.ndarray[Any, np.dtype[np.int64]]


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
    counts = frame["readings"].list.len()
    for device, count in frame.select("device_id", n=counts).group_by("device_id").agg(pl.col("n").sum()).iter_rows():
        summary[device]["count.readings"] = Add(count)
    readings = frame["readings"].explode(empty_as_null=False, keep_nulls=False).struct.unnest()
    records = frame.select("device_id", "received_at", "offset")
    record = np.repeat(np.arange(len(records)), counts.to_numpy())
    time = np.minimum(readings["at"].to_numpy(), records["received_at"].to_numpy()[record])
    device, metric = _numbers(records["device_id"])[record], _numbers(readings["metric"])
    newest = _newest(_groups(device, metric), time)
    of = record[newest]
    place = newest - np.searchsorted(record, of)
    found = pl.concat(
        [readings[newest], records[of], pl.DataFrame({"time": time[newest], "place": place})], how="horizontal"
    )
    columns = ("device_id", "metric", "value", "unit", "at", "received_at", "time", "offset", "place")
    for device_id, name, value, unit, at, received, when, offset, where in found.select(columns).iter_rows():
        summary[device_id]["metric." + name] = Newest(
            (when, partition, offset, where), {"value": value, "unit": unit, "at": at, "received_at": received}
        )


def _numbers(texts: pl.Series) -> Numbers:
    """A number for each text, the same for equal ones; from 0 to that of different texts."""
    numbers: Numbers = texts.cast(pl.Enum(texts.unique())).to_physical().cast(pl.Int64).to_numpy()
    return numbers


def _groups(ones: Numbers, others: Numbers) -> Numbers:
    """A number for each pair, from 0 to a few times that of the pairs."""
    groups: Numbers = ones * (others.max(initial=0) + 1) + others
    if groups.max(initial=0) > MOST_EMPTY * len(groups):  # many devices and many metrics, few of them of one device
        groups = np.unique(groups, return_inverse=True)[1]
    return groups


def _newest(groups: Numbers, times: Numbers) -> Numbers:
    """The places of the greatest time of each group, of equal times the last. Readings are in no order of time, and to sort
    them all takes longer than everything else that is done with them."""
    greatest = np.full(groups.max(initial=0) + 1, np.iinfo(np.int64).min)
    np.maximum.at(greatest, groups, times)
    (candidates,) = np.nonzero(times == greatest[groups])
    last = np.full(len(greatest), -1)
    np.maximum.at(last, groups[candidates], candidates)
    return last[last >= 0]


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
