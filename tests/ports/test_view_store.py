"""The contract of every view store (connectors.ports.ViewStore): versions, the live one, positions."""

import pytest

from connectors.memory import MemoryKeyedStore, MemoryLog, MemoryRowStore
from connectors.ports import Away, Superseded
from infra.stack.harness import Stack
from tests.ports.stores import OTHER, TABLE, A, B, Opened, Store, open_view


def test_a_new_view_has_version_1_live_and_holds_nothing(view: Opened) -> None:
    store = view.open()
    assert store.live() == 1
    assert store.versions() == []
    assert store.positions(1) == {}


def test_prepare_is_idempotent_and_keeps_what_is_there(view: Opened) -> None:
    store = view.open()
    store.prepare(1)
    view.write(store, 1, A, 0, 3)
    store.prepare(1)
    view.open().prepare(1)
    assert store.versions() == [1]
    assert store.positions(1) == {A: 3}


def test_positions_are_per_partition_and_per_version(view: Opened) -> None:
    store = view.open()
    for version in (1, 11):
        store.prepare(version)
    view.write(store, 1, A, 0, 3)
    view.write(store, 1, A, 3, 4)
    view.write(store, 1, B, 0, 9)
    view.write(store, 1, OTHER, 0, 2**40)
    view.write(store, 11, A, 0, 1)
    assert store.positions(1) == {A: 4, B: 9, OTHER: 2**40} == view.open().positions(1)
    assert store.positions(11) == {A: 1}
    assert store.positions(2) == {}


def test_versions_ascend_as_numbers(view: Opened) -> None:
    store = view.open()
    for version in (10, 2, 1):
        store.prepare(version)
    assert store.versions() == [1, 2, 10]


def test_promote_moves_the_readers(view: Opened) -> None:
    store = view.open()
    for version in (1, 2):
        store.prepare(version)
    assert store.live() == 1
    store.promote(2)
    assert store.live() == 2 == view.open().live()
    store.promote(1)
    assert store.live() == 1


def test_a_version_that_was_never_prepared_is_not_promoted(view: Opened) -> None:
    store = view.open()
    store.prepare(1)
    with pytest.raises(ValueError, match="version 2 was never prepared"):
        store.promote(2)
    assert store.live() == 1


def test_drop_removes_all_and_only_that_version(view: Opened) -> None:
    store = view.open()
    for version in (1, 11, 111):
        store.prepare(version)
        view.write(store, version, A, 0, version)
    store.promote(11)
    store.drop(1)
    assert store.versions() == [11, 111]
    assert store.positions(1) == {}
    assert store.positions(11) == {A: 11}
    assert store.positions(111) == {A: 111}
    store.drop(1)
    store.drop(77)
    assert store.versions() == [11, 111]


@pytest.mark.parametrize("promoted", [False, True])
def test_the_live_version_is_not_dropped(view: Opened, promoted: bool) -> None:
    store = view.open()
    store.prepare(1)
    view.write(store, 1, A, 0, 3)
    if promoted:
        store.promote(1)
    with pytest.raises(ValueError, match="version 1 is live"):
        store.drop(1)
    assert store.versions() == [1]
    assert store.positions(1) == {A: 3}


def test_facts_are_noted_changed_and_removed_together_and_per_version(view: Opened) -> None:
    store = view.open()
    for version in (1, 11):
        store.prepare(version)
    assert store.facts(1) == {} == store.facts(7)
    awkward = {"it's": "a \\ and 'quotes'\n\t%s {}", "empty": "", "snow": "\u2603"}
    store.note(1, {"state": "building", "records": "3", **awkward})
    store.note(11, {"state": "ready"})
    assert store.facts(1) == {"state": "building", "records": "3", **awkward} == view.open().facts(1)
    store.note(1, {"state": "live", "records": None, "never": None, "empty": None})
    view.open().note(1, {"state": "retired"})
    store.note(1, {})
    store.note(11, {"gone": None})
    assert store.facts(1) == {"state": "retired", "it's": awkward["it's"], "snow": awkward["snow"]}
    assert store.facts(11) == {"state": "ready"}
    assert store.positions(1) == {}


def test_facts_go_with_their_version_and_are_not_noted_without_it(view: Opened) -> None:
    store, other = view.open(), view.open()
    for version in (1, 2):
        store.prepare(version)
    store.note(2, {"state": "failed"})
    store.drop(2)
    for version in (2, 3):
        with pytest.raises(Superseded):
            other.note(version, {"state": "building"})
    assert store.facts(2) == {}
    assert store.versions() == [1]
    store.prepare(2)
    assert other.facts(2) == {}


def test_a_dropped_version_can_be_prepared_anew_and_is_empty(view: Opened) -> None:
    store, other = view.open(), view.open()
    for version in (1, 2):
        store.prepare(version)
    view.write(store, 2, A, 0, 5)
    assert other.positions(2) == {A: 5}
    store.drop(2)
    other.prepare(2)
    assert store.positions(2) == {} == other.positions(2)
    view.write(store, 2, A, 0, 5)  # the same write as before: nothing of it may be remembered
    assert store.positions(2) == {A: 5}


def test_a_dropped_or_never_prepared_version_takes_no_writes(view: Opened) -> None:
    store, zombie = view.open(), view.open()
    for version in (1, 2):
        store.prepare(version)
    view.write(zombie, 2, A, 0, 5)
    store.drop(2)
    for version, first in ((2, 5), (2, 0), (3, 0)):
        with pytest.raises(Superseded):
            view.write(zombie, version, A, first, first + 1)
    assert store.versions() == [1]
    assert store.positions(2) == {}


def test_views_do_not_see_each_other(view: Opened, services: Stack, handles: list[Store]) -> None:
    other = open_view(view.kind, services.settings, handles).open()
    store = view.open()
    for one in (store, other):
        one.prepare(1)
        one.prepare(2)
    view.write(store, 2, A, 0, 5)
    store.promote(2)
    assert other.live() == 1
    assert other.positions(2) == {}
    other.drop(2)
    assert store.positions(2) == {A: 5}


def test_the_memory_versions_can_be_told_to_be_away() -> None:
    keyed, rows, log = MemoryKeyedStore(), MemoryRowStore(TABLE), MemoryLog({"fleet.telemetry": 1})
    for store in (keyed, rows):
        store.prepare(1)
        store.away = True
        for call in (store.live, store.versions, lambda s=store: s.positions(1), lambda s=store: s.drop(2)):
            with pytest.raises(Away):
                call()
        store.away = False
        assert store.versions() == [1]
    log.away = True
    with pytest.raises(Away):
        log.bounds(["fleet.telemetry"])
