"""A redrive brings corrections into a view that goes on living: then it is as if no record had ever been bad."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.corrections import CorrectedLog
from connectors.memory import MemoryDeadLetters, MemoryKeyedStore, MemoryLog, MemoryRowStore
from connectors.memory_chunks import MemoryChunks
from connectors.memory_leaves import MemoryLeaves
from connectors.ports import Change, Loaded
from projections.catalogue import DEVICE_STATE
from schemas.correction_messages import Correction
from schemas.corrections import MisplacedCorrection, made_with
from schemas.log import TopicPartition
from streams.redrive import Redrive, Redriven
from streams.row_proof import Rows, prove_rows, row_roots
from streams.runner import Runner, writer
from streams.verify import verify_keyed, verify_rows
from tests.schemas.corrections import patched, skipped, withdrawn
from tests.streams.decoding import BAD, encode
from tests.streams.test_corrected_views import Damage, damaged, damaged_logs, documents, index
from tests.streams.test_rebuild_and_verify import DECODERS, ENDLESS, fold, maker
from tests.streams.test_runner import EVENTS, ROWS, Log

SOURCE = TopicPartition("fleet.telemetry", 0)
CHUNK = 2


def redrive(
    projection: Any, store: Any, log: MemoryLog, corrections: list[Correction], until: int | None = None
) -> Redriven:
    def make(version: int) -> Runner:
        return Runner(projection, writer(projection, store), DECODERS, ENDLESS, version, MemoryDeadLetters())

    hashes = MemoryLeaves(store) if isinstance(store, MemoryKeyedStore) else MemoryChunks(store)
    made = Redrive(projection, store, log, DECODERS, make, lambda end: index(corrections, end), hashes, CHUNK)
    return made.run(len(corrections) if until is None else until)


def fold_on(projection: Any, store: Any, log: MemoryLog) -> None:
    """As a live view does: the log as it lies there, from the stored positions on."""
    runner = maker(projection, store)(store.live())
    bounds = log.bounds(projection.topics)
    starts = runner.start(bounds)
    for source, (_, end) in bounds.items():
        for batch in log.read(source, starts[source], end):
            runner.handle(batch)


@settings(max_examples=80, deadline=None)
@given(damaged_logs(), st.data(), st.integers(0, 2**32))
def test_documents_are_as_if_no_record_had_ever_been_bad(made: tuple[Log, Damage], data: Any, seed: int) -> None:
    should, is_so, corrections = damaged(*made)
    corrections = data.draw(st.permutations(corrections))
    right, store = MemoryKeyedStore(), MemoryKeyedStore()
    fold(DEVICE_STATE, right, should)
    fold(DEVICE_STATE, store, is_so, random.Random(seed))  # a view that lags
    steps = [*sorted(data.draw(st.lists(st.integers(0, len(corrections)), max_size=2))), len(corrections)]
    for step in steps:
        done = redrive(DEVICE_STATE, store, is_so, corrections, step)
        assert (done.version, done.corrections) == (1, step) == (1, made_with(store.facts(1)))
        own = CorrectedLog(is_so, index(corrections, step))
        assert verify_keyed(DEVICE_STATE, store, own, DECODERS).differing == ()
    fold_on(DEVICE_STATE, store, is_so)
    assert documents(store, 1) == documents(right, 1)


@settings(max_examples=60, deadline=None)
@given(damaged_logs(), st.integers(0, 2**32))
def test_rows_too_also_when_a_correction_is_taken_back(made: tuple[Log, Damage], seed: int) -> None:
    should, is_so, corrections = damaged(*made)
    right, store, as_it_lies = MemoryRowStore(EVENTS), MemoryRowStore(EVENTS), MemoryRowStore(EVENTS)
    fold(ROWS, right, should)
    fold(ROWS, as_it_lies, is_so)
    fold(ROWS, store, is_so, random.Random(seed))
    row_roots(store, MemoryChunks(store), 1, CHUNK)  # hashes of chunks are kept from now on
    redrive(ROWS, store, is_so, corrections)
    own = CorrectedLog(is_so, index(corrections, len(corrections)))
    proven = Rows(ROWS, store, MemoryChunks(store), own, DECODERS, 1)
    assert prove_rows(proven, maker(ROWS, store), CHUNK).differing == ()
    fold_on(ROWS, store, is_so)
    assert store.digests(1, store.positions(1)) == right.digests(1, right.positions(1))
    assert verify_rows(ROWS, store, CorrectedLog(is_so, index(corrections, len(corrections))), maker(ROWS, store)).equal
    back = [withdrawn(one.source, one.offset, original(is_so, one)) for one in corrections]
    redrive(ROWS, store, is_so, [*corrections, *back])
    assert store.digests(1, store.positions(1)) == as_it_lies.digests(1, as_it_lies.positions(1))


def original(log: MemoryLog, correction: Correction) -> bytes | None:
    (batch,) = log.read(correction.source, correction.offset, correction.offset + 1)
    return batch.values[0]


class BusyStore(MemoryKeyedStore):
    """Whenever a redrive asks for something, the live view has gone on in between."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] = lambda: None

    def positions(self, version: int) -> Any:
        found = super().positions(version)
        self._go_on()
        return found

    def load(self, version: int, keys: Sequence[str]) -> list[Loaded]:
        found = super().load(version, keys)
        self._go_on()
        return found

    def _go_on(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        self.meanwhile = meanwhile


@settings(max_examples=60, deadline=None)
@given(damaged_logs(), st.integers(0, 2**32))
def test_the_view_may_go_on_meanwhile(made: tuple[Log, Damage], seed: int) -> None:
    should, is_so, corrections = damaged(*made)
    chance, right, store = random.Random(seed), MemoryKeyedStore(), BusyStore()
    fold(DEVICE_STATE, right, should)
    store.prepare(1)
    runner = maker(DEVICE_STATE, store)(1)
    runner.start(is_so.bounds(DEVICE_STATE.topics))

    def step() -> None:
        source = chance.choice(list(is_so.bounds(DEVICE_STATE.topics)))
        (start,) = runner.start([source]).values()
        for batch in is_so.read(source, start, min(start + 2, is_so.bounds([source.topic])[source][1])):
            runner.handle(batch)

    store.meanwhile = step
    redrive(DEVICE_STATE, store, is_so, corrections)
    store.meanwhile = lambda: None
    fold_on(DEVICE_STATE, store, is_so)
    assert documents(store, 1) == documents(right, 1)


def record(device: str, number: int = 1) -> bytes:
    envelope = {"event_id": str(number), "device_id": device, "occurred_at": number, "received_at": number}
    return encode({**envelope, "boot_id": "b", "sequence": number, "readings": []})


def stored(values: list[bytes]) -> tuple[MemoryLog, MemoryKeyedStore]:
    kept, store = MemoryLog({"fleet.telemetry": 1, **dict.fromkeys(DEVICE_STATE.topics[:1], 1),
                             **dict.fromkeys(DEVICE_STATE.topics[2:], 1)}), MemoryKeyedStore()  # fmt: skip
    for value in values:
        kept.append(SOURCE, b"key", value)
    store.prepare(1)
    return kept, store


def test_a_view_that_halted_at_a_record_goes_on_behind_it() -> None:
    kept, store = stored([record("dev-a"), BAD, record("dev-a", 3)])
    store.commit(1, SOURCE, 0, 1, {"dev-a": Change(0, {})})
    redrive(DEVICE_STATE, store, kept, [skipped(SOURCE, 1, BAD)])
    assert store.positions(1)[SOURCE] == 2


def test_a_document_of_which_no_record_is_left_is_gone() -> None:
    kept, store = stored([record("dev-a"), record("dev-b")])
    fold(DEVICE_STATE, store, kept)
    redrive(DEVICE_STATE, store, kept, [skipped(SOURCE, 1, record("dev-b"))])
    assert list(documents(store, 1)) == ["dev-a"]


def test_a_correction_of_another_record_changes_nothing() -> None:
    kept, store = stored([record("dev-a"), BAD])
    fold(DEVICE_STATE, store, kept)
    before = documents(store, 1)
    with pytest.raises(MisplacedCorrection):
        redrive(DEVICE_STATE, store, kept, [patched(SOURCE, 1, b"another", record("dev-a", 2))])
    assert (documents(store, 1), made_with(store.facts(1))) == (before, 0)


def test_a_redrive_that_died_is_done_again() -> None:
    kept, store = stored([record("dev-a"), BAD, BAD])
    fold(DEVICE_STATE, store, kept)
    corrections = [patched(SOURCE, 1, BAD, record("dev-a", 2)), patched(SOURCE, 2, BAD, record("dev-b", 3))]
    redrive(DEVICE_STATE, store, kept, list[Correction](corrections))
    done = documents(store, 1)
    store.note(1, {"corrections": None})  # as if it had died before it said so
    assert redrive(DEVICE_STATE, store, kept, list[Correction](corrections)).records == 2
    assert documents(store, 1) == done
    assert redrive(DEVICE_STATE, store, kept, list[Correction](corrections)).records == 0
