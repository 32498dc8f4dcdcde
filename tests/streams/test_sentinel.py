"""The sentinel finds what is wrong and nothing else; what is healed is what the log implies, also while the view lives."""

import random
import time
from threading import Event
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryKeyedStore
from connectors.memory_leaves import MemoryLeaves
from connectors.ports import Change, Conflict
from projections.canonical import document_leaf
from projections.catalogue import DEVICE_STATE
from streams.heal import heal
from streams.prove import Documents, prove_documents
from streams.refold import Source
from streams.sentinel import Pace, Stopped, check_folds, check_hashes, owned_buckets
from tests.projections.records import logs
from tests.streams.test_prove import of, rehash
from tests.streams.test_rebuild_and_verify import DECODERS, damage, filled, fold, maker
from tests.streams.test_runner import Log

ALL = range(6)


def at_once() -> Pace:
    return Pace(1.0, Event())


def faults(documents: Documents) -> tuple[dict[str, str], dict[str, str]]:
    """What a round of hashes finds, and one of folds, in parts of a single key."""
    buckets = owned_buckets(documents, ALL)
    by_hash = {one.key: one.fault for one in check_hashes(documents, buckets, at_once())}
    parts = list(check_folds(documents, buckets, 1, at_once()))
    return by_hash, {one.key: one.fault for _, found in parts for one in found}


@settings(max_examples=10, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_nothing_is_found_where_nothing_is_wrong(log: Log, seed: int) -> None:
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept, random.Random(seed))
    assert faults(of(store, kept)) == ({}, {})


@settings(max_examples=10, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_a_changed_document_is_found_in_its_round_and_healed(log: Log, seed: int) -> None:
    assume(log)
    chance = random.Random(seed)
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    before = dict(store.scan(1))
    key, document = chance.choice(sorted(before.items()))
    damage(store, key, document, chance)
    documents = of(store, kept)
    assert faults(documents) == ({key: "changed"}, {key: "otherwise"})
    rehash(store, key)
    assert faults(documents) == ({}, {key: "otherwise"})
    assert heal(documents, [key]) == {key: document_leaf(key, before[key])}
    assert dict(store.scan(1)) == before
    assert faults(documents) == ({}, {})
    assert heal(documents, before) == {}


@settings(max_examples=10, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_lost_and_foreign_documents_are_found_and_healed(log: Log, seed: int) -> None:
    assume(log)
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    before, documents = dict(store.scan(1)), of(store, kept)
    key = random.Random(seed).choice(sorted(before))
    with store.writing(1) as held:
        del held.content[key]
    source, position = next(iter(store.positions(1).items()))
    store.commit(1, source, position, position, {"foreign": Change(0, {"x": "1"})})
    assert faults(documents)[0] == {key: "removed", "foreign": "added"}
    with store.writing(1) as held:
        held.buckets[documents.bucket_of(key)].keep(key, None)
    assert faults(documents) == ({"foreign": "added"}, {key: "removed"})
    assert heal(documents, [key, "foreign"]) == {key: document_leaf(key, before[key]), "foreign": None}
    assert dict(store.scan(1)) == before
    assert prove_documents(documents).differing == ()


@settings(max_examples=15, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_a_document_is_healed_while_live_folding_goes_on(log: Log, seed: int) -> None:
    assume(log)
    chance = random.Random(seed)
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept, chance)
    runner = maker(DEVICE_STATE, store)(1)
    bounds = kept.bounds(DEVICE_STATE.topics)
    starts = runner.start(bounds)
    moves = (runner.handle(batch) for source, (_, end) in bounds.items() for batch in kept.read(source, starts[source], end))

    class Overtaken(MemoryLeaves):
        """Something is folded just before each replacement."""

        def replace(self, *arguments: Any) -> None:
            next(moves, None)
            super().replace(*arguments)

    held = sorted(dict(store.scan(1)))
    assume(held)
    key = chance.choice(held)
    with store.writing(1) as version:
        loaded = version.content[key]
        version.content[key] = type(loaded)({**loaded.document, "foreign": "1"}, loaded.revision)
    documents = Documents(Source(DEVICE_STATE, kept, DECODERS), store, Overtaken(store), 1)
    heal(documents, [key])
    for _ in moves:
        pass
    assert prove_documents(documents).differing == ()


def test_a_key_that_never_rests_is_given_up_in_time() -> None:
    class Restless(MemoryLeaves):
        def replace(self, *arguments: Any) -> None:
            raise Conflict("always")

    store, kept = MemoryKeyedStore(), filled([])
    store.prepare(1)
    source = next(iter(kept.bounds(["fleet.telemetry"])))
    store.commit(1, source, 0, 0, {"foreign": Change(0, {"x": "1"})})
    with pytest.raises(Conflict):
        heal(Documents(Source(DEVICE_STATE, kept, DECODERS), store, Restless(store), 1), ["foreign"])


def test_work_is_kept_to_its_share_and_ends_when_told() -> None:
    stop = Event()
    pace = Pace(0.2, stop)
    began = time.monotonic()
    time.sleep(0.05)
    pace.rest()
    assert time.monotonic() - began >= 0.24
    stop.set()
    with pytest.raises(Stopped):
        pace.wait(60)


def test_by_the_processor_s_time_it_is_not_waiting_that_counts() -> None:
    pace = Pace(0.01, Event(), time.thread_time)
    began = time.monotonic()
    time.sleep(0.1)
    pace.rest()
    assert time.monotonic() - began >= 0.2, "a store that is slow to answer has as long for itself"
    used, began = time.thread_time(), time.monotonic()
    while time.thread_time() - used < 0.002:
        pass
    pace.rest()
    assert time.monotonic() - began >= 0.002 * 99
