"""Views are compared with the log as it counts in them; what devices sent with the log as it lies."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.reconcile.reconcile import Report
from infra.simulator.journal import Kind
from tests.infra.reconcile.world import POISON, Logged, World, fleet


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "journal")
    yield made
    made.journal.close()


def wrong(report: Report) -> set[str]:
    return {name for name, view in report.views.items() if not view.exact}


def telemetry(records: list[Logged]) -> list[Logged]:
    return [record for record in records if record.kind == Kind.TELEMETRY]


def with_readings(world: World, record: Logged, count: int) -> bytes:
    """The record with so many readings."""
    reading = dict(record.fields["readings"][0])
    readings = [{**reading, "metric": f"metric-{number}"} for number in range(count)]
    return world.framed(record.kind, record.device, {**record.fields, "readings": readings})


def test_a_patched_and_a_skipped_record_are_no_difference_where_they_count_so(world: World) -> None:
    first, second, *_ = telemetry(fleet(world))
    world.fold()
    world.correct(first, with_readings(world, first, 7))
    world.correct(second, None)
    assert world.reconcile().exact, "no view has them yet, and none says so"
    world.rebuild("telemetry")
    report = world.reconcile()
    assert report.exact, list(report.offenders())
    world.rebuild()
    report = world.reconcile()
    assert report.exact, list(report.offenders())
    assert report.log.logged == report.log.acknowledged, "the log holds what was sent, and nobody bends it"


def test_a_version_that_says_it_has_corrections_and_has_them_not_is_named(world: World) -> None:
    first, second, *_ = telemetry(fleet(world))
    world.fold()
    world.correct(first, with_readings(world, first, 7))
    world.correct(second, None)
    for store in world.stores.values():
        store.note(1, {"corrections": "2"})
    report = world.reconcile()
    assert wrong(report) == {"telemetry", "device_state"}
    assert f"telemetry: {first.place}: {len(first.fields['readings'])} rows instead of 7" in report.offenders()


def test_what_was_set_aside_and_patched_since_must_be_there(world: World) -> None:
    records = fleet(world)
    good = telemetry(records)[0]
    device = good.device
    offset = world.log.append(good.source, device.id.encode(), POISON)
    bad = Logged(Kind.TELEMETRY, good.source, offset, device, good.fields)
    world.fold()
    assert {world.reconcile().views[name].set_aside for name in ("telemetry", "device_state")} == {1}
    world.correct(bad, with_readings(world, good, 2))
    world.rebuild()
    report = world.reconcile()
    assert report.exact
    assert report.views["telemetry"].set_aside == 0
    world.stores["telemetry"].amend(1, bad.source, bad.offset, bad.offset + 1, empty_rows(world))
    report = world.reconcile()
    assert wrong(report) == {"telemetry"}
    assert list(report.offenders()) == [f"telemetry: {bad.place}: 0 rows instead of 2"]


def empty_rows(world: World) -> object:
    from projections.catalogue import find
    from streams.redrive import empty

    return empty(find("telemetry"))  # type: ignore[arg-type]


def test_what_is_discarded_is_not_missed(world: World) -> None:
    good = telemetry(fleet(world))[0]
    bad = Logged(good.kind, good.source, world.log.append(good.source, b"k", POISON), good.device, good.fields)
    world.fold()
    world.correct(bad, None)
    world.rebuild()
    report = world.reconcile()
    assert (report.exact, report.undecodable) == (True, 1)
    assert {view.set_aside for view in report.views.values()} == {0}


def test_corrections_that_come_in_meanwhile_are_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = telemetry(fleet(world))[0]
    world.fold()
    world.correct(first, with_readings(world, first, 7))
    store, asked = world.stores["telemetry"], list[None]()
    counts = store.counts

    def redriven_meanwhile(*arguments: object) -> object:
        if not asked:
            asked.append(None)
            world.rebuild("telemetry")
        return counts(*arguments)

    monkeypatch.setattr(store, "counts", redriven_meanwhile)
    report = world.reconcile()
    assert (report.exact, len(asked)) == (True, 1)
