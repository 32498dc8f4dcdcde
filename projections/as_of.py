"""Views as of a time: which records count, and what a stretch of the log does to the documents that it touches.

A record has two times: when it happened (by the device's clock, but not after it was received: the earlier of
occurred_at and received_at, as projections.device_state has it) and when it was received. The state at a time T, as it was
known at a time K, is the fold of the records that happened by T and were received by K. Records of deciders have both
times too, by the server's clock. Updates commute, so a fold may take stretches of the log in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from projections.projection import KEY, KeyedProjection
from projections.updates import Update, changes, merge

EVENT, RECEIVED = "__event", "__received"
TIMES = ("occurred_at", "received_at")


class Moment(NamedTuple):
    """Records that happened by `at` and were received by `known` count. Microseconds since 1970 UTC."""

    at: int
    known: int


class Untimed(ValueError):
    """Records of a topic do not say when they happened; the message names it."""


def timed(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with the columns EVENT and RECEIVED. A record type that has one of the two times has it for both.

    Raises:
        Untimed: it has neither.
    """
    present = [name for name in TIMES if name in frame.columns]
    if not present:
        topic = "records" if frame.is_empty() else frame.item(0, "topic")
        raise Untimed(f"{topic}: has neither {' nor '.join(TIMES)}")
    received = pl.coalesce(*(pl.col(name) for name in reversed(present)))
    return frame.with_columns(pl.min_horizontal(*present).alias(EVENT), received.alias(RECEIVED))


def counting(frame: pl.DataFrame, moment: Moment) -> pl.DataFrame:
    """The records of a timed frame that count."""
    latest = frame.select(pl.col(EVENT).max(), pl.col(RECEIVED).max()).row(0)
    if frame.is_empty() or (latest[0] <= moment.at and latest[1] <= moment.known):
        return frame  # mostly all do, and a filter would copy them
    return frame.filter((pl.col(EVENT) <= moment.at) & (pl.col(RECEIVED) <= moment.known))


@dataclass(frozen=True, slots=True)
class Touched:
    """What a stretch of the log does to one document: its updates, and the latest event and received time among them."""

    updates: Mapping[str, Update]
    event: int
    received: int

    def onto(self, document: Mapping[str, str]) -> dict[str, str]:
        return {**document, **changes(document, self.updates)}


@dataclass(slots=True)
class Delta:
    """What stretches of the log do to the documents of a view. Unless it is `timed`, it does not say when."""

    projection: KeyedProjection
    timed: bool = False
    touched: dict[str, Touched] = field(default_factory=dict)

    def add(self, topic: str, frame: pl.DataFrame, keyed: pl.DataFrame | None = None) -> None:
        """Add the records of one partition, a timed frame; `keyed`: what the projection makes of it, or a part of that."""
        plain = frame.drop(EVENT, RECEIVED)
        rows = self.projection.keyed(topic, plain) if keyed is None else keyed
        if rows.is_empty():
            return
        times = _latest(frame, rows) if self.timed else {}
        for key, updates in self.projection.summarize(topic, rows).items():
            event, received = times.get(key, (0, 0))
            before = self.touched.get(key)
            if before is not None:
                updates = merge((before.updates, updates))
                event, received = max(before.event, event), max(before.received, received)
            self.touched[key] = Touched(updates, event, received)


def _latest(frame: pl.DataFrame, rows: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """Of each key of `rows`, which are of the records of a timed frame, the latest event and received time."""
    latest = (
        rows.select(KEY, "offset")
        .join(frame.select("offset", EVENT, RECEIVED), on="offset")
        .group_by(KEY)
        .agg(pl.col(EVENT).max(), pl.col(RECEIVED).max())
    )
    return {key: (event, received) for key, event, received in latest.iter_rows()}


def kept(numbers: list[int], each: int = 4) -> set[int]:
    """Which of the snapshots of these numbers are kept: near the newest all of them, further back ever fewer, so that their
    count grows with the logarithm of the newest number.

    A number that is divisible by 2^n lives for `each` * 2^n further ones, and so once kept stays until it goes for good.
    """
    newest = max(numbers, default=0)
    return {number for number in numbers if newest - number < each * (number & -number)}
