"""What made a document is what the fold says: without the named records it would be another."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryKeyedStore
from projections.catalogue import DEVICE_STATE
from projections.updates import Add, Most, Newest
from schemas.log import TopicPartition
from schemas.places import Place
from streams.explain import difference, explain, worth
from streams.key_fold import KeyFold, cuts
from tests.projections.records import logs
from tests.streams.test_rebuild_and_verify import DECODERS, filled, fold
from tests.streams.test_runner import Log


def folded(log: Log) -> tuple[Any, MemoryKeyedStore, dict[str, dict[str, str]]]:
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    return kept, store, dict(store.scan(1))


def updates_of(kept: Any, key: str, place: Place) -> Any:
    """What one record alone yields for a key."""
    reader = KeyFold(DEVICE_STATE, kept, DECODERS, [key], None)
    for frame in reader.records(place.source, {key: place.offset + 1}):
        alone = frame.filter(frame["offset"] == place.offset)
        if len(alone):
            return DEVICE_STATE.summarize(place.source.topic, alone)[key]
    return {}


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms())
def test_every_field_is_traced_to_records_that_made_it(log: Log, chance: Any) -> None:
    kept, store, documents = folded(log)
    assume(documents)
    key = chance.choice(sorted(documents))
    limits = cuts(store.positions(1), {key: documents[key]})
    made = explain(KeyFold(DEVICE_STATE, kept, DECODERS, [key]), DEVICE_STATE, key, limits, most=100)
    assert set(made) == set(documents[key])
    for name, how in made.items():
        assert how.places
        assert not how.more
        found = [updates_of(kept, key, place)[name] for place in how.places]
        if how.how == "sum":
            assert all(isinstance(update, Add) for update in found)
            assert str(sum(update.amount for update in found)) == documents[key][name]
            continue
        (update,) = found
        assert isinstance(update, Newest if how.how == "newest" else Most)
        if isinstance(update, Most):
            assert str(update.value) == documents[key][name]


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms())
def test_a_records_worth_is_the_document_with_it_and_without(log: Log, chance: Any) -> None:
    kept, store, documents = folded(log)
    assume(documents)
    key = chance.choice(sorted(documents))
    limits = cuts(store.positions(1), {key: documents[key]})
    topic, partition, offset, _ = chance.choice(log)
    place = Place(TopicPartition(topic, partition), offset)
    (found,) = worth(DEVICE_STATE, kept, DECODERS, place, limits)
    others = [entry for entry in log if entry[:3] != (topic, partition, offset)]
    without = KeyFold(DEVICE_STATE, kept, DECODERS, [key], (place.source, offset))
    for source, of_source in limits.items():
        without.advance(source, of_source)
    expected = {name: (documents[key].get(name), without.documents[key].get(name)) for name in found.fields}
    assert dict(found.fields) == expected == difference(documents[key], without.documents[key])
    touched = bool(updates_of(kept, key, place))
    assert bool(found.fields) == touched, others


def test_only_the_newest_records_of_a_sum_are_named_unless_all_are_asked_for() -> None:
    record = {"device_id": "dev-a", "received_at": 2, "boot_id": "b", "sequence": 1, "readings": []}
    log: Log = [
        ("fleet.telemetry", 0, offset, {**record, "event_id": str(offset), "occurred_at": offset}) for offset in range(9)
    ]
    kept, store, documents = folded(log)
    limits = cuts(store.positions(1), documents)
    made = explain(KeyFold(DEVICE_STATE, kept, DECODERS, ["dev-a"]), DEVICE_STATE, "dev-a", limits, most=2)
    assert [place.offset for place in made["count.telemetry"].places] == [8, 7]
    assert made["count.telemetry"].more
    assert made["skew"].places == (Place(TopicPartition("fleet.telemetry", 0), 8),)
