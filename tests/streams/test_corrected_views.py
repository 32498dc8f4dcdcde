"""A view made under corrections is the one that a log would give whose records had never been bad."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.corrections import CorrectedLog
from connectors.memory import MemoryKeyedStore, MemoryLog, MemoryRowStore
from projections import device_state
from projections.catalogue import DEVICE_STATE
from schemas.correction_messages import Correction
from schemas.corrections import FACT, Corrections, Entry, made_with
from schemas.log import TopicPartition
from streams.verify import verify_keyed, verify_rows
from tests.projections.records import logs
from tests.schemas.corrections import patched, skipped
from tests.streams.decoding import BAD, encode
from tests.streams.rebuilding import renewed
from tests.streams.test_rebuild_and_verify import DECODERS, fold, maker
from tests.streams.test_runner import EVENTS, ROWS, Log

Damage = dict[tuple[str, int, int], str]


@st.composite
def damaged_logs(draw: st.DrawFn) -> tuple[Log, Damage]:
    """A log as it should have been, and what happened to some of its records: bytes that are none, another record's value,
    or a record that should not be there."""
    log = draw(logs())
    places = [(topic, partition, offset) for topic, partition, offset, _ in log]
    kinds = st.sampled_from(["bytes", "value", "stray"])
    return log, draw(st.dictionaries(st.sampled_from(places), kinds, max_size=6)) if places else {}


def damaged(log: Log, damage: Damage) -> tuple[MemoryLog, MemoryLog, list[Correction]]:
    """The log as it should have been, the log as it is, and what corrects it."""
    should, is_so = (MemoryLog(dict.fromkeys(device_state.TOPICS, 2), batch_records=3) for _ in range(2))
    corrections: list[Correction] = []
    for topic, partition, offset, record in log:
        source, value, kind = TopicPartition(topic, partition), encode(record), damage.get((topic, partition, offset))
        if kind == "stray":
            should.skip(source, 1)
            is_so.append(source, b"key", value)
            corrections.append(skipped(source, offset, value))
            continue
        should.append(source, b"key", value)
        bad = value if kind is None else BAD if kind == "bytes" else encode({**record, "device_id": "dev-z"})
        is_so.append(source, b"key", bad)
        if kind is not None:
            corrections.append(patched(source, offset, bad, value))
    return should, is_so, corrections


def index(corrections: list[Correction], until: int) -> Corrections:
    return Corrections.of((Entry(at, correction) for at, correction in enumerate(corrections)), until)


def documents(store: MemoryKeyedStore, version: int) -> dict[str, Any]:
    return dict(store.scan(version))


@settings(max_examples=40, deadline=None)
@given(damaged_logs(), st.data())
def test_a_rebuild_under_corrections_is_as_if_no_record_had_ever_been_bad(made: tuple[Log, Damage], data: Any) -> None:
    should, is_so, corrections = damaged(*made)
    corrections = data.draw(st.permutations(corrections))
    right, store = MemoryKeyedStore(), MemoryKeyedStore()
    fold(DEVICE_STATE, right, should)
    fold(DEVICE_STATE, store, is_so)
    log = CorrectedLog(is_so, index(corrections, len(corrections)))
    facts = {FACT: str(len(corrections))}
    version, _ = renewed(DEVICE_STATE, store, log, maker(DEVICE_STATE, store), facts=facts)
    assert documents(store, version) == documents(right, 1)
    assert store.positions(version) == right.positions(1)
    assert made_with(store.facts(version)) == len(corrections)
    assert verify_keyed(DEVICE_STATE, store, log, DECODERS).equal
    assert verify_keyed(DEVICE_STATE, right, should, DECODERS).equal


@settings(max_examples=40, deadline=None)
@given(damaged_logs())
def test_rows_too(made: tuple[Log, Damage]) -> None:
    should, is_so, corrections = damaged(*made)
    right, store = MemoryRowStore(EVENTS), MemoryRowStore(EVENTS)
    fold(ROWS, right, should)
    fold(ROWS, store, is_so)
    log = CorrectedLog(is_so, index(corrections, len(corrections)))
    version, _ = renewed(ROWS, store, log, maker(ROWS, store), facts={FACT: str(len(corrections))})
    assert store.digests(version, store.positions(version)) == right.digests(1, right.positions(1))
    assert verify_rows(ROWS, store, log, maker(ROWS, store)).equal


@settings(max_examples=40, deadline=None)
@given(damaged_logs(), st.data())
def test_a_view_equals_the_log_under_its_own_corrections_whatever_came_later(made: tuple[Log, Damage], data: Any) -> None:
    _, is_so, corrections = damaged(*made)
    earlier = data.draw(st.integers(0, len(corrections)))
    store = MemoryKeyedStore()
    log = CorrectedLog(is_so, index(corrections, earlier))
    store.prepare(1)
    renewed(DEVICE_STATE, store, log, maker(DEVICE_STATE, store), facts={FACT: str(earlier)})
    own = index(corrections, made_with(store.facts(store.live())))
    assert verify_keyed(DEVICE_STATE, store, CorrectedLog(is_so, own), DECODERS).equal
