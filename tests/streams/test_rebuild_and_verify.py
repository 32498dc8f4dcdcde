"""Rebuild equals live, and verify finds every single thing that is wrong, also while the view is being written."""

import itertools
import random
from functools import partial
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryKeyedStore, MemoryLog, MemoryRowStore
from connectors.ports import Change, Document
from projections import device_state
from projections.catalogue import DEVICE_STATE
from schemas.log import TopicPartition
from streams.limits import Limit
from streams.runner import Runner, writer
from streams.verify import verify_keyed, verify_rows
from tests.projections.records import logs
from tests.streams.decoding import BAD, JsonDecoder, encode
from tests.streams.rebuilding import renewed
from tests.streams.test_runner import EVENTS, ROWS, Log

DECODERS: dict[str, Any] = {topic: JsonDecoder(topic) for topic in device_state.TOPICS}
ENDLESS = Limit(2**62, 1.0, 2**62)


def filled(log: Log) -> MemoryLog:
    kept = MemoryLog(dict.fromkeys(device_state.TOPICS, 2), batch_records=2)
    for topic, partition, _, record in log:
        kept.append(TopicPartition(topic, partition), b"key", encode(record))
    return kept


def maker(projection: Any, store: Any) -> Any:
    return partial(Runner, projection, writer(projection, store), DECODERS, ENDLESS)


def fold(projection: Any, store: Any, log: MemoryLog, chance: random.Random | None = None) -> None:
    """Fold the log into version 1: all of it, or with `chance` a random part of each partition."""
    store.prepare(1)
    runner = maker(projection, store)(1)
    bounds = log.bounds(projection.topics)
    runner.start(bounds)
    for source, (low, end) in bounds.items():
        for batch in log.read(source, low, end if chance is None else chance.randint(low, end)):
            runner.handle(batch)


