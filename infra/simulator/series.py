"""Real sensor series that ship inside Python packages (BSD and MIT licences), as columns.

The files are read where the packages keep them, without importing the packages: `bokeh_sampledata` and `river` would
bring pandas with them, which takes 50 times as long as reading all series does.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

MICROS = 1_000_000
NOT_MEASURED = ["", "nil", "n/a", "NA"]
JUMP = 2.0  # a step of more than so many usual ones is remarkable
GAP = 4  # and a pause of so many spacings or more


Remark = tuple[str, Mapping[str, Any]]
"""An event type, and what the device says of the event."""


class SeriesMissing(RuntimeError):
    """A package that holds series is not installed, or no longer holds its file."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity: its column in the file, its name in readings, its unit (UCUM code)."""

    column: str
    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where a series is and how to read it; `file` is relative to the package's folder."""

    name: str
    model: str
    package: str
    file: str
    time_column: str
    time_format: str
    metrics: tuple[Metric, ...]
    location: tuple[float, float] | None = None  # degrees north, degrees east


SOURCES = (
    # NERACOOS buoy B01, Western Maine Shelf, every 30 minutes.
    Source(
        "sea-surface-temperature", "buoy-sbe37", "bokeh_sampledata", "_data/sea_surface_temperature.csv.gz",
        "time (UTC)", "%Y-%m-%dT%H:%M:%SZ",
        (Metric("temperature (celsius)", "sea_surface_temperature", "Cel"),), (43.18, -70.43),
    ),
    # A continuous glucose monitor, every 5 minutes; `isig` is the sensor's current.
    Source(
        "glucose", "cgm-1", "bokeh_sampledata", "_data/CGM.csv.gz", "datetime", "%Y-%m-%d %H:%M:%S",
        (Metric("glucose", "glucose", "mg/dL"), Metric("isig", "sensor_current", "nA")),
    ),
    # A bicycle computer, every second.
    Source(
        "cycling", "bike-computer", "bokeh_sampledata", "_data/cycling.csv.gz", "time", "0 days %H:%M:%S",
        (
            Metric("altitude", "altitude", "m"), Metric("power", "power", "W"),
            Metric("cadence", "cadence", "/min"), Metric("speed", "speed", "m/s"),
        ),
    ),
    # Hourly air temperatures of 2010.
    Source(
        "seattle-temperature", "thermometer-h", "vega_datasets", "_data/seattle-temps.csv", "date", "%Y/%m/%d %H:%M",
        (Metric("temp", "air_temperature", "[degF]"),), (47.61, -122.33),
    ),
    Source(
        "sf-temperature", "thermometer-h", "vega_datasets", "_data/sf-temps.csv", "date", "%Y/%m/%d %H:%M:%S",
        (Metric("temp", "air_temperature", "[degF]"),), (37.77, -122.42),
    ),
    # Daily weather of Seattle, 2012 to 2015.
    Source(
        "seattle-weather", "weather-station", "vega_datasets", "_data/seattle-weather.csv", "date", "%Y/%m/%d",
        (
            Metric("temp_max", "temperature_max", "Cel"), Metric("temp_min", "temperature_min", "Cel"),
            Metric("precipitation", "precipitation", "mm"), Metric("wind", "wind_speed", "m/s"),
        ),
        (47.61, -122.33),
    ),
    # Water through a pipeline branch, hourly, with three leaks.
    Source(
        "water-flow", "flow-meter", "river", "datasets/water-flow.csv", "Time", "%Y-%m-%dT%H:%M:%S%z",
        (Metric("Water flow [l/s]", "water_flow", "L/s"),),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """A series as it was measured. Of rows with the same time the first counts, one without any value is left out.

    Attributes:
        at: int64, microseconds since the first row, ascending.
        values: float64, a row per time and a column per metric; NaN where nothing was measured.
    """

    source: Source
    at: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at)

    @cached_property
    def times(self) -> list[int]:
        """`at` as Python's own integers: devices take single rows, for which numpy is slow."""
        times: list[int] = self.at.tolist()
        return times

    @cached_property
    def rows(self) -> list[tuple[tuple[str, str, float], ...]]:
        """What was measured in each row: (metric, unit, value)."""
        named = [(metric.name, metric.unit) for metric in self.source.metrics]
        return [
            tuple((name, unit, value) for (name, unit), value in zip(named, row, strict=True) if not math.isnan(value))
            for row in self.values.tolist()
        ]

    @cached_property
    def spacing(self) -> int:
        """The usual microseconds from row to row."""
        return int(np.median(np.diff(self.at)))

    @cached_property
    def period(self) -> int:
        """Microseconds after which the series begins again, when it is played round and round."""
        return int(self.at[-1]) + self.spacing

    @cached_property
    def remarkable(self) -> Mapping[int, tuple[Remark, ...]]:
        """What a device notices by itself, by row: a step of more than JUMP usual ones (the 99th percentile of all steps)
        of a metric, a pause of GAP spacings or more."""
        found: dict[int, list[Remark]] = defaultdict(list)
        pauses = np.diff(self.at)
        for row in np.flatnonzero(pauses >= GAP * self.spacing).tolist():
            found[row + 1].append(("measurement_gap", {"seconds": int(pauses[row]) / MICROS}))
        steps = np.nan_to_num(np.abs(np.diff(self.values, axis=0)))
        for row, i in np.argwhere(steps > JUMP * np.percentile(steps, 99, axis=0)).tolist():
            before, after = self.values[row : row + 2, i].tolist()
            jump = {"metric": self.source.metrics[i].name, "from": before, "to": after}
            found[row + 1].append(("value_jump", jump))
        return {row: tuple(remarks) for row, remarks in found.items()}


def load(sources: Iterable[Source] = SOURCES) -> tuple[Series, ...]:
    """All series.

    Raises:
        SeriesMissing: a package or its file is not there.
    """
    return tuple(_series(source) for source in sources)


def _series(source: Source) -> Series:
    path = _package(source.package) / source.file
    if not path.is_file():
        raise SeriesMissing(f"{source.name}: {source.package} has no file {source.file}")
    frame = pl.read_csv(path, null_values=NOT_MEASURED, columns=[source.time_column, *(m.column for m in source.metrics)])
    times = pl.col(source.time_column).str.to_datetime(source.time_format, time_unit="us").dt.epoch("us")
    values = [pl.col(metric.column).cast(pl.Float64) for metric in source.metrics]
    rows = frame.select(times.alias("at"), *values).sort("at").unique("at", keep="first", maintain_order=True)
    measured = rows.filter(pl.any_horizontal(pl.col(m.column).is_not_null() for m in source.metrics))
    at = measured["at"].to_numpy()
    return Series(source, at - at[0], measured.drop("at").to_numpy())


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SeriesMissing(f"the package {name} is not installed")
    return Path(spec.submodule_search_locations[0])
