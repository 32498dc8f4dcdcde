"""The life of versions on memory stores: whatever happens to a rebuild, readers see one whole view that does not go back,
and what is live, rebuilt or resumed is the same."""

import random
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryDeadLetters, MemoryKeyedStore, MemoryLog, MemoryRowStore
from connectors.ports import Away
from projections import device_state
from projections.catalogue import DEVICE_STATE
from schemas.log import Batch, TopicPartition
from streams.folding import Stalled
from streams.promotion import earlier, promotable, promote, rollback
from streams.rebuild import CLOSE, Interrupted, Parts, Progress, TakenOver, begin, behind, build, rebuild, resumable
from streams.versions import Refused, State, ask, drop, versions_of
from tests.projections.records import logs
from tests.streams.decoding import BAD
from tests.streams.rebuilding import Killed, Mortal, bury, parts, resumed, silent
from tests.streams.test_rebuild_and_verify import DECODERS, ENDLESS, filled, fold, maker
from tests.streams.test_runner import EVENTS, ROWS, Log

SOURCE = TopicPartition("fleet.telemetry", 0)


def bad_log(records: int) -> MemoryLog:
    kept = MemoryLog(dict.fromkeys(device_state.TOPICS, 2), batch_records=2)
    for _ in range(records):
        kept.append(SOURCE, b"key", BAD)
    return kept


def made(store: Any, kept: MemoryLog, projection: Any = DEVICE_STATE) -> Parts:
    return parts(projection, store, kept, maker(projection, store))


def states(store: Any) -> dict[int, State]:
    return {version.number: version.state for version in versions_of(store)}


def content(store: Any, version: int) -> Any:
    if isinstance(store, MemoryKeyedStore):
        return dict(store.scan(version)), store.positions(version)
    return sorted(map(repr, store.frame(version).rows())), store.positions(version)


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms(use_true_random=False), st.booleans())
def test_a_rebuild_that_is_killed_anywhere_any_number_of_times_comes_to_the_same(
    log: Log, chance: random.Random, rows: bool
) -> None:
    kept, projection = filled(log), ROWS if rows else DEVICE_STATE
    store: Any = MemoryRowStore(EVENTS) if rows else MemoryKeyedStore()
    fold(projection, store, kept, chance)  # a live view that lags
    live = content(store, 1)
    for _ in range(4):
        mortal: Any = Mortal(store, chance.randint(1, 60), chance.random() < 0.5)
        made_of = made(mortal, kept, projection)
        made_of = Parts(projection, mortal, kept, parts(projection, mortal, kept, maker(projection, mortal)).fold)
        try:
            if any(state is State.BUILDING for state in states(store).values()):
                resumed(made_of)
            else:
                rebuild(made_of)
            break
        except Killed:
            bury(store)
        assert (store.live(), content(store, 1)) == (1, live)  # nothing that readers see was touched
    made_of = made(store, kept, projection)
    if not any(state is State.READY for state in states(store).values()):
        unfinished = [number for number, state in states(store).items() if state is State.BUILDING]
        version = resumed(made_of) if unfinished else rebuild(made_of)
        assert version.state is State.READY
    number = promote(made_of, promotable(store, None)).number
    fold(projection, store, kept)
    assert content(store, number) == content(store, 1)
    assert states(store)[1] is State.RETIRED


def test_a_version_goes_from_building_to_ready_to_live_to_retired_and_back() -> None:
    kept, store = bad_log(5), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    made_of = made(store, kept)
    assert rebuild(made_of).number == 2
    assert states(store) == {1: State.LIVE, 2: State.READY}
    kept.append(SOURCE, b"key", BAD)
    fold(DEVICE_STATE, store, kept)
    promote(made_of, promotable(store, None))
    assert (states(store), store.live()) == ({1: State.RETIRED, 2: State.LIVE}, 2)
    assert store.positions(2)[SOURCE] == 6  # it was brought up to date first
    maker(DEVICE_STATE, store)(2)
    kept.append(SOURCE, b"key", BAD)
    assert rollback(made_of, earlier(store)).number == 1
    assert states(store) == {1: State.LIVE, 2: State.RETIRED}
    assert store.positions(1)[SOURCE] == 7
    with pytest.raises(Refused, match="no version from before version 1 is kept"):
        earlier(store)
    promote(made_of, promotable(store, 2))
    assert states(store) == {1: State.RETIRED, 2: State.LIVE}


