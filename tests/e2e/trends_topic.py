"""Telemetry that is written for the trends job, what the job made of it, and the same windows computed by polars."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from confluent_kafka import Producer

from infra import compose
from infra.bench.memory import registered
from infra.stack.harness import Stack
from schemas.codec import Decoder, encode
from schemas.contract import load
from schemas.wire import PREFIX_BYTES, prefix

MINUTE, HOUR = 60_000_000, 3_600_000_000
YEAR = 366 * 24 * HOUR
BEGIN = 1_780_000_000_000_000 // HOUR * HOUR
EXACT = ("end", "count", "low", "high", "first", "last", "late", "set_aside")
NEARLY = ("mean", "stddev", "slope", "r2")
WINDOW = ("device_id", "metric", "window", "start")


@dataclass(frozen=True, slots=True)
class Reading:
    """Times in microseconds since 1970."""

    device_id: str
    received_at: int
    at: int
    value: float


def readings(first: int, last: int) -> list[Reading]:
    """A reading a second from each of three devices in turn. One's clock is days ahead; the others' are right, but
    some readings were kept for up to an hour, some are no numbers or absurd, and some receptions go back."""
    chance = random.Random(first)
    made = []
    for number in range(first, last):
        received = BEGIN + number * 1_000_000
        at, value = received - chance.randrange(2_000_000), 100_000 + chance.gauss(0, 1)
        if number % 3 == 2:
            at = received + 10**12
        elif number % 50 == 7:
            at = received - chance.randrange(HOUR)
        if number % 70 == 11:
            value = (math.nan, math.inf, -math.inf, 1e200)[number // 70 % 4]
        if number % 90 == 13:
            at = 0
        made.append(Reading(f"device-{number % 3}", received - (number % 97 == 5) * 40_000_000, at, value))
    return made


def write(stack: Stack, made: Sequence[Reading]) -> None:
    record, schema = load().topics["fleet.telemetry"].record, registered(stack)
    producer = Producer({"bootstrap.servers": stack.settings.kafka})
    for number, one in enumerate(made):
        values = {
            "event_id": f"01985c07-4a00-7000-8000-{one.received_at % 10**12:012}",
            "device_id": one.device_id,
            "occurred_at": one.received_at,
            "received_at": one.received_at,
            "boot_id": "boot-1",
            "sequence": number,
            "readings": [{"metric": "pressure", "at": one.at, "value": one.value, "unit": None}],
        }
        producer.produce("fleet.telemetry", key=one.device_id, value=prefix(schema) + encode(record, values))
    assert producer.flush(60) == 0


def written(stack: Stack) -> list[dict[str, Any]]:
    """The records of fleet.trends that a reader of what is committed sees, by our contract."""
    topic = load().topics["fleet.trends"]
    decoder = Decoder(topic.record.schema)
    number = compose.registry(stack.settings).register(topic.subject(topic.record), topic.record.schema)
    log = compose.log_reader(stack.settings)
    found = []
    try:
        for source, (begin, end) in log.bounds([topic.name]).items():
            for batch in log.read(source, begin, end):
                for key, value in zip(batch.keys, batch.values, strict=True):
                    assert value[:PREFIX_BYTES] == prefix(number)
                    row = decoder.decode(value[PREFIX_BYTES:])
                    assert key == row["device_id"].encode()
                    found.append(row)
    finally:
        log.close()
    return found


def windows(made: Sequence[Reading]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """By polars, from the readings alone."""
    frame = pl.DataFrame(made, orient="row", schema=["device_id", "received_at", "at", "value"])
    sound = pl.col("value").is_finite() & (pl.col("value").abs() <= 1e150) & (pl.col("at") >= pl.col("received_at") - YEAR)
    frame = frame.with_columns(
        sound=sound, moment=pl.when(sound).then(pl.min_horizontal("at", "received_at")).otherwise("received_at")
    )
    minute = pl.col("moment") // MINUTE * MINUTE
    late = pl.col("sound") & (pl.col("received_at") - minute >= 11 * MINUTE)
    frame = frame.with_columns(late=late, value=pl.when("sound").then("value"))
    step = pl.col("moment") // (5 * MINUTE) * (5 * MINUTE)
    kinds = [("1m", minute, MINUTE), ("1h", pl.col("moment") // HOUR * HOUR, HOUR)]
    kinds += [("1h/5m", step - back * 5 * MINUTE, HOUR) for back in range(12)]
    parts = [
        frame.with_columns(
            metric=pl.lit("pressure"), window=pl.lit(window), start=start, end=start + length, x=_seconds(start)
        )
        for window, start, length in kinds
    ]
    rows = pl.concat(parts).group_by(*WINDOW, "end").agg(*_statistics()).to_dicts()
    return {tuple(row[name] for name in WINDOW): row for row in rows}


def _seconds(start: pl.Expr) -> pl.Expr:
    return pl.when("sound").then((pl.col("moment") - start) / 1e6)


def _statistics() -> list[pl.Expr]:
    value, x = pl.col("value").drop_nulls(), pl.col("x").drop_nulls()
    by_time = pl.col("value").filter("sound").sort_by(pl.struct("moment", "value").filter("sound"))
    return [
        pl.col("sound").sum().alias("count"),
        value.min().alias("low"),
        value.max().alias("high"),
        value.mean().alias("mean"),
        value.std().alias("stddev"),
        by_time.first().alias("first"),
        by_time.last().alias("last"),
        (pl.cov(x, value) / x.var()).alias("slope"),
        (pl.cov(x, value) ** 2 / x.var() / value.var()).alias("r2"),
        pl.col("late").sum(),
        (~pl.col("sound")).sum().alias("set_aside"),
        pl.col("received_at").max(),
    ]


def newest(rows: Sequence[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Of each window the row that counts: the one that knows of the most readings."""
    best: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: (row["count"], row["set_aside"], row["received_at"])):
        best[tuple(row[name] for name in WINDOW)] = row
    return best


def differences(found: dict[tuple[Any, ...], dict[str, Any]], wanted: dict[tuple[Any, ...], dict[str, Any]]) -> list[Any]:
    """What is wrong: windows that are there too much or too little, numbers that are others."""
    wrong: list[Any] = [("only one has", window) for window in found.keys() ^ wanted.keys()]
    for window in found.keys() & wanted.keys():
        got, want = found[window], wanted[window]
        wrong += [(window, name, got[name], want[name]) for name in EXACT if got[name] != want[name]]
        wrong += [(window, name, got[name], want[name]) for name in NEARLY if not _near(name, got[name], want[name])]
    return wrong


def _near(name: str, got: float | None, want: float | None) -> bool:
    """Within 1e-9 of the number."""
    if want is not None and math.isnan(want):
        want = None
    if got is None or want is None:
        return got is want
    return math.isclose(got, want, rel_tol=1e-9, abs_tol=1e-12)
