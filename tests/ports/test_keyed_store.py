"""The contract of KeyedStore, on the in-memory version and on Redis."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.ports import Change, Conflict, Loaded, Moved, Superseded
from infra.stack.harness import Stack
from schemas.log import TopicPartition
from tests.ports.stores import A, B, Opened, Store, open_view


@pytest.fixture
def store(documents: Opened) -> Store:
    opened = documents.open()
    opened.prepare(1)
    return opened


def test_load_answers_in_the_order_of_the_keys(store: Store) -> None:
    store.commit(1, A, 0, 1, {"b": Change(0, {"x": "1"}), "a": Change(0, {"y": "2"})})
    assert store.load(1, ["a", "none", "b", "a"]) == [
        Loaded({"y": "2"}, 1),
        Loaded({}, 0),
        Loaded({"x": "1"}, 1),
        Loaded({"y": "2"}, 1),
    ]
    assert store.load(1, []) == []
    assert store.load(2, ["a"]) == [Loaded({}, 0)]


def test_a_change_puts_and_removes_fields_and_raises_the_revision(store: Store) -> None:
    store.commit(1, A, 0, 1, {"k": Change(0, {"a": "1", "b": "2"})})
    store.commit(1, A, 1, 2, {"k": Change(1, {"b": "3", "c": ""}, ["a", "never there"])})
    assert store.load(1, ["k"]) == [Loaded({"b": "3", "c": ""}, 2)]
    store.commit(1, A, 2, 3, {"k": Change(2, {}, ["b", "c"])})
    assert store.load(1, ["k"]) == [Loaded({}, 3)]
    assert dict(store.scan(1)) == {"k": {}}


def test_a_field_put_and_removed_at_once_is_removed(store: Store) -> None:
    store.commit(1, A, 0, 1, {"k": Change(0, {"a": "1", "b": "2"}, ["a"])})
    assert store.load(1, ["k"]) == [Loaded({"b": "2"}, 1)]


def test_what_load_gave_is_the_callers_own(store: Store) -> None:
    store.commit(1, A, 0, 1, {"k": Change(0, {"a": "1"})})
    store.load(1, ["k"])[0].document["a"] = "changed"
    assert store.load(1, ["k"]) == [Loaded({"a": "1"}, 1)]


def test_a_commit_on_another_position_is_refused_whole(store: Store) -> None:
    with pytest.raises(Moved) as absent:
        store.commit(1, A, 5, 6, {"k": Change(0, {"a": "1"})})
    assert (absent.value.source, absent.value.expected, absent.value.actual) == (A, 5, 0)
    store.commit(1, A, 0, 10, {"k": Change(0, {"a": "1"})})
    for expected in (0, 9, 11):
        with pytest.raises(Moved) as moved:
            store.commit(1, A, expected, 20, {"k": Change(1, {"a": "2"}), "l": Change(0, {"a": "2"})})
        assert moved.value.actual == 10
    assert store.load(1, ["k", "l"]) == [Loaded({"a": "1"}, 1), Loaded({}, 0)]
    assert store.positions(1) == {A: 10}


def test_a_commit_sent_twice_says_moved_to_where_it_led(store: Store) -> None:
    change = {"k": Change(0, {"a": "1"})}
    store.commit(1, A, 0, 10, change)
    with pytest.raises(Moved) as moved:
        store.commit(1, A, 0, 10, change)
    assert moved.value.actual == 10
    assert store.load(1, ["k"]) == [Loaded({"a": "1"}, 1)]


@pytest.mark.parametrize("revision", [0, 2])
def test_a_commit_on_another_revision_is_refused_whole(store: Store, revision: int) -> None:
    store.commit(1, A, 0, 1, {"k": Change(0, {"a": "1"})})
    with pytest.raises(Conflict, match="k"):
        store.commit(1, B, 0, 7, {"j": Change(0, {"b": "9"}), "k": Change(revision, {"a": "2"}), "l": Change(0, {})})
    assert store.load(1, ["j", "k", "l"]) == [Loaded({}, 0), Loaded({"a": "1"}, 1), Loaded({}, 0)]
    assert store.positions(1) == {A: 1}
    store.commit(1, B, 0, 7, {"k": Change(1, {"a": "2"})})
    assert store.load(1, ["k"]) == [Loaded({"a": "2"}, 2)]


def test_partitions_move_on_their_own(store: Store) -> None:
    twin = TopicPartition("fleet.telemetry/0", 0)  # a topic whose name looks like a partition's
    store.commit(1, A, 0, 3, {})
    store.commit(1, twin, 0, 4, {})
    store.commit(1, B, 0, 2**53, {})
    assert store.positions(1) == {A: 3, twin: 4, B: 2**53}


def test_versions_hold_their_own_documents(store: Store) -> None:
    store.prepare(11)
    store.commit(1, A, 0, 1, {"k": Change(0, {"a": "1"})})
    store.commit(11, A, 0, 1, {"k": Change(0, {"a": "11"}), "doc:k": Change(0, {"a": "12"})})
    assert dict(store.scan(1)) == {"k": {"a": "1"}}
    assert dict(store.scan(11)) == {"k": {"a": "11"}, "doc:k": {"a": "12"}}
    store.promote(11)
    store.drop(1)
    assert dict(store.scan(1)) == {}
    store.prepare(1)
    assert store.load(1, ["k"]) == [Loaded({}, 0)]
    assert store.load(11, ["k"]) == [Loaded({"a": "11"}, 1)]


def test_thousands_of_documents_at_once(store: Store) -> None:
    keys = [f"device-{number}" for number in range(5_000)]
    wide = {f"field-{number}": f"value {number}" for number in range(30)}
    store.commit(1, A, 0, 1, {key: Change(0, wide) for key in keys})
    loaded = store.load(1, keys)
    assert loaded == [Loaded(wide, 1)] * 5_000
    store.commit(1, A, 1, 2, {key: Change(1, {"field-3": "new"}, ["field-4"]) for key in keys})
    expected = {**wide, "field-3": "new"}
    del expected["field-4"]
    found = list(store.scan(1))
    assert len(found) >= 5_000
    assert dict(found) == dict.fromkeys(keys, expected)


def test_a_document_of_very_many_fields(store: Store) -> None:
    fields = {f"f{number}": str(number) for number in range(70_000)}
    store.commit(1, A, 0, 1, {"wide": Change(0, fields), "narrow": Change(0, {"f": "1"})})
    assert store.load(1, ["narrow", "wide"]) == [Loaded({"f": "1"}, 1), Loaded(fields, 1)]
    store.commit(1, A, 1, 2, {"wide": Change(1, {}, list(fields)[1:])})
    assert store.load(1, ["wide"]) == [Loaded({"f0": "0"}, 2)]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
KEYS = st.sampled_from(["a", "b", "ü*?[x]\\", "", "x:doc:y", "k" * 300, "\x00\n"])
FIELDS = st.one_of(st.sampled_from(["x", "y", "revision", "_"]), TEXT).filter(lambda name: name != "_revision")
CHANGE = st.tuples(st.integers(-1, 1), st.dictionaries(FIELDS, TEXT, max_size=20), st.lists(FIELDS, max_size=3))
OPERATION = st.one_of(
    st.tuples(
        st.just("commit"),
        st.sampled_from([1, 1, 2, 3]),
        st.sampled_from([A, B]),
        st.sampled_from([0, 0, 0, 0, 1, -1]),  # how far the expected position is from the stored one
        st.dictionaries(KEYS, CHANGE, max_size=4),
    ),
    st.tuples(st.sampled_from(["promote", "drop", "prepare"]), st.integers(1, 3)),
)


def outcome(store: Store, operation: tuple[Any, ...]) -> Any:
    """What an operation does, in terms that both stores share."""
    try:
        if operation[0] != "commit":
            getattr(store, operation[0])(operation[1])
            return "done"
        _, version, source, off, wanted = operation
        position = store.positions(version).get(source, 0)
        revisions = {key: store.load(version, [key])[0].revision for key in wanted}
        changes = {
            # Most changes name the right revision: the strategy draws 0 as the simplest difference.
            key: Change(max(0, revisions[key] + difference), put, remove)
            for key, (difference, put, remove) in wanted.items()
        }
        store.commit(version, source, position + off, position + 7, changes)
    except Moved as moved:
        return "moved", moved.source, moved.expected, moved.actual
    except (Conflict, Superseded, ValueError) as error:
        return type(error)
    return "done"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(operations=st.lists(OPERATION, max_size=25))
def test_redis_does_what_memory_does(services: Stack, operations: list[tuple[Any, ...]]) -> None:
    handles: list[Store] = []
    memory, redis = (open_view(kind, services.settings, handles).open() for kind in ("memory documents", "redis"))
    for store in (memory, redis):
        store.prepare(1)
    for operation in operations:
        assert outcome(redis, operation) == outcome(memory, operation)
    assert redis.live() == memory.live()
    assert redis.versions() == memory.versions()
    for version in (1, 2, 3):
        assert redis.positions(version) == memory.positions(version)
        held = dict(memory.scan(version))
        assert dict(redis.scan(version)) == held
        assert redis.load(version, list(held)) == memory.load(version, list(held))
    redis.close()
