"""In a view that parks, later records of a key wait for one that was set aside, and come in order once it is corrected.
No view of the catalogue does; the one here is device_state that is told to."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.corrections import CorrectedLog
from connectors.memory import MemoryDeadLetters, MemoryKeyedStore, MemoryLog
from connectors.memory_leaves import MemoryLeaves
from connectors.view_snapshots import MemoryViewSnapshots
from projections import device_state
from projections.catalogue import CATALOGUE, DEVICE_STATE
from projections.projection import KeyedProjection
from schemas.columns import Fault
from schemas.correction_messages import Correction
from schemas.corrections import Corrections
from schemas.log import Batch, TopicPartition
from streams.implied import implied_roots
from streams.parking import Parking, Parks, TooManyWaiting
from streams.partial import refold
from streams.redrive import NeedsRebuild, Redrive
from streams.refold import Source
from streams.runner import Runner, writer
from streams.snapshotting import Parts as AsOfParts
from streams.verify import verify_keyed
from tests.schemas.corrections import patched
from tests.streams.decoding import BAD, encode
from tests.streams.test_corrected_views import Damage, damaged_logs, documents, index
from tests.streams.test_rebuild_and_verify import DECODERS, ENDLESS
from tests.streams.test_runner import Log

PARKING = replace(DEVICE_STATE, parks=True)
SOURCE = TopicPartition("fleet.telemetry", 0)


def keyed_logs(log: Log, damage: Damage) -> tuple[MemoryLog, MemoryLog, MemoryLog, list[Correction]]:
    """The log as it should be, as it is (damaged records are no records), what of it does not wait, and the corrections."""
    should, is_so, folded = (MemoryLog(dict.fromkeys(device_state.TOPICS, 2), batch_records=50) for _ in range(3))
    corrections: list[Correction] = []
    parked: set[tuple[TopicPartition, bytes]] = set()
    for topic, partition, offset, record in log:
        source, key, value = TopicPartition(topic, partition), record["device_id"].encode(), encode(record)
        should.append(source, key, value)
        if (topic, partition, offset) in damage:
            is_so.append(source, key, BAD)
            corrections.append(patched(source, offset, BAD, value))
            parked.add((source, key))
        else:
            is_so.append(source, key, value)
        if (source, key) in parked:
            folded.skip(source, 1)
        else:
            folded.append(source, key, value)
    return should, is_so, folded, corrections


def fold(projection: Any, log: Any, letters: MemoryDeadLetters | None, chance: random.Random) -> MemoryKeyedStore:
    """Fold a log as live and rebuild do, in pieces, by runners that are thrown away half-way."""
    store = MemoryKeyedStore()
    store.prepare(1)
    for source, (_, end) in log.bounds(projection.topics).items():
        at = 0
        while at < end:
            runner = Runner(projection, writer(projection, store), DECODERS, ENDLESS, 1, letters)
            runner.start([source])
            stop = min(end, at + chance.randint(1, 4))
            for batch in log.read(source, at, stop):
                runner.handle(batch)
            at = stop
    return store


@settings(max_examples=60, deadline=None)
@given(damaged_logs(), st.integers(0, 2**32))
def test_what_comes_after_a_record_that_was_set_aside_waits_and_comes_with_its_correction(
    made: tuple[Log, Damage], seed: int
) -> None:
    should, is_so, folded, corrections = keyed_logs(*made)
    chance, letters = random.Random(seed), MemoryDeadLetters()
    live = fold(PARKING, is_so, letters, chance)
    assert documents(live, 1) == documents(fold(DEVICE_STATE, folded, None, chance), 1)
    kinds = {(letter.source, letter.offset): letter.reason for letter in letters.letters}
    assert len(kinds) == len(letters.letters)
    assert {where for where, reason in kinds.items() if reason != "waiting"} == {(c.source, c.offset) for c in corrections}
    assert documents(fold(PARKING, is_so, None, chance), 1) == documents(live, 1)
    corrected = CorrectedLog(is_so, index(corrections, len(corrections)))
    assert documents(fold(PARKING, corrected, None, chance), 1) == documents(fold(DEVICE_STATE, should, None, chance), 1)


def test_a_redrive_of_such_a_view_is_a_rebuild() -> None:
    kept, store = MemoryLog(dict.fromkeys(device_state.TOPICS, 1)), MemoryKeyedStore()
    kept.append(SOURCE, b"dev-a", BAD)
    store.prepare(1)
    corrections = index([patched(SOURCE, 0, BAD, b"{}")], 1)

    def until(end: int) -> Corrections:
        return corrections if end else Corrections()

    def make(version: int) -> Runner:
        return Runner(PARKING, writer(PARKING, store), DECODERS, ENDLESS, version)

    with pytest.raises(NeedsRebuild, match="records wait"):
        Redrive(PARKING, store, kept, DECODERS, make, until, MemoryLeaves(store)).run(1)
    assert (store.positions(1), store.facts(1)) == ({}, {})


def test_there_is_a_bound_to_what_waits() -> None:
    store = MemoryKeyedStore()
    store.prepare(1)
    batch = Batch(SOURCE, range(4), [b"a", b"a", b"b", None], [b""] * 4)
    faults = [Fault(0, "undecodable", "x"), Fault(3, "undecodable", "x")]
    assert [fault.index for fault in Parking(store).waiting(1, batch, faults)] == [1]
    again = [fault.index for fault in Parking(store, 1, 1).waiting(1, batch, faults)]
    assert again == [1], "the same batch again counts once"
    with pytest.raises(TooManyWaiting, match="1 keys are parked and 2 records wait"):
        Parking(store, 1, 1).waiting(1, Batch(SOURCE, range(4, 5), [b"a"], [b""]), [])
    with pytest.raises(TooManyWaiting, match="2 keys are parked"):
        Parking(store, 1, 9).waiting(1, Batch(SOURCE, range(4, 5), [b"c"], [b""]), [Fault(0, "undecodable", "x")])


@pytest.mark.parametrize(
    "composed",
    [
        lambda log, store: Source(PARKING, log, DECODERS),
        lambda log, store: verify_keyed(PARKING, store, log, DECODERS),
        lambda log, store: implied_roots(PARKING, log, DECODERS, {}),
        lambda log, store: refold(PARKING, store, MemoryLeaves(store), log, DECODERS, ["dev-a"]),
        lambda log, store: AsOfParts(PARKING, log, DECODERS, MemoryViewSnapshots()),
    ],
)
def test_what_folds_documents_by_themselves_refuses_such_a_view_by_name(composed: Any) -> None:
    """It would fold records that wait: the view, which did not, would seem to have drifted, and be healed to be wrong."""
    log, store = MemoryLog(dict.fromkeys(device_state.TOPICS, 1)), MemoryKeyedStore()
    log.append(SOURCE, b"dev-a", BAD)
    store.prepare(1)
    with pytest.raises(Parks, match="device_state: its records wait for those of their key"):
        composed(log, store)
    assert store.facts(1) == {}


def test_no_view_of_the_catalogue_parks_as_all_updates_commute() -> None:
    assert not [view.name for view in CATALOGUE if isinstance(view, KeyedProjection) and view.parks]
