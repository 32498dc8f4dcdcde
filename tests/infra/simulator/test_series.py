"""The series are the real ones of the packages: counted, dated and valued as their sources publish them."""

import gzip
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from infra.simulator.series import MICROS, SOURCES, Metric, SeriesMissing, Source, load

# Name -> lines of the file, points (a line without a value or of the same time as one before is none), seconds between
# two, first values, units; counted in the packages' files with other tools.
KNOWN = {
    "sea-surface-temperature": (19_226, 19_225, 1_800, (4.929,), ("Cel",)),
    "glucose": (52_281, 52_278, 300, (258.0, 22.59), ("mg/dL", "nA")),
    "cycling": (4_391, 4_328, 1, (12.799999999999956, 68.0, 5.0, 1.621), ("m", "W", "/min", "m/s")),
    "seattle-temperature": (8_759, 8_759, 3_600, (39.4,), ("[degF]",)),
    "sf-temperature": (8_759, 8_759, 3_600, (47.8,), ("[degF]",)),
    "seattle-weather": (1_461, 1_461, 86_400, (12.8, 5.0, 0.0, 4.7), ("Cel", "Cel", "mm", "m/s")),
    "water-flow": (1_268, 1_268, 3_600, (100.59,), ("L/s",)),
}
SERIES = {series.source.name: series for series in load()}


def lines(source: Source) -> list[str]:
    """The file's own lines, read without any of the code under test."""
    spec = find_spec(source.package)
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / source.file
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode().splitlines()


def test_there_is_a_series_of_each_source() -> None:
    assert set(SERIES) == set(KNOWN)
    assert {source.package for source in SOURCES} == {"bokeh_sampledata", "vega_datasets", "river"}


@pytest.mark.parametrize("name", KNOWN)
def test_a_series_is_the_published_one(name: str) -> None:
    series, (_, points, spacing, first, units) = SERIES[name], KNOWN[name]
    assert (len(series), series.spacing) == (points, spacing * MICROS)
    assert tuple(metric.unit for metric in series.source.metrics) == units
    assert tuple(series.values[0]) == first
    assert series.at[0] == 0
    assert (np.diff(series.at) > 0).all()


@pytest.mark.parametrize("name", KNOWN)
def test_a_series_holds_the_values_of_its_file(name: str) -> None:
    """All of them, bit for bit. Of lines with the same time the first counts."""
    series = SERIES[name]
    header, *rows = [line.split(",") for line in lines(series.source)]
    assert len(rows) == KNOWN[name][0]
    at = header.index(series.source.time_column)
    columns = [header.index(metric.column) for metric in series.source.metrics]
    published: dict[str, list[str]] = {}
    for row in rows:
        published.setdefault(row[at], [row[i] for i in columns])
    values = [[None if text in ("", "nil", "n/a", "NA") else float(text) for text in row] for row in published.values()]
    ours = [[None if math.isnan(value) else value for value in row] for row in series.values.tolist()]
    assert sorted(map(str, ours)) == sorted(str(row) for row in values if any(value is not None for value in row))


def test_rows_leave_out_what_was_not_measured() -> None:
    for series in SERIES.values():
        measured = int((~np.isnan(series.values)).sum())
        assert sum(len(row) for row in series.rows) == measured
        assert all(series.rows)
        name, unit, value = series.rows[0][0]
        assert (name, unit, value) == (series.source.metrics[0].name, series.source.metrics[0].unit, series.values[0][0])


def test_a_device_notices_jumps_and_gaps_only_where_they_are() -> None:
    for name, series in SERIES.items():
        assert len(series.remarkable) < len(series) / 50, name
        for row, remarks in series.remarkable.items():
            for event_type, said in remarks:
                if event_type == "measurement_gap":
                    assert said["seconds"] * MICROS == series.at[row] - series.at[row - 1] >= 4 * series.spacing
                else:
                    i = [metric.name for metric in series.source.metrics].index(said["metric"])
                    assert (said["from"], said["to"]) == (series.values[row - 1, i], series.values[row, i])
    assert any(SERIES["water-flow"].remarkable.values())


@pytest.mark.parametrize(
    ("package", "file", "message"),
    [
        ("bokeh_sampledata", "_data/none.csv", "gone: bokeh_sampledata has no file _data/none.csv"),
        ("no_such_package", "x.csv", "the package no_such_package is not installed"),
    ],
)
def test_what_is_missing_is_named(package: str, file: str, message: str) -> None:
    source = Source("gone", "m", package, file, "time", "%Y", (Metric("a", "a", "1"),))
    with pytest.raises(SeriesMissing, match=message):
        load([source])