@settings(max_examples=40, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_a_rebuild_yields_what_live_yields_and_takes_its_place(log: Log, seed: int) -> None:
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    before = dict(store.scan(1))
    version, records = renewed(DEVICE_STATE, store, kept, maker(DEVICE_STATE, store))
    assert (version, records, store.live()) == (2, len(log), 2)
    assert dict(store.scan(2)) == before


@settings(max_examples=40, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_a_view_that_lags_is_equal_as_far_as_it_is(log: Log, seed: int) -> None:
    kept, store, rows = filled(log), MemoryKeyedStore(), MemoryRowStore(EVENTS)
    fold(DEVICE_STATE, store, kept, random.Random(seed))
    fold(ROWS, rows, kept, random.Random(seed))
    assert verify_keyed(DEVICE_STATE, store, kept, DECODERS).differing == ()
    assert verify_rows(ROWS, rows, kept, maker(ROWS, rows)).differing == ()


class MovingStore(MemoryKeyedStore):
    """Goes on folding while it is being scanned, as a live view does."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Any = iter(())

    def scan(self, version: int) -> Any:
        for entry in list(super().scan(version)):
            yield entry
            next(self.meanwhile, None)
            yield from ((key, document) for key, document in super().scan(version) if key == entry[0])


@settings(max_examples=40, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_a_view_that_moves_during_verification_is_compared_exactly(log: Log, seed: int) -> None:
    kept, store = filled(log), MovingStore()
    fold(DEVICE_STATE, store, kept, random.Random(seed))
    runner = maker(DEVICE_STATE, store)(1)
    bounds = kept.bounds(DEVICE_STATE.topics)
    starts = runner.start(bounds)
    store.meanwhile = (
        runner.handle(batch) for source, (_, end) in bounds.items() for batch in kept.read(source, starts[source], end)
    )
    assert verify_keyed(DEVICE_STATE, store, kept, DECODERS).differing == ()


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_one_changed_field_is_found_and_its_key_named(log: Log, seed: int) -> None:
    assume(log)
    chance = random.Random(seed)
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    key, document = chance.choice(list(store.scan(1)))
    damage(store, key, document, chance)
    assert verify_keyed(DEVICE_STATE, store, kept, DECODERS).differing == (key,)


def damage(store: MemoryKeyedStore, key: str, document: Document, chance: random.Random) -> None:
    """Change or remove one field behind the view's back; the position stays as it is."""
    source = next(iter(store.positions(1)))
    position = store.positions(1)[source]
    (loaded,) = store.load(1, [key])
    name = chance.choice(sorted(document))
    text = document[name]
    flipped = text[:-1] + chr(ord(text[-1]) ^ 1)
    change = Change(loaded.revision, {}, (name,)) if chance.random() < 0.3 else Change(loaded.revision, {name: flipped})
    store.commit(1, source, position, position, {key: change})


def test_a_lost_and_a_foreign_document_are_found() -> None:
    record = {"event_id": "e", "device_id": "dev-a", "occurred_at": 1, "received_at": 2, "boot_id": "b", "sequence": 1}
    log: Log = [("fleet.telemetry", 0, 0, {**record, "readings": []})]
    kept, store = filled(log), MemoryKeyedStore()
    store.prepare(1)
    source = TopicPartition("fleet.telemetry", 0)
    store.commit(1, source, 0, 1, {"dev-x": Change(0, {"count.telemetry": "1"})})
    verdict = verify_keyed(DEVICE_STATE, store, kept, DECODERS)
    assert (verdict.keys, verdict.differing, verdict.equal) == (2, ("dev-a", "dev-x"), False)


def test_a_lost_and_a_doubled_row_are_found_and_scratch_is_dropped() -> None:
    record = {"occurred_at": 1, "received_at": 2, "boot_id": "b", "sequence": 1, "readings": []}
    log: Log = [
        ("fleet.telemetry", 0, offset, {**record, "device_id": device, "event_id": str(offset)})
        for offset, device in enumerate(["dev-a", "dev-b", "dev-c"])
    ]
    kept, store = filled(log), MemoryRowStore(EVENTS)
    fold(ROWS, store, kept)
    frame = store.frame(1)
    damaged = MemoryRowStore(EVENTS)
    damaged.prepare(1)
    source = TopicPartition("fleet.telemetry", 0)
    keep = frame.filter(frame["device_id"] == "dev-a").select(EVENTS.names)
    twice = frame.filter(frame["device_id"] == "dev-c").select(EVENTS.names)
    moved = twice.with_columns(pl.lit(1, pl.Int64).alias("offset"))  # dev-c's row once more, where dev-b's was
    damaged.append(1, source, 0, 3, pl.concat([keep, moved, twice]))
    verdict = verify_rows(ROWS, damaged, kept, maker(ROWS, damaged))
    assert verdict.differing == ("dev-b", "dev-c")
    assert damaged.versions() == [1]


def test_bad_records_are_left_out_of_a_rebuild() -> None:
    kept, store = MemoryLog(dict.fromkeys(device_state.TOPICS, 1)), MemoryKeyedStore()
    kept.append(TopicPartition("fleet.telemetry", 0), b"key", BAD)
    store.prepare(1)
    assert renewed(DEVICE_STATE, store, kept, maker(DEVICE_STATE, store)) == (2, 1)
    assert store.positions(2) == {TopicPartition("fleet.telemetry", 0): 1}


def test_a_log_without_its_beginning_can_be_neither_rebuilt_nor_verified() -> None:
    kept, store, rows = MemoryLog(dict.fromkeys(device_state.TOPICS, 1)), MemoryKeyedStore(), MemoryRowStore(EVENTS)
    source = TopicPartition("fleet.telemetry", 0)
    for _ in range(3):
        kept.append(source, b"key", BAD)
    kept.truncate(source, 2)
    store.prepare(1)
    rows.prepare(1)
    with pytest.raises(ValueError, match="begins at offset 2"):
        renewed(DEVICE_STATE, store, kept, maker(DEVICE_STATE, store))
    assert store.live() == 1
    with pytest.raises(ValueError, match="begins at offset 2"):
        verify_keyed(DEVICE_STATE, store, kept, DECODERS)
    with pytest.raises(ValueError, match="begins at offset 2"):
        verify_rows(ROWS, rows, kept, maker(ROWS, rows))


def test_versions_older_than_the_last_live_one_are_dropped() -> None:
    kept, store = filled([]), MemoryKeyedStore()
    store.prepare(1)
    for _ in itertools.repeat(None, 3):
        renewed(DEVICE_STATE, store, kept, maker(DEVICE_STATE, store))
    assert (store.live(), store.versions()) == (4, [3, 4])
