"""Where all is well reconciliation is exact: also while it goes on, after retention, with letters, with several runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.ports import Away, UnknownSchema
from infra.reconcile import held
from infra.reconcile.facts import read_journal
from infra.reconcile.reconcile import Reconciliation
from infra.simulator.device import Device, now_micros
from infra.simulator.journal import JournalError, JournalWriter, Kind
from projections.catalogue import OF_UPLOADS
from schemas.log import TopicPartition
from tests.infra.reconcile.world import CONTRACT, FIGURES, POISON, SERIES, Logged, World, fleet

TELEMETRY = TopicPartition("fleet.telemetry", 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "journal")
    yield made
    made.journal.close()


def device_in(world: World, name: str = "sim-one") -> Device:
    device = Device(name, SERIES[0], 0, now_micros() - 10**12, 0)
    device.start(world.journal)
    return device


def test_the_report_says_what_there_is(world: World) -> None:
    records = fleet(world)
    world.fold()
    told = world.reconcile().as_json()
    count = len(records)
    assert (told["exact"], told["sent"], told["acknowledged"], told["logged"]) == (True, count, count, count)
    assert sorted(told["views"]) == sorted(view.name for view in OF_UPLOADS)
    for view in OF_UPLOADS:
        present = sum(record.source.topic in view.topics for record in records)
        assert told["views"][view.name].items() >= {"present": present, "lost": 0, "duplicated": 0}.items()
    assert all(type(value) in (int, bool) for value in told["log"].values())
    json.dumps(told)


def test_an_upload_that_nobody_was_told_of_may_be_in_the_log_or_not(world: World) -> None:
    device = device_in(world)
    landed, _ = device.telemetry(2)
    world.sent(Kind.TELEMETRY, device, landed)
    world.logged(Kind.TELEMETRY, device, landed)
    gone, _ = device.telemetry(2)
    world.sent(Kind.TELEMETRY, device, gone)
    world.fold()
    report = world.reconcile()
    assert report.exact
    assert (report.log.sent, report.log.acknowledged, report.log.logged, report.log.unacknowledged) == (2, 0, 1, 1)


def test_the_records_of_other_writers_count_for_the_views_only(world: World) -> None:
    fleet(world, devices=1)
    stranger = JournalWriter(world.folder.parent / "elsewhere", {})
    device = Device("somebody-else", SERIES[0], 0, now_micros() - 10**12, 0)
    device.start(stranger)
    world.logged(Kind.HEARTBEAT, device, device.heartbeat(FIGURES))
    stranger.close()
    world.fold()
    report = world.reconcile()
    assert report.exact
    assert report.log.foreign == 1
    assert report.views["heartbeats"].present == 3


def test_several_runs_with_the_same_folder(world: World) -> None:
    first = fleet(world, seed=1)
    world.journal.close()
    world.journal = JournalWriter(world.folder / "second", {})
    second = fleet(world, seed=2)
    world.fold()
    report = world.reconcile()
    assert report.exact
    assert report.log.acknowledged == len(first) + len(second)


def test_a_run_that_is_there_twice_is_refused(world: World, tmp_path: Path) -> None:
    fleet(world, devices=1)
    copy = world.folder / "copy"
    copy.mkdir()
    for file in (world.folder / "run").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with pytest.raises(JournalError, match=r"run: the boot .* is there twice"):
        world.reconcile()


@pytest.mark.parametrize("made", [False, True])
def test_without_a_journal_nothing_can_be_said(tmp_path: Path, made: bool) -> None:
    if made:
        (tmp_path / "none").mkdir()
    with pytest.raises(JournalError, match=r"there is no journal in .*none"):
        read_journal(tmp_path / "none")


def test_poison_is_among_the_letters_or_lost(world: World) -> None:
    fleet(world)
    world.log.append(TELEMETRY, b"k", POISON)
    world.log.append(TELEMETRY, b"k", None)
    world.fold()
    report = world.reconcile()
    assert report.exact
    assert report.undecodable == 2
    assert {name: view.set_aside for name, view in report.views.items()} == {
        "device_state": 2, "telemetry": 2, "heartbeats": 0, "device_events": 0,
    }  # fmt: skip
    world.log.truncate(TopicPartition("fleet.dead-letters", 0), 4)
    report = world.reconcile()
    assert [name for name, view in report.views.items() if view.lost.count] == ["device_state", "telemetry"]
    assert not report.exact


def _knows_none(number: int) -> Any:
    raise UnknownSchema(f"there is no schema {number}")


def test_a_record_that_was_set_aside_and_decodes_by_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its schema was registered after the views had passed it. A view that is made anew holds it, and both are right."""
    device = device_in(world)
    fields, _ = device.telemetry(1)
    record = world.upload(Kind.TELEMETRY, device, fields)
    with monkeypatch.context() as unknown:
        unknown.setattr(world.registry, "schema", _knows_none)
        world.fold()
    report = world.reconcile()
    assert report.exact
    assert (report.views["device_state"].present, report.views["device_state"].set_aside) == (0, 1)
    assert (report.views["telemetry"].present, report.views["telemetry"].set_aside) == (0, 1)
    for store in world.stores.values():
        store._versions.clear()
        store.prepare(1)
    world.fold()
    report = world.reconcile()
    assert report.exact
    assert (report.views["device_state"].present, report.views["device_state"].set_aside) == (1, 0)
    assert report.views["telemetry"].present == 1
    assert record.offset == 0


def test_a_store_that_stays_away_is_no_verdict(world: World) -> None:
    fleet(world)
    world.fold()
    world.stores["telemetry"].away = True
    with pytest.raises(Away):
        world.reconcile()


def test_a_document_that_counts_in_words_is_named(world: World) -> None:
    record = fleet(world)[0]
    world.fold()
    world.stores["device_state"]._versions[1].content[record.device.id].document["count.events"] = "many"
    with pytest.raises(held.NotANumber, match=f"{record.device.id} says 'many' in count.events"):
        world.reconcile()


def test_a_view_of_a_topic_that_no_device_writes_is_refused(world: World) -> None:
    class Odd:
        projection = type("P", (), {"topics": ("fleet.rules",)})

    with pytest.raises(ValueError, match=r"fleet\.rules"):
        Reconciliation(
            {"odd": Odd},  # type: ignore[dict-item]
            *(world.log, CONTRACT, world.registry.schema, world.folder, world.corrections),
        )


def test_an_identity_that_was_acknowledged_at_two_positions_is_found(world: World) -> None:
    device = device_in(world)
    fields, _ = device.telemetry(1)
    first = world.upload(Kind.TELEMETRY, device, fields)
    again = world.logged(Kind.TELEMETRY, device, fields)
    world.acknowledged(again)
    world.fold()
    report = world.reconcile()
    assert (report.log.acknowledged, report.log.lost.count, report.log.duplicated.count) == (1, 0, 1)
    assert any(first.place in text for text in report.offenders())
    assert any(again.place in text for text in report.offenders())


def test_two_identities_that_were_acknowledged_at_one_position_are_found(world: World) -> None:
    device = device_in(world)
    fields, _ = device.telemetry(1)
    record = world.upload(Kind.TELEMETRY, device, fields)
    other, _ = device.telemetry(1)
    world.sent(Kind.TELEMETRY, device, other)
    world.acknowledged(Logged(record.kind, record.source, record.offset, device, other))
    world.fold()
    report = world.reconcile()
    assert report.log.lost.count == 1
    assert "sequence 1: acknowledged, and not there" in next(iter(report.offenders()))
