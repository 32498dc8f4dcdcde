"""What the Redis store promises beyond the port: how a person finds a document, and how it fails."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import redis
from redis.exceptions import ResponseError

from connectors import redis_store
from connectors.ports import Away, Change, Loaded, Moved
from connectors.redis_store import RedisKeyedStore
from infra.stack.harness import Stack, running_stack
from tests.ports.stores import A, B

SEED = 20_261_121


@pytest.fixture
def name() -> str:
    return f"t{uuid4().hex}"


@pytest.fixture
def plain(services: Stack) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(services.settings.redis, decode_responses=True)
    yield client
    client.close()


@pytest.fixture
def store(services: Stack, name: str) -> Iterator[RedisKeyedStore]:
    made = RedisKeyedStore(services.settings.redis, name)
    made.prepare(1)
    yield made
    made.close()


def test_a_person_reads_a_document_with_hgetall(store: RedisKeyedStore, plain: redis.Redis, name: str) -> None:
    store.commit(1, A, 0, 7, {"device-1": Change(0, {"presence": "online", "metric.ü": "21,5 °C"})})
    assert plain.hgetall(f"{name}:v1:doc:device-1") == {
        "presence": "online",
        "metric.ü": "21,5 °C",
        "_revision": "1",
    }
    assert plain.hgetall(f"{name}:v1:positions") == {"fleet.telemetry/0": "7"}
    assert plain.get(f"{name}:live") is None
    store.promote(1)
    assert plain.get(f"{name}:live") == "1"


def test_nothing_is_left_of_a_dropped_version(store: RedisKeyedStore, plain: redis.Redis, name: str) -> None:
    store.prepare(2)
    store.commit(2, A, 0, 1, {f"device-{i}": Change(0, {"x": "1"}) for i in range(2_500)})
    store.drop(2)
    assert sorted(plain.scan_iter(f"{name}:*")) == [f"{name}:v1:leaves", f"{name}:versions"]  # of version 1


def test_a_drop_that_was_cut_short_is_finished_before_the_version_is_used_again(
    store: RedisKeyedStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.prepare(2)
    store.commit(2, A, 0, 1, {f"device-{i}": Change(0, {"x": "1"}) for i in range(50)})
    with monkeypatch.context() as patch:
        patch.setattr(RedisKeyedStore, "_erase", lambda *_: None)
        store.drop(2)
    assert store.versions() == [1, 2]  # its documents are still there
    store.prepare(2)
    assert dict(store.scan(2)) == {}
    store.commit(2, A, 0, 1, {"device-1": Change(0, {"x": "2"})})
    assert dict(store.scan(2)) == {"device-1": {"x": "2"}}


@pytest.mark.parametrize("view", ["", "Device", "a:b", "a*", "1a", "a b"])
def test_a_view_name_that_could_be_mistaken_is_refused(view: str) -> None:
    with pytest.raises(ValueError, match="not a view name"):
        RedisKeyedStore("redis://127.0.0.1:1/0", view)


def test_a_document_may_not_hide_its_revision(store: RedisKeyedStore) -> None:
    for change in (Change(0, {"_revision": "7"}), Change(0, {}, ["_revision"])):
        with pytest.raises(ValueError, match="_revision"):
            store.commit(1, A, 0, 1, {"a": Change(0, {"x": "1"}), "k": change})
    assert store.positions(1) == {}
    assert dict(store.scan(1)) == {}


@pytest.mark.parametrize("bad", [None, 1.5, b"bytes"])
def test_what_is_not_text_is_a_bug_and_writes_nothing(store: RedisKeyedStore, bad: object) -> None:
    with pytest.raises(TypeError):
        store.commit(1, A, 0, 1, {"a": Change(0, {"x": "1"}), "b": Change(0, {"x": bad})})  # type: ignore[dict-item]
    assert store.positions(1) == {}
    assert dict(store.scan(1)) == {}


def test_a_key_of_another_type_is_a_bug_not_an_absence(store: RedisKeyedStore, plain: redis.Redis, name: str) -> None:
    plain.set(f"{name}:v1:doc:odd", "somebody else's")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        store.load(1, ["odd"])
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        store.commit(1, A, 0, 1, {"a": Change(0, {"x": "1"}), "odd": Change(0, {"x": "1"})})
    assert store.load(1, ["a"]) == [Loaded({}, 0)]


def test_a_refused_connection_is_away() -> None:
    store = RedisKeyedStore("redis://127.0.0.1:1/0", "view")
    for call in (store.live, store.versions, lambda: store.prepare(1), lambda: list(store.scan(1))):
        with pytest.raises(Away):
            call()
    with pytest.raises(Away):
        store.commit(1, A, 0, 1, {})


def test_a_wrong_password_is_a_wrong_setting(services: Stack) -> None:
    store = RedisKeyedStore(f"redis://nobody:wrong@{services.settings.redis.removeprefix('redis://')}", "view")
    with pytest.raises(redis.exceptions.AuthenticationError):
        store.live()


@pytest.mark.parametrize("fault", ["OOM", "READONLY", "NOREPLICAS"])
def test_a_redis_that_refuses_writes_is_away_and_has_written_nothing(tmp_path: Path, fault: str) -> None:
    with running_stack(tmp_path, only=("redis",)) as stack:
        store, plain = RedisKeyedStore(stack.settings.redis, "view"), redis.Redis.from_url(stack.settings.redis)
        store.prepare(1)
        if fault == "OOM":
            plain.config_set("maxmemory", "1")
        elif fault == "NOREPLICAS":
            plain.config_set("min-replicas-to-write", "1")
        else:
            plain.replicaof("127.0.0.1", "1")
        with pytest.raises(Away, match=fault):
            store.commit(1, A, 0, 1, {"a": Change(0, {"x": "1"})})
        assert store.positions(1) == {}
        assert store.load(1, ["a"]) == [Loaded({}, 0)]
        store.close()
        plain.close()


def test_a_stopped_redis_is_away_and_a_late_commit_is_found_by_its_position(
    services: Stack, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_store, "TIMEOUT", 0.5)
    store = RedisKeyedStore(services.settings.redis, name)
    store.prepare(1)
    change = {"k": Change(0, {"x": "1"})}
    pid = services.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(2):
            with pytest.raises(Away):
                store.commit(1, A, 0, 5, change)
    finally:
        os.kill(pid, signal.SIGCONT)
    services.wait_healthy("redis")
    with pytest.raises(Moved) as moved:
        store.commit(1, A, 0, 5, change)
    assert moved.value.actual == 5
    assert store.load(1, ["k"]) == [Loaded({"x": "1"}, 1)]
    store.close()


def test_kill_9_in_commits_loses_no_position_without_its_documents(tmp_path: Path) -> None:
    """A writer counts up in documents, in step with its position. Whatever instant Redis dies at, every document says
    what the position says."""
    dice = random.Random(SEED)
    keys = [f"device-{i}" for i in range(200)]
    with running_stack(tmp_path, only=("redis",)) as stack:
        redis.Redis.from_url(stack.settings.redis).config_set("appendfsync", "always")
        for _ in range(4):
            done = threading.Event()
            acknowledged = [0]
            writer = threading.Thread(target=_count_up, args=(stack.settings.redis, keys, acknowledged, done))
            writer.start()
            while not acknowledged[0]:
                time.sleep(0.005)
            time.sleep(dice.uniform(0.02, 0.3))
            stack.kill("redis")
            done.set()
            writer.join()
            stack.wait_healthy("redis")
            store = RedisKeyedStore(stack.settings.redis, "view")
            position = store.positions(1)[A]
            assert position in (acknowledged[0], acknowledged[0] + 1)
            assert store.load(1, keys) == [Loaded({"count": str(position), "x": "y" * 50}, position)] * len(keys)
            store.close()
            redis.Redis.from_url(stack.settings.redis).config_set("appendfsync", "always")


def _count_up(url: str, keys: list[str], acknowledged: list[int], done: threading.Event) -> None:
    store = RedisKeyedStore(url, "view")
    store.prepare(1)
    at = store.positions(1).get(A, 0)
    while not done.is_set():
        changes = {key: Change(at, {"count": str(at + 1), "x": "y" * 50}) for key in keys}
        try:
            store.commit(1, A, at, at + 1, changes)
        except Away:
            break
        at += 1
        acknowledged[0] = at
    store.close()


def test_writers_of_two_partitions_share_a_document(services: Stack, name: str) -> None:
    """Both count up the same document; a conflict is folded again. No step of either is lost."""
    stores = [RedisKeyedStore(services.settings.redis, name) for _ in range(2)]
    stores[0].prepare(1)
    steps, conflicts = 150, [0, 0]

    def count(number: int) -> None:
        source, at = (A, B)[number], 0
        while at < steps:
            (old,) = stores[number].load(1, ["shared"])
            counted = {"count": str(int(old.document.get("count", "0")) + 1)}
            try:
                stores[number].commit(1, source, at, at + 1, {"shared": Change(old.revision, counted)})
            except redis_store.Conflict:
                conflicts[number] += 1
            else:
                at += 1

    threads = [threading.Thread(target=count, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stores[0].load(1, ["shared"]) == [Loaded({"count": str(2 * steps)}, 2 * steps)]
    assert stores[0].positions(1) == {A: steps, B: steps}
    assert sum(conflicts) > 0
    for store in stores:
        store.close()


def test_scan_while_others_write_gives_every_document_whole(store: RedisKeyedStore) -> None:
    keys = [f"device-{i}" for i in range(3_000)]
    store.commit(1, A, 0, 1, {key: Change(0, {"a": "1", "b": "1"}) for key in keys})
    seen: dict[str, dict[str, str]] = {}
    at = 1
    for number, (key, document) in enumerate(store.scan(1)):
        assert document["a"] == document["b"]
        assert int(document["a"]) >= int(seen.get(key, {"a": "0"})["a"])
        seen[key] = document
        if number % 500 == 0:
            store.commit(1, A, at, at + 1, {k: Change(at, {"a": str(at + 1), "b": str(at + 1)}) for k in keys})
            at += 1
    assert sorted(seen) == sorted(keys)


def test_the_answer_to_load_is_msgpack_that_any_reader_takes(store: RedisKeyedStore) -> None:
    """The load script writes map headers itself; sizes on both sides of every header's limit."""
    sizes = [0, 1, 7, 8, 14, 15, 16, 17, 127, 128, 32_766, 32_767, 32_768]
    changes = {f"k{size}": Change(0, {f"f{i}": "v" for i in range(size)}) for size in sizes}
    store.commit(1, A, 0, 1, changes)
    packed = store._run("load", [], [store._prefix(1), msgspec.msgpack.encode([*changes, "none"])])
    documents = msgspec.msgpack.decode(packed)
    assert [len(document) for document in documents] == [*(size + 1 for size in sizes), 0]
    assert all(document["_revision"] == "1" for document in documents[:-1])
