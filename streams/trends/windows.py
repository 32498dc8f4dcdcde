"""Readings of one device folded into windows of a minute, of an hour, and of an hour every five minutes.

A device has a watermark of its own: the greatest event time of its readings, where event time is the reading's own time but
never later than its reception. So a fast clock makes nobody's readings late, not even its own. A window is written when the
watermark has reached its end; a reading that comes later, within the allowed lateness, restates the rows that hold it with a
higher revision; one that comes later still is counted. The rows of hours are merged from minutes, exactly (see partial.py).
Standard library only.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite

from streams.trends.partial import MOST_MAGNITUDE, SECOND, Partial

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
STEP = 5 * MINUTE
OLDEST = 366 * 24 * HOUR
"""A reading said to be older than this at its reception is of a clock that was not set."""

MINUTE_ROW, HOUR_ROW, SLIDING_ROW = "1m", "1h", "1h/5m"
LENGTHS = {MINUTE_ROW: MINUTE, HOUR_ROW: HOUR, SLIDING_ROW: HOUR}


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading; times in epoch microseconds. Every copy has the same `identity`, such as boot id, sequence and index."""

    metric: str
    at: int
    received_at: int
    value: float
    identity: str


@dataclass(frozen=True, slots=True)
class Row:
    """One window of one device and metric, [start, end) in epoch microseconds, as known at `known_at`.

    A higher `revision` replaces a lower.
    """

    device_id: str
    metric: str
    window: str
    start: int
    end: int
    count: int
    low: float
    high: float
    mean: float
    stddev: float | None
    first: float
    last: float
    slope: float | None
    r2: float | None
    revision: int
    known_at: int


@dataclass(slots=True)
class MetricWindows:
    """Open state of one metric: sums of minutes, whose readings they hold, and the revisions of rows already written."""

    minutes: dict[int, Partial] = field(default_factory=dict)
    seen: dict[int, set[str]] = field(default_factory=dict)
    written: dict[tuple[str, int], int] = field(default_factory=dict)


class DeviceWindows:
    """Windows of one device. State is bounded by the readings of an hour and the allowed lateness.

    `counts` says what became of readings: `taken`, `late` (taken, its minute was over), `duplicate`, `too-late`,
    `not-a-number`, `absurd-value`, `absurd-time`. Their sum is the number of readings given.
    """

    def __init__(self, device_id: str, lateness: int = 10 * MINUTE) -> None:
        if lateness < 0:
            raise ValueError(f"the allowed lateness can't be negative: {lateness} microseconds")
        self.device_id = device_id
        self.lateness = lateness
        self.watermark = 0
        self.known_at = 0
        self.counts: Counter[str] = Counter()
        self._metrics: dict[str, MetricWindows] = {}

    def add(self, samples: Iterable[Sample]) -> list[Row]:
        """Take in readings in any order; give the rows that became complete or changed, oldest first, each once."""
        touched: dict[str, set[int]] = {}
        newest = self.watermark
        for sample in samples:
            self.known_at = max(self.known_at, sample.received_at)
            at = min(sample.at, sample.received_at)
            if self._take(sample, at, newest):
                touched.setdefault(sample.metric, set()).add(at - at % MINUTE)
                newest = max(newest, at)
        return self._advance(newest, touched)

    def close(self, to: int) -> list[Row]:
        """Move the watermark of a silent device to `to` (epoch microseconds); give the rows that this completes."""
        self.known_at = max(self.known_at, to)
        return self._advance(max(to, self.watermark), {})

    def _take(self, sample: Sample, at: int, newest: int) -> bool:
        """Whether a reading at event time `at` is taken; judged by the readings before it, however they were batched."""
        minute = at - at % MINUTE
        outcome = "taken"
        metric = self._metrics.get(sample.metric)
        if not isfinite(sample.value):
            outcome = "not-a-number"
        elif abs(sample.value) > MOST_MAGNITUDE:
            outcome = "absurd-value"
        elif at < sample.received_at - OLDEST:
            outcome = "absurd-time"
        elif minute + MINUTE + self.lateness <= newest:
            outcome = "too-late"
        elif metric is not None and sample.identity in metric.seen.get(minute, ()):
            outcome = "duplicate"
        elif minute + MINUTE <= newest:
            outcome = "late"
        self.counts[outcome] += 1
        if outcome not in ("taken", "late"):
            return False
        if metric is None:
            metric = self._metrics[sample.metric] = MetricWindows()
        metric.seen.setdefault(minute, set()).add(sample.identity)
        metric.minutes.setdefault(minute, Partial(minute)).add(at, sample.value)
        return True

    def _advance(self, newest: int, touched: dict[str, set[int]]) -> list[Row]:
        """Write windows whose end `newest` has reached: those never written, and those that a touched minute belongs to."""
        rows = []
        turned = newest // MINUTE > self.watermark // MINUTE
        for name, metric in self._metrics.items():
            due = _complete(touched.get(name, set()), newest)
            if turned:
                due |= _complete(metric.minutes, newest) - metric.written.keys()
            rows += [self._row(name, metric, key) for key in due]
        self.watermark = newest
        self._forget()
        return sorted(rows, key=lambda row: (row.end, row.metric, row.window))

    def _row(self, name: str, metric: MetricWindows, key: tuple[str, int]) -> Row:
        window, start = key
        end = start + LENGTHS[window]
        total = Partial(start)
        for minute in range(start, end, MINUTE):
            if minute in metric.minutes:
                total.merge(metric.minutes[minute])
        revision = metric.written[key] = metric.written.get(key, -1) + 1
        return row_of(total, self.device_id, name, key, (revision, self.known_at))

    def _forget(self) -> None:
        """Drop what no reading that may still be taken can touch."""
        readable = self.watermark - self.lateness - MINUTE
        needed = readable - HOUR
        for name, metric in list(self._metrics.items()):
            metric.seen = {minute: ids for minute, ids in metric.seen.items() if minute > readable}
            metric.minutes = {minute: sums for minute, sums in metric.minutes.items() if minute > needed}
            metric.written = {key: revision for key, revision in metric.written.items() if key[1] + LENGTHS[key[0]] > needed}
            if not metric.minutes:
                del self._metrics[name]


def _complete(minutes: Iterable[int], newest: int) -> set[tuple[str, int]]:
    return {key for minute in minutes for key in windows_of(minute) if key[1] + LENGTHS[key[0]] <= newest}


def windows_of(minute: int) -> Iterator[tuple[str, int]]:
    """The windows that hold a minute, as (kind, start): itself, its hour, and twelve hours from five-minute steps."""
    yield MINUTE_ROW, minute
    yield HOUR_ROW, minute - minute % HOUR
    newest = minute - minute % STEP
    for start in range(newest - HOUR + STEP, newest + 1, STEP):
        yield SLIDING_ROW, start


def row_of(total: Partial, device_id: str, metric: str, key: tuple[str, int], known: tuple[int, int]) -> Row:
    """The row of a window (kind, start) from its sums; `known` is its revision and when it was known."""
    window, start = key
    return Row(
        device_id=device_id,
        metric=metric,
        window=window,
        start=start,
        end=start + LENGTHS[window],
        count=total.count,
        low=total.low,
        high=total.high,
        mean=total.mean,
        stddev=total.stddev,
        first=total.first[1],
        last=total.last[1],
        slope=total.slope,
        r2=total.r2,
        revision=known[0],
        known_at=known[1],
    )
