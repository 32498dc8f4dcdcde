"""The contract of Leaves, on the in-memory version and on Redis."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from connectors.leaves import Kept, Leaves
from connectors.memory_leaves import MemoryLeaves
from connectors.ports import Change, Conflict, Leaf, Loaded, Superseded
from connectors.redis_leaves import RedisLeaves
from infra.stack.harness import Stack
from tests.ports.stores import A, B, Opened, Store

BUCKETS = range(16)
ONE, TWO, THREE = (bytes([number]) * 32 for number in (0, 255, 128))


@pytest.fixture
def store(documents: Opened) -> Store:
    opened = documents.open()
    opened.prepare(1)
    return opened


@pytest.fixture
def leaves(store: Store, services: Stack) -> Iterator[Leaves]:
    made: Any = RedisLeaves(services.settings.redis, store._view) if hasattr(store, "_view") else MemoryLeaves(store)
    yield made
    made.close()


def change(revision: int, text: str, bucket: int, leaf: bytes) -> Change:
    return Change(revision, {"x": text}, leaf=Leaf(bucket, leaf))


def test_hashes_are_written_with_their_documents(store: Store, leaves: Leaves) -> None:
    assert leaves.complete(1)
    assert not leaves.complete(2)
    assert leaves.cut(1, 16) == ({}, {}, {})
    store.commit(1, A, 0, 7, {"ä": change(0, "1", 3, ONE), "b": change(0, "2", 3, TWO), "c": change(0, "3", 15, TWO)})
    assert leaves.cut(1, 16) == ({A: 7}, {}, {3: {"ä": ONE, "b": TWO}, 15: {"c": TWO}})
    store.commit(1, B, 0, 1, {"b": change(1, "4", 3, THREE)})
    assert leaves.cut(1, 16) == ({A: 7, B: 1}, {}, {3: {"ä": ONE, "b": THREE}, 15: {"c": TWO}})
    assert leaves.kept(1, [3, 4]) == [Kept("ä", ONE, {"x": "1"}, 1), Kept("b", THREE, {"x": "4"}, 2)]


def test_what_is_not_written_leaves_no_hash(store: Store, leaves: Leaves) -> None:
    store.commit(1, A, 0, 1, {"a": change(0, "1", 3, ONE)})
    with pytest.raises(Conflict):
        store.commit(1, A, 1, 2, {"b": change(0, "1", 4, ONE), "a": change(0, "1", 3, TWO)})
    assert leaves.cut(1, 16) == ({A: 1}, {}, {3: {"a": ONE}})


def test_a_bucket_is_sealed_unless_it_changed_meanwhile(store: Store, leaves: Leaves) -> None:
    store.commit(1, A, 0, 1, {"a": change(0, "1", 3, ONE), "c": change(0, "3", 15, TWO)})
    found = {one.bucket: one for one in leaves.unsealed(1, BUCKETS)}
    assert {bucket: one.leaves for bucket, one in found.items()} == {3: {"a": ONE}, 15: {"c": TWO}}
    assert [one.bucket for one in leaves.unsealed(1, range(4, 16))] == [15]
    store.commit(1, A, 1, 2, {"a": change(1, "2", 3, TWO)})
    leaves.seal(1, {3: (found[3].mark, ONE), 15: (found[15].mark, THREE), 7: (b"none", ONE)})
    assert leaves.cut(1, 16) == ({A: 2}, {15: THREE}, {3: {"a": TWO}})
    (left,) = leaves.unsealed(1, BUCKETS)
    leaves.seal(1, {3: (left.mark, TWO)})
    assert leaves.cut(1, 16) == ({A: 2}, {15: THREE, 3: TWO}, {})
    store.commit(1, A, 2, 3, {"c": change(1, "4", 15, ONE)})
    assert leaves.cut(1, 16).unsealed == {15: {"c": ONE}}


def test_documents_are_looked_up_with_their_hashes(store: Store, leaves: Leaves) -> None:
    store.commit(1, A, 0, 1, {"a": change(0, "1", 3, ONE), "hand": Change(0, {"x": "2"})})
    assert leaves.looked_up(1, {"none": 2, "hand": 4, "a": 3}) == [
        Kept("none", None, {}, 0),
        Kept("hand", None, {"x": "2"}, 1),
        Kept("a", ONE, {"x": "1"}, 1),
    ]
    bucket_of: Callable[[str], int] = lambda key: 3 if key == "a" else 4  # noqa: E731
    assert list(leaves.strangers(1, bucket_of)) == ["hand"]


def test_a_document_is_replaced_if_nobody_folded_on(store: Store, leaves: Leaves) -> None:
    store.commit(1, A, 0, 1, {"a": change(0, "1", 3, ONE), "b": change(0, "1", 4, ONE)})
    (one,) = leaves.unsealed(1, range(3, 4))
    leaves.seal(1, {3: (one.mark, ONE)})
    with pytest.raises(Conflict):
        leaves.replace(1, "a", 2, {"x": "9"}, Leaf(3, THREE))
    leaves.replace(1, "a", 1, {"y": "9"}, Leaf(3, THREE))
    leaves.replace(1, "b", 1, {}, Leaf(4, THREE))
    leaves.replace(1, "new", 0, {"z": "1"}, Leaf(5, TWO))
    assert store.load(1, ["a", "b", "new"]) == [Loaded({"y": "9"}, 2), Loaded({}, 0), Loaded({"z": "1"}, 1)]
    cut = leaves.cut(1, 16)
    assert cut.positions == {A: 1}
    assert not cut.sealed
    assert {bucket: held for bucket, held in cut.unsealed.items() if held} == {3: {"a": THREE}, 5: {"new": TWO}}
    store.commit(1, A, 1, 2, {"a": change(2, "5", 3, TWO)})
    with pytest.raises(Superseded):
        leaves.replace(2, "a", 0, {"x": "1"}, Leaf(3, ONE))


def test_hashes_go_with_their_version(store: Store, leaves: Leaves) -> None:
    store.prepare(2)
    store.commit(2, A, 0, 1, {"a": change(0, "1", 3, ONE)})
    store.drop(2)
    assert not leaves.complete(2)
    store.prepare(2)
    assert leaves.complete(2)
    assert leaves.cut(2, 16) == ({}, {}, {})


def test_redis_documents_that_are_none_are_found_as_such(documents: Opened, services: Stack, handles: list[Store]) -> None:
    """Of what somebody's hand, or a disk, makes of them."""
    store = documents.open()
    if not hasattr(store, "_view"):
        assert documents.kind == "memory documents"
        return
    name, plain = store._view, redis.Redis.from_url(services.settings.redis)
    leaves = RedisLeaves(services.settings.redis, name)
    handles.append(leaves)
    store.prepare(1)
    store.commit(1, A, 0, 1, {key: change(0, "1", 3, ONE) for key in ("flipped", "gone", "other", "number", "good")})
    plain.hset(f"{name}:v1:doc:flipped", "x", b"\xff")
    plain.delete(f"{name}:v1:doc:gone")
    plain.delete(f"{name}:v1:doc:other")
    plain.set(f"{name}:v1:doc:other", "a string")
    plain.hset(f"{name}:v1:doc:number", "_revision", "x")
    plain.hset(f"{name}:v1:doc:added", "x", "1")
    found = {one.key: one for one in leaves.kept(1, [3])}
    assert {key: one.document for key, one in found.items()} == {
        "flipped": None, "gone": {}, "other": None, "number": None, "good": {"x": "1"},
    }  # fmt: skip
    assert list(leaves.strangers(1, lambda key: 3)) == ["added"]
    assert not plain.exists(f"{name}:v2:leaves")
    plain.sadd(f"{name}:versions", "2")
    store.prepare(2)
    assert not leaves.complete(2), "a version of before there were hashes"
    leaves.replace(1, "other", 0, {"x": "1"}, Leaf(3, ONE))
    assert store.load(1, ["other"]) == [Loaded({"x": "1"}, 1)]
    plain.close()
