"""The windows of one series as a picture: their means, the band that the detector expected, and what it alarmed at."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from connectors.clickhouse_client import ClickHouseServer
from infra.settings import Settings
from streams.trends.detection import Verdict
from streams.trends.detector import SeasonalDetector

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
WIDE, HIGH = 960, 320  # of an SVG, in pixels
MARGIN = 40
STEPS = 12  # lines of text


@dataclass(frozen=True, slots=True)
class Point:
    """A window: its start in microseconds since 1970, the mean of its readings, and what the detector said of that."""

    start: int
    count: int
    mean: float
    verdict: Verdict

    @property
    def reach(self) -> tuple[float, ...]:
        """All values that a picture must hold."""
        band = (self.verdict.low, self.verdict.high)
        return (self.mean, *(value for value in band if value is not None))


def points(settings: Settings, device: str, metric: str, window: str, most: int) -> list[Point]:
    """The newest `most` windows of a series, oldest first, from the view `trends`. The detector has seen those before them.

    Raises:
        ValueError: a name can't be one.
        Away, Gone: see connectors.clickhouse_client.
    """
    for name in (device, metric, window):
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a name")
    server = ClickHouseServer(
        settings.clickhouse, settings.clickhouse_port, settings.clickhouse_user, settings.clickhouse_password, 30.0
    )
    try:
        rows = server.query(
            f"SELECT toUnixTimestamp64Micro(start), tupleElement(best, 1), tupleElement(best, 2) FROM (SELECT start, "
            f"argMax((count, mean), (count, set_aside, known_at)) AS best FROM {settings.clickhouse_database}.trends "
            f"WHERE device_id = '{device}' AND metric = '{metric}' AND window = '{window}' GROUP BY start) "
            "WHERE tupleElement(best, 1) > 0 ORDER BY start"
        )
    finally:
        server.close()
    return judged([(start, count, mean) for start, count, mean in rows])[-most:]


def judged(rows: Sequence[tuple[int, int, float]]) -> list[Point]:
    """Each (start, count, mean), in order, with what the detector says of it."""
    verdicts = SeasonalDetector().run([row[0] for row in rows], [row[2] for row in rows])
    return [Point(*row, verdict) for row, verdict in zip(rows, verdicts, strict=True)]


def text(series: Sequence[Point]) -> str:
    """A column a point: `*` the mean, `:` the band, `!` an alarm; then a line for each alarm."""
    low, high = _extent(series)
    lines = []
    for step in reversed(range(STEPS)):
        at = low + (high - low) * step / (STEPS - 1)
        lines.append(f"{at:>12.5g} |" + "".join(_mark(point, step, low, high) for point in series))
    lines.append(" " * 13 + f"+{'-' * len(series)}")
    lines.append(" " * 14 + f"{_when(series[0].start)} to {_when(series[-1].start)}")
    lines += [
        f"{_when(point.start)}  {point.verdict.reason}  mean {point.mean:g}, expected {point.verdict.expected:g}"
        for point in series
        if point.verdict.alarm and point.verdict.expected is not None
    ]
    return "\n".join(lines)


def _mark(point: Point, step: int, low: float, high: float) -> str:
    if _step(point.mean, low, high) == step:
        return "!" if point.verdict.alarm else "*"
    band = point.verdict.low, point.verdict.high
    if band[0] is None or band[1] is None:
        return " "
    return ":" if _step(band[0], low, high) <= step <= _step(band[1], low, high) else " "


def _step(value: float, low: float, high: float) -> int:
    return round((value - low) / (high - low) * (STEPS - 1))


def svg(series: Sequence[Point], title: str) -> str:
    """The same as an SVG document."""
    low, high = _extent(series)
    first, last = series[0].start, max(series[-1].start, series[0].start + 1)

    def place(start: int, value: float) -> str:
        across = MARGIN + (WIDE - 2 * MARGIN) * (start - first) / (last - first)
        return f"{across:.1f},{HIGH - MARGIN - (HIGH - 2 * MARGIN) * (value - low) / (high - low):.1f}"

    banded = [(point.start, point.verdict.low, point.verdict.high) for point in series]
    edge = [place(start, lower) for start, lower, _ in banded if lower is not None]
    edge += [place(start, upper) for start, _, upper in reversed(banded) if upper is not None]
    line = " ".join(place(point.start, point.mean) for point in series)
    alarms = [place(point.start, point.mean).split(",") for point in series if point.verdict.alarm]
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="4" fill="#c0392b"/>' for x, y in alarms)
    words = f"{title}: {_when(series[0].start)} to {_when(series[-1].start)}, {low:g} to {high:g}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" font-family="sans-serif" font-size="13">'
        f'<rect width="{WIDE}" height="{HIGH}" fill="white"/><text x="{MARGIN}" y="24">{escape(words)}</text>'
        f'<polygon points="{" ".join(edge)}" fill="#d6e6f2"/>'
        f'<polyline points="{line}" fill="none" stroke="#1f5f8b" stroke-width="1.5"/>{dots}</svg>\n'
    )


def _extent(series: Sequence[Point]) -> tuple[float, float]:
    """The least and the greatest value, never the same."""
    values = [value for point in series for value in point.reach]
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _when(start: int) -> str:
    return datetime.fromtimestamp(start / 1e6, UTC).strftime("%Y-%m-%dT%H:%MZ")