def test_what_another_process_asks_for_is_done_at_the_next_batch() -> None:
    kept, store = bad_log(20), MemoryKeyedStore()
    store.prepare(1)
    for wanted in (State.PAUSED, State.CANCELLED):

        def at_work(progress: Progress, wanted: State = wanted) -> None:
            if 0 < progress.records <= 4:
                number = versions_of(store)[-1].number
                assert ask(store, number, wanted) is State.BUILDING
                with pytest.raises(Refused, match="is being built"):
                    resumable(DEVICE_STATE, store, number)
                with pytest.raises(Refused, match="is being built"):
                    drop(store, number)

        number = begin(made(store, kept), {}) if wanted is State.PAUSED else 2
        with pytest.raises(Interrupted, match=wanted):
            build(made(store, kept), number, at_work)
        assert states(store)[2] is wanted
        assert 0 < store.positions(2)[SOURCE] < 20
    with pytest.raises(Refused, match="2 is cancelled"):
        resumable(DEVICE_STATE, store, 2)
    with pytest.raises(Refused, match=r"no version waits to be resumed; there are 1 \(live\), 2 \(cancelled\)"):
        resumable(DEVICE_STATE, store, None)
    drop(store, 2)
    assert states(store) == {1: State.LIVE}


def test_a_rebuild_that_others_took_or_dropped_leaves_it_alone() -> None:
    kept, store = bad_log(20), MemoryKeyedStore()
    store.prepare(1)

    def taken(progress: Progress) -> None:
        store.note(2, {"builder": "elsewhere 1 aa"})

    with pytest.raises(TakenOver, match="elsewhere 1 aa"):
        rebuild(made(store, kept), taken)
    assert store.facts(2)["builder"] == "elsewhere 1 aa"

    def dropped(progress: Progress) -> None:
        store.drop(2)

    with pytest.raises(TakenOver, match="dropped"):
        build(made(store, kept), 2, dropped)
    assert store.versions() == [1]


class Halting(MemoryLog):
    """Looks whether it is away at every batch, not only when a read begins."""

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        for batch in super().read(source, start, stop):
            self._answer()
            yield batch


def test_no_progress_for_the_set_time_is_a_failure_that_can_be_resumed() -> None:
    kept, store = Halting(dict.fromkeys(device_state.TOPICS, 2), batch_records=2), MemoryKeyedStore()
    for _ in range(20):
        kept.append(SOURCE, b"key", BAD)
    store.prepare(1)

    def away(progress: Progress) -> None:
        kept.away = progress.records > 4

    started = time.monotonic()
    with pytest.raises(Stalled, match=r"no progress for .*told to be away"):
        rebuild(made(store, kept), away)
    assert time.monotonic() - started < 5
    assert states(store) == {1: State.LIVE, 2: State.FAILED}
    assert "no progress" in store.facts(2)["reason"]
    kept.away = False
    version = resumed(made(store, kept))
    assert (version.state, version.facts.get("reason"), version.facts["records"]) == (State.READY, None, "12")


