"""The bench of as-of runs on a real broker, compares its answers, and tells what it has to."""

from datetime import date

import pytest

from infra.bench import as_of
from infra.bench.report import parse, section


@pytest.mark.stack
def test_a_small_run_tells_its_figures() -> None:
    result = as_of.run(1.0, records=6_000, devices=60, since=600)
    figures = parse(result)
    assert 0 < figures.ours < 10_000
    assert figures.peers["without snapshots"] > 0
    assert figures.detail["fleet_seconds_per_million_since"] > 0
    assert figures.detail["devices_asked_for"] >= 2
    assert "at_most" in section(result, "fleetlog bench as-of", date(2026, 1, 31))
