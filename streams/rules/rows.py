"""Records of an input as rows: one for each thing that a rule is asked about, in the order of the log. Columnar.

telemetry: a row for each record and distinct time of its readings, with a column `metric:NAME` for each that a rule
names. Every
other input: a row for each record, with its fields. All have the columns of streams.rules.ports beside these.

A row's event time is the device's, but no later than its receipt: a clock that runs ahead does not outrun the server's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from schemas.columns import INDEX
from schemas.log import Batch, TopicPartition
from schemas.record_columns import BatchDecoder
from streams.rules.cuts import CERTIFICATES, EVENTS, HEARTBEATS, REGISTRATION, SYSTEM, TELEMETRY
from streams.rules.ports import AT, KEY, OFFSET, PARTITION, RECEIVED, ROW, Input

TOPICS: Mapping[Input, str] = {
    "telemetry": TELEMETRY,
    "heartbeat": HEARTBEATS,
    "device-event": EVENTS,
    "registration": REGISTRATION,
    "certificate": CERTIFICATES,
    "system": SYSTEM,
}
"""The topic of each input that comes from one."""

INPUTS: Mapping[str, Input] = {topic: name for name, topic in TOPICS.items()}
KEYS = {SYSTEM: "instance"}
"""The field that is the home key, where it is not the device's id."""

METRIC = "metric:"
"""Before a metric's name: the column that holds it."""

BOOT, SEQUENCE = "boot_id", "sequence"


class Decoded(NamedTuple):
    """The rows of a topic's slices, and how many records could not be read (the views set those aside)."""

    frame: pl.DataFrame
    unreadable: int


def decoded(decoder: BatchDecoder, batches: Mapping[TopicPartition, Sequence[Batch]], metrics: Collection[str]) -> Decoded:
    """The rows of the slices of one topic, partition by partition."""
    frames, unreadable = [], 0
    for source, parts in sorted(batches.items()):
        values = [value for batch in parts for value in batch.values]
        if not values:
            continue
        read = decoder.decode(values)
        unreadable += len(read.faults)
        offsets = pl.Series(OFFSET, [offset for batch in parts for offset in batch.offsets], pl.Int64)
        frames.append(_rows(source, read.frame, offsets, metrics))
    frame = frames[0] if len(frames) == 1 else pl.concat([pl.DataFrame(schema=BASE), *frames], how="diagonal")
    return Decoded(frame, unreadable)


BASE = {
    PARTITION: pl.Int32(),
    OFFSET: pl.Int64(),
    ROW: pl.Int32(),
    KEY: pl.String(),
    AT: pl.Int64(),
    RECEIVED: pl.Int64(),
}


def _rows(source: TopicPartition, frame: pl.DataFrame, offsets: pl.Series, metrics: Collection[str]) -> pl.DataFrame:
    key = KEYS.get(source.topic, "device_id")
    based = frame.with_columns(
        pl.lit(source.partition, pl.Int32).alias(PARTITION),
        offsets.gather(frame[INDEX]).alias(OFFSET),
        pl.lit(0, pl.Int32).alias(ROW),
        pl.col(key).alias(KEY),
        pl.min_horizontal("occurred_at", "received_at").alias(AT),
        pl.col("received_at").alias(RECEIVED),
    ).filter(pl.col(KEY).is_not_null())
    return telemetry(based, metrics) if source.topic == TELEMETRY else flat(based.drop(INDEX))


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """The fields of nested records as columns named by their paths, such as cpu_usage.user."""
    while nested := [(name, kind) for name, kind in frame.schema.items() if isinstance(kind, pl.Struct)]:
        fields = [
            pl.col(name).struct.field(field.name).alias(f"{name}.{field.name}")
            for name, kind in nested
            for field in kind.fields
        ]
        frame = frame.with_columns(fields).drop(name for name, _ in nested)
    return frame


def telemetry(frame: pl.DataFrame, metrics: Collection[str]) -> pl.DataFrame:
    """A row for each record and time of its readings; a metric that is measured twice at one time has its last value.
    Within a record the rows are in the order of their times."""
    kept = [PARTITION, OFFSET, KEY, RECEIVED, BOOT, SEQUENCE]
    readings = (
        frame.select(*kept, "readings")
        .explode("readings")
        .unnest("readings")
        .with_columns(pl.min_horizontal("at", RECEIVED).alias(AT))
    )
    named = [pl.col("value").filter(pl.col("metric") == name).last().alias(METRIC + name) for name in sorted(metrics)]
    if readings.height == frame.height:
        single = [pl.when(pl.col("metric") == name).then(pl.col("value")).alias(METRIC + name) for name in sorted(metrics)]
        rows = readings.select(*kept, AT, *single)
    else:
        shared = [pl.col(name).first() for name in kept if name != OFFSET]
        rows = readings.group_by(OFFSET, AT, maintain_order=True).agg(*shared, *named).sort(OFFSET, AT, maintain_order=True)
    return rows.with_columns(pl.int_range(pl.len(), dtype=pl.Int32).over(OFFSET).alias(ROW))