def test_interrupted_by_a_person_it_is_paused_and_another_rebuild_is_refused() -> None:
    kept, store = bad_log(20), MemoryKeyedStore()
    store.prepare(1)

    def interrupt(progress: Progress) -> None:
        if progress.records:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(made(store, kept), interrupt)
    assert states(store)[2] is State.PAUSED
    with pytest.raises(Refused, match=r"version 2 \(paused\) is unfinished: resume, cancel or drop it"):
        rebuild(made(store, kept))
    assert ask(store, 2, State.CANCELLED) is State.CANCELLED  # nobody is at work on it
    promote(made(store, kept), rebuild(made(store, kept)))
    assert states(store) == {1: State.RETIRED, 3: State.LIVE}  # what was cancelled is cleared away


class Interrupting(MemoryKeyedStore):
    """Ctrl-C comes when the first sign of life is noted, before the answer is there."""

    def note(self, version: int, facts: Mapping[str, str | None]) -> None:
        super().note(version, facts)
        if facts.get("state") is State.BUILDING and "builder" in facts:
            raise KeyboardInterrupt


def test_interrupted_at_the_very_beginning_it_is_paused() -> None:
    kept, store = bad_log(5), Interrupting()
    store.prepare(1)
    with pytest.raises(KeyboardInterrupt):
        rebuild(made(store, kept))
    assert states(store)[2] is State.PAUSED


def test_what_can_t_be_is_refused_and_changes_nothing() -> None:
    kept, store = bad_log(3), MemoryKeyedStore()
    store.prepare(1)
    for call, message in (
        (lambda: promotable(store, 7), "there is no version 7; there are 1 (live)"),
        (lambda: promotable(store, None), "no version is ready"),
        (lambda: promotable(store, 1), "version 1 is live, not ready"),
        (lambda: earlier(store), "no version from before version 1"),
        (lambda: drop(store, 1), "version 1 is live"),
        (lambda: drop(store, 9), "there is no version 9"),
        (lambda: ask(store, 1, State.PAUSED), "version 1 is live: there is nothing to be paused"),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert message in str(refused.value)
    version = rebuild(made(store, kept))
    store.note(2, {"revision": "99"})
    with pytest.raises(Refused, match="made by revision 99"):
        promote(made(store, kept), promotable(store, version.number))
    assert (store.live(), states(store)) == (1, {1: State.LIVE, 2: State.READY})


def test_effects_begin_where_the_live_version_stands() -> None:
    kept, store, letters = bad_log(10), MemoryKeyedStore(), MemoryDeadLetters()
    store.prepare(1)
    runner = maker(DEVICE_STATE, store)(1)
    runner.start([SOURCE])
    for batch in kept.read(SOURCE, 0, 6):
        runner.handle(batch)
    made_of = made(store, kept)
    version = rebuild(made_of)
    assert letters.letters == []
    promote(made_of, version, silent(DEVICE_STATE, DECODERS, ENDLESS, letters))
    assert [letter.offset for letter in letters.letters] == [6, 7, 8, 9]


def test_a_view_that_never_rests_is_replaced_by_one_that_is_close() -> None:
    kept, store = bad_log(10), MemoryKeyedStore()
    store.prepare(1)
    live = maker(DEVICE_STATE, store)(1)
    live.start([SOURCE])

    def meanwhile(progress: Progress) -> None:
        kept.append(SOURCE, b"key", BAD)
        (batch,) = kept.read(SOURCE, live.position(SOURCE) or 0, live_end(kept))
        live.handle(batch)

    kept = MemoryLog(dict.fromkeys(device_state.TOPICS, 2), batch_records=10_000)
    version = rebuild(made(store, kept), meanwhile)
    assert version.state is State.READY
    assert 0 < behind(store, 1, 2) <= CLOSE


def live_end(kept: MemoryLog) -> int:
    return kept.bounds([SOURCE.topic])[SOURCE][1]


def test_a_store_that_is_away_at_the_promotion_leaves_the_old_one_live() -> None:
    kept, store = bad_log(10), MemoryKeyedStore()
    store.prepare(1)
    made_of = made(store, kept)
    version = rebuild(made_of)
    store.away = True
    with pytest.raises(Away):
        promote(made_of, version)
    store.away = False
    assert store.live() == 1
