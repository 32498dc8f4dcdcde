"""The carrier's core loses nothing and counts nothing twice, whatever fails around it."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryDeadLetters, MemoryKeyedStore
from connectors.ports import Away, Moved
from projections import device_state
from projections.catalogue import DEVICE_STATE
from projections.projection import RowProjection
from projections.updates import changes
from schemas.log import Batch, TopicPartition, offsets_of
from schemas.table import PROVENANCE, Column, ColumnType, Table
from streams.limits import Limit, TooManyBadRecords
from streams.runner import Gap, Handled, NotOwned, Runner, writer
from tests.projections.records import logs
from tests.streams.decoding import BAD, JsonDecoder, encode
from tests.streams.flaky import FlakyKeyedStore, FlakyRowStore

DECODERS: dict[str, Any] = {topic: JsonDecoder(topic) for topic in device_state.TOPICS}
GENEROUS = Limit(run=1_000, ratio=1.0, window=1_000)
SOURCE = TopicPartition("fleet.telemetry", 0)
EVENTS = Table(
    "seen",
    (*PROVENANCE, Column("device_id", ColumnType.STRING, "device"), Column("event_id", ColumnType.STRING, "id")),
    ("device_id",),
    ("topic", "partition", "offset"),
)
ROWS = RowProjection("seen", device_state.TOPICS, EVENTS, lambda frame: frame.select(EVENTS.names))

Log = list[tuple[str, int, int, dict[str, Any]]]


def expected(log: Log) -> dict[str, dict[str, str]]:
    state: dict[str, dict[str, str]] = {}
    for topic, partition, offset, record in log:
        if updates := device_state.updates(topic, partition, offset, record):
            document = state.setdefault(record["device_id"], {})
            document.update(changes(document, updates))
    return state


def partitions(log: Log) -> dict[TopicPartition, list[bytes]]:
    """The values of each partition."""
    return {
        TopicPartition(*source): [encode(record) for *_, record in members]
        for source, members in itertools.groupby(log, key=lambda entry: entry[:2])
    }


def batch(source: TopicPartition, values: list[bytes], start: int, stop: int) -> Batch:
    stop = min(stop, len(values))
    numbers = offsets_of(list(range(start, stop)))
    return Batch(source, numbers, [b"key"] * len(numbers), values[start:stop])


def drive(runner_of: Any, values: dict[TopicPartition, list[bytes]], chance: random.Random) -> None:
    """Deliver every partition to the end as a hostile broker would: in any sizes, again, from two owners, with crashes."""
    owners = [runner_of(), runner_of()]
    stored = dict.fromkeys(values, 0)
    while any(stored[source] < len(values[source]) for source in values):
        owner = chance.randrange(2)
        if chance.random() < 0.1:
            owners[owner] = runner_of()  # it crashed and was started again
        runner = owners[owner]
        source = chance.choice(list(values))
        if runner.position(source) is None or chance.random() < 0.2:
            runner.start([source])
        start = max(0, (runner.position(source) or 0) - chance.randrange(3))
        if start >= len(values[source]):
            stored[source] = len(values[source])
            continue
        try:
            handled = runner.handle(batch(source, values[source], start, start + 1 + chance.randrange(4)))
            stored[source] = max(stored[source], handled.following)
        except Away:
            continue
        except Moved:
            runner.start([source])


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_documents_are_exact_under_redelivery_crashes_and_two_owners(log: Log, seed: int) -> None:
    chance = random.Random(seed)
    store = FlakyKeyedStore(source=chance, rate=0.3)
    store.prepare(1)
    drive(lambda: Runner(DEVICE_STATE, writer(DEVICE_STATE, store), DECODERS, GENEROUS, 1), partitions(log), chance)
    assert dict(store.scan(1)) == expected(log)


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_rows_are_exact_under_redelivery_crashes_and_two_owners(log: Log, seed: int) -> None:
    chance = random.Random(seed)
    store = FlakyRowStore(EVENTS, source=chance, rate=0.3)
    store.prepare(1)
    drive(lambda: Runner(ROWS, writer(ROWS, store), DECODERS, GENEROUS, 1), partitions(log), chance)
    for source, values in partitions(log).items():
        assert store.counts(1, source, 0, len(values)) == dict.fromkeys(range(len(values)), 1)


def telemetry(device: str = "dev-a") -> bytes:
    envelope = {"event_id": "e", "device_id": device, "occurred_at": 1, "received_at": 2, "boot_id": "b", "sequence": 1}
    return encode({**envelope, "readings": [{"metric": "t", "at": 1, "value": 1.0, "unit": None}]})


def runner(letters: MemoryDeadLetters | None = None, limit: Limit = GENEROUS) -> tuple[Runner, MemoryKeyedStore]:
    store = MemoryKeyedStore()
    store.prepare(1)
    made = Runner(DEVICE_STATE, writer(DEVICE_STATE, store), DECODERS, limit, 1, letters)
    made.start([SOURCE])
    return made, store


def test_a_gap_stops_the_partition_and_changes_nothing() -> None:
    made, store = runner()
    with pytest.raises(Gap, match="the log goes on at 3, the view stands at 0"):
        made.handle(Batch(SOURCE, range(3, 4), [None], [telemetry()]))
    assert list(store.scan(1)) == []
    assert store.positions(1).get(SOURCE, 0) == 0


def test_a_partition_that_was_not_started_is_refused() -> None:
    made, _ = runner()
    with pytest.raises(NotOwned):
        made.handle(Batch(TopicPartition("fleet.telemetry", 5), range(1), [None], [telemetry()]))


def test_bad_records_are_set_aside_with_their_origin_and_the_view_goes_on() -> None:
    letters = MemoryDeadLetters()
    made, store = runner(letters)
    handled = made.handle(Batch(SOURCE, range(3), [b"a", b"b", b"c"], [telemetry(), BAD, None]))
    assert handled == Handled(records=3, set_aside=2, following=3)
    assert [(x.view, x.source, x.offset, x.key, x.value) for x in letters.letters] == [
        ("device_state", SOURCE, 1, b"b", BAD),
        ("device_state", SOURCE, 2, b"c", None),
    ]
    assert store.positions(1) == {SOURCE: 3}
    assert [key for key, _ in store.scan(1)] == ["dev-a"]


def test_a_batch_of_bad_records_only_still_moves_the_position() -> None:
    made, store = runner(MemoryDeadLetters())
    made.handle(Batch(SOURCE, range(2), [None, None], [BAD, BAD]))
    assert store.positions(1) == {SOURCE: 2}


def test_letters_are_durable_before_the_position_passes_them() -> None:
    letters = MemoryDeadLetters()
    made, store = runner(letters)
    letters.away = True
    with pytest.raises(Away):
        made.handle(Batch(SOURCE, range(2), [None, None], [BAD, telemetry()]))
    assert store.positions(1).get(SOURCE, 0) == 0
    letters.away = False
    made.handle(Batch(SOURCE, range(2), [None, None], [BAD, telemetry()]))
    assert len(letters.letters) == 1


def test_a_batch_tried_again_sets_nothing_aside_twice() -> None:
    letters = MemoryDeadLetters()
    made, store = runner(letters)
    store.away = True
    poison = Batch(SOURCE, range(2), [None, None], [BAD, telemetry()])
    with pytest.raises(Away):
        made.handle(poison)
    store.away = False
    made.handle(poison)
    assert len(letters.letters) == 1


def test_a_flood_of_bad_records_halts_the_view_where_it_begins() -> None:
    letters = MemoryDeadLetters()
    made, store = runner(letters, Limit(run=5, ratio=0.5, window=100))
    with pytest.raises(TooManyBadRecords, match="6 bad records in a row, the limit is 5"):
        made.handle(Batch(SOURCE, range(7), [None] * 7, [telemetry(), *[BAD] * 6]))
    assert letters.letters == []
    assert store.positions(1).get(SOURCE, 0) == 0


def test_a_high_share_of_bad_records_halts_the_view() -> None:
    made, _ = runner(MemoryDeadLetters(), Limit(run=5, ratio=0.2, window=10))
    mixed = [telemetry(), BAD, telemetry(), BAD, telemetry()]
    made.handle(Batch(SOURCE, range(5), [None] * 5, mixed))
    with pytest.raises(TooManyBadRecords, match="4 of the last 10 records are bad, the limit is 20%"):
        made.handle(Batch(SOURCE, range(5, 10), [None] * 5, mixed))


def test_holes_in_the_offsets_within_a_batch_are_kept() -> None:
    """Control records of transactions leave such holes."""
    made, store = runner()
    made.handle(Batch(SOURCE, [0, 3], [None, None], [telemetry(), telemetry()]))
    assert store.positions(1) == {SOURCE: 4}
    assert dict(store.scan(1))["dev-a"]["position.fleet.telemetry/0"] == "3"
