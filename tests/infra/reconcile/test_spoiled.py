"""Whatever one thing is wrong in the log or in a view, reconciliation is not exact and names it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryLog
from connectors.ports import Loaded
from infra.reconcile.reconcile import DEAD_LETTERS, Report
from infra.simulator.journal import TOPICS, Kind
from projections.catalogue import OF_UPLOADS
from projections.projection import RowProjection
from schemas.log import TopicPartition
from tests.infra.reconcile.world import PARTITIONS, POISON, Logged, World, fleet

Spoil = Callable[[World, Logged], World]
ROW_VIEWS = {view.topics[0]: view.name for view in OF_UPLOADS if isinstance(view, RowProjection)}


@contextmanager
def good_world() -> Iterator[tuple[World, list[Logged]]]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        yield world, fleet(world)
        world.journal.close()


def relogged(world: World, change: Callable[[TopicPartition, int, bytes], list[bytes | None]]) -> None:
    """Write the log anew, as a broker that lost or doubled something would have it: each record becomes those that
    `change` gives; None stands for a hole."""
    old, world.log = world.log, MemoryLog({**dict.fromkeys(TOPICS.values(), PARTITIONS), DEAD_LETTERS: 1})
    for source, (first, end) in old.bounds([*TOPICS.values(), DEAD_LETTERS]).items():
        for batch in old.read(source, first, end):
            for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
                for new in change(source, offset, value or b""):
                    if new is None:
                        world.log.skip(source, 1)
                    else:
                        world.log.append(source, key, new)


def only(record: Logged, instead: Callable[[bytes], list[bytes | None]]) -> Callable[[Any, int, bytes], list[bytes | None]]:
    return lambda source, offset, value: instead(value) if (source, offset) == (record.source, record.offset) else [value]


def dropped(world: World, record: Logged) -> None:
    relogged(world, only(record, lambda _: []))


def hole(world: World, record: Logged) -> None:
    relogged(world, only(record, lambda _: [None]))


def doubled(world: World, record: Logged) -> None:
    relogged(world, only(record, lambda value: [value, value]))


def doubled_at_the_end(world: World, record: Logged) -> None:
    world.logged(record.kind, record.device, record.fields)


def poisoned(world: World, record: Logged) -> None:
    relogged(world, only(record, lambda _: [POISON]))


def altered(world: World, record: Logged) -> None:
    other = {**record.fields, "occurred_at": record.fields["occurred_at"] + 1}
    boot_id = record.fields.get("boot_id")
    value = world.framed(record.kind, record.device, other | ({"boot_id": boot_id} if boot_id else {}))
    relogged(world, only(record, lambda _: [value]))


def renumbered(world: World, record: Logged) -> None:
    name = "sequence" if "sequence" in record.fields else "model"
    other = {**record.fields, name: 10**6 if name == "sequence" else "other"}
    relogged(world, only(record, lambda _: [world.framed(record.kind, record.device, other)]))


LOG_SPOILERS = (dropped, hole, doubled, doubled_at_the_end, poisoned, altered, renumbered)


@settings(max_examples=35, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LOG_SPOILERS), st.integers(0, 10**6), st.booleans())
def test_one_spoiled_record_of_the_log_is_found(spoil: Any, which: int, folded_before: bool) -> None:
    with good_world() as (world, records):
        record = records[which % len(records)]
        if folded_before:
            world.fold()
        spoil(world, record)
        world.fold()
        report = world.reconcile()
    assert not report.exact
    assert not report.log.exact
    assert record.device.id in "".join(report.offenders())


# --- views


def rows_of(world: World, record: Logged) -> tuple[str, dict[Any, Any]]:
    """The name of the row view of the record, and all its rows by identity."""
    view = ROW_VIEWS[record.source.topic]
    return view, world.stores[view]._versions[1].content


def own(content: dict[Any, Any], record: Logged) -> list[Any]:
    return [key for key in content if key[:3] == (*record.source, record.offset)]


def row_lost(world: World, record: Logged) -> str:
    view, content = rows_of(world, record)
    del content[own(content, record)[0]]
    return view


def row_doubled(world: World, record: Logged) -> str:
    view, content = rows_of(world, record)
    key = own(content, record)[-1]
    content[(*key, "again")] = content[key]
    return view


def row_beyond_the_end(world: World, record: Logged) -> str:
    view, content = rows_of(world, record)
    key = own(content, record)[0]
    far = world.log.bounds([record.source.topic])[record.source][1] + 7
    content[(*key[:2], far, *key[3:])] = (*content[key][:2], far, *content[key][3:])
    return view


def documents(world: World) -> dict[str, Loaded]:
    found: dict[str, Loaded] = world.stores["device_state"]._versions[1].content
    return found


def document_lost(world: World, record: Logged) -> str:
    del documents(world)[record.device.id]
    return "device_state"


def document_copied(world: World, record: Logged) -> str:
    documents(world)["sim-nobody"] = documents(world)[record.device.id]
    return "device_state"


def counted(world: World, record: Logged, more: int) -> str:
    name = {
        Kind.TELEMETRY: "telemetry",
        Kind.HEARTBEAT: "heartbeats",
        Kind.EVENT: "events",
        Kind.REGISTRATION: "registrations",
    }
    field = f"count.{name[record.kind]}"
    loaded = documents(world)[record.device.id]
    document = {**loaded.document, field: str(int(loaded.document[field]) + more)}
    documents(world)[record.device.id] = replace(loaded, document=document)
    return "device_state"


def counted_once_more(world: World, record: Logged) -> str:
    return counted(world, record, 1)


def counted_once_less(world: World, record: Logged) -> str:
    return counted(world, record, -1)


ROW_SPOILERS = (row_lost, row_doubled, row_beyond_the_end)
DOCUMENT_SPOILERS = (document_lost, counted_once_more, counted_once_less, document_copied)
LOSING = (row_lost, document_lost, counted_once_less)


@settings(max_examples=35, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from((*ROW_SPOILERS, *DOCUMENT_SPOILERS)), st.integers(0, 10**6), st.booleans())
def test_one_spoiled_record_of_a_view_is_found(spoil: Any, which: int, later_records: bool) -> None:
    with good_world() as (world, records):
        if spoil in ROW_SPOILERS:
            records = [record for record in records if record.source.topic in ROW_VIEWS]
        record = records[which % len(records)]
        world.fold()
        view = spoil(world, record)
        if later_records:
            fleet(world, devices=2, seed=1)
            world.fold()
        report = world.reconcile()
    assert report.log.exact
    assert [name for name, verdict in report.views.items() if not verdict.exact] == [view]
    assert not report.exact
    named = "sim-nobody" if spoil is document_copied else record.device.id if view == "device_state" else str(record.source)
    offenders = list(report.offenders())
    assert offenders
    assert all(text.startswith(f"{view}: {named}") for text in offenders)
    verdict = report.views[view]
    assert (verdict.lost.count > 0) == (spoil in LOSING)
    assert (verdict.duplicated.count > 0) == (spoil not in LOSING)


@pytest.mark.parametrize("view", [view.name for view in OF_UPLOADS])
def test_a_view_that_was_emptied_has_lost_everything(view: str) -> None:
    """Also its position is gone, as after a flush of the store: what it does not claim to have is lost all the same."""
    with good_world() as (world, _):
        world.fold()
        full = world.reconcile().views[view].present
        content = world.stores[view]._versions[1]
        content.content.clear()
        content.positions.clear()
        report: Report = world.reconcile()
    assert not report.exact
    assert (report.views[view].present, report.views[view].lost.count) == (0, full)
    assert report.views[view].behind == full


@pytest.mark.parametrize("view", [view.name for view in OF_UPLOADS])
def test_a_view_that_is_behind_is_not_exact(view: str) -> None:
    with good_world() as (world, first):
        world.fold()
        second = fleet(world, seed=1)
        world.fold(*(other.name for other in OF_UPLOADS if other.name != view))
        report = world.reconcile()
        topics = next(other.topics for other in OF_UPLOADS if other.name == view)
        missing = sum(record.source.topic in topics for record in second)
    assert not report.exact
    assert (report.views[view].lost.count, report.views[view].behind) == (missing, missing)
    assert sum(record.source.topic in topics for record in first) == report.views[view].present


def test_a_journal_whose_records_are_not_in_the_log_at_all() -> None:
    with good_world() as (world, records):
        world.log = MemoryLog({**dict.fromkeys(TOPICS.values(), PARTITIONS), DEAD_LETTERS: 1})
        report = world.reconcile()
    assert (report.log.acknowledged, report.log.lost.count) == (len(records), len(records))
    assert not report.exact
