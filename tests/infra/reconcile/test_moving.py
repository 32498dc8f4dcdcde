"""Retention, versions and records that come while it compares: what moves is no loss."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.ports import Away
from infra.reconcile import held
from infra.simulator.journal import TOPICS
from schemas.log import Batch, TopicPartition
from tests.infra.reconcile.world import PARTITIONS, World, fleet

TELEMETRY = TopicPartition("fleet.telemetry", 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "journal")
    yield made
    made.journal.close()


def test_what_retention_took_is_not_missed(world: World) -> None:
    fleet(world, devices=6)
    world.fold()
    for source, (_, end) in world.log.bounds(TOPICS.values()).items():
        world.log.truncate(source, end // 2)
    report = world.reconcile()
    assert report.exact
    assert report.log.expired > 0
    fleet(world, devices=6, seed=1)
    world.fold()
    assert world.reconcile().exact


def test_retention_of_one_partition_excuses_no_document_of_another(world: World) -> None:
    records = fleet(world, devices=6)
    world.fold()
    cut, whole = (TopicPartition(TELEMETRY.topic, partition) for partition in range(PARTITIONS))
    world.log.truncate(cut, 1)
    device = next(record.device.id for record in records if record.source == whole)
    content = world.stores["device_state"]._versions[1].content
    content[device].document["count.telemetry"] += "0"
    report = world.reconcile()
    assert not report.exact
    assert report.views["device_state"].duplicated.named[0].startswith(device)


def test_retention_during_the_comparison_begins_it_anew(world: World) -> None:
    fleet(world)
    world.fold()
    read, cuts = world.log.read, iter([3])

    def cutting(source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        if source == TELEMETRY and (before := next(cuts, None)):
            world.log.truncate(TELEMETRY, before)
        return read(source, start, stop)

    world.log.read = cutting  # type: ignore[method-assign]
    report = world.reconcile()
    assert report.exact
    assert report.log.expired == 3


def test_a_version_that_goes_live_during_the_comparison_begins_it_anew(world: World) -> None:
    fleet(world)
    world.fold()
    store = world.stores["telemetry"]
    counts, switched = store.counts, []

    def switching(version: int, *where: Any) -> Any:
        if not switched:
            store._versions[2] = store._versions.pop(1)
            store.promote(2)
            switched.append(True)
        return counts(version, *where)

    store.counts = switching
    assert world.reconcile().exact


def test_a_log_that_is_cut_again_and_again_is_given_up(world: World) -> None:
    fleet(world, uploads=9)
    world.fold()
    read = world.log.read

    def cutting(source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        if source == TELEMETRY:
            world.log.truncate(TELEMETRY, start + 1)
        return read(source, start, stop)

    world.log.read = cutting  # type: ignore[method-assign]
    with pytest.raises(Away, match=r"changed 3 times while it was read; at last: fleet.telemetry/0: the log was cut"):
        world.reconcile()


def test_records_that_come_while_it_compares_do_no_harm(world: World) -> None:
    """Views go on between the look at their positions, the reading of their content and that of the log."""
    fleet(world, seed=1)
    world.fold()
    runs = iter(range(2, 99))
    busy: list[str] = []

    def going_on(name: str, method: str) -> None:
        store = world.stores[name]
        plain = getattr(store, method)

        def then(*arguments: Any) -> Any:
            found = plain(*arguments)
            found = list(found) if method == "scan" else found
            if not busy:
                busy.append(name)
                fleet(world, devices=3, seed=next(runs))
                world.fold()
                busy.clear()
            return found

        setattr(store, method, then)

    for name, method in (
        ("device_state", "positions"),
        ("device_state", "scan"),
        ("telemetry", "live"),
        ("telemetry", "counts"),
    ):
        going_on(name, method)
    assert world.reconcile(wait=5.0).exact
    assert next(runs) > 5


def test_a_view_that_catches_up_in_time_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet(world)
    monkeypatch.setattr(held.time, "sleep", lambda _: world.fold())
    assert world.reconcile(wait=5.0).exact
