"""The contract of Snapshots, in memory and in Redis."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import redis

from connectors.ports import Away
from connectors.redis_snapshots import RedisSnapshots
from connectors.snapshots import MemorySnapshots, Snapshot, SnapshotKey
from infra.stack.harness import Stack

SNAPSHOT = Snapshot(following=8, newest=6, newest_id="id", state=b"\x00state" * 100)


@pytest.fixture(params=["memory", "redis"])
def made(request: pytest.FixtureRequest, services: Stack) -> Any:
    return MemorySnapshots() if request.param == "memory" else RedisSnapshots(services.settings.redis)


def key(partition: int = 0, revision: int = 1) -> SnapshotKey:
    return SnapshotKey("d", partition, revision)


@pytest.fixture
def fresh() -> Callable[..., SnapshotKey]:
    name = uuid4().hex
    return lambda partition=0, revision=1: SnapshotKey(name, partition, revision)


def test_the_newest_of_its_key_is_kept(made: Any, fresh: Callable[..., SnapshotKey]) -> None:
    assert made.load(fresh()) is None
    made.save(fresh(), SNAPSHOT)
    newer = Snapshot(following=9, newest=8, newest_id="other", state=b"")
    made.save(fresh(), newer)
    made.save(fresh(1), SNAPSHOT)
    assert made.load(fresh()) == newer
    assert made.load(fresh(1)) == SNAPSHOT
    assert made.load(fresh(0, 2)) is None, "another revision does not see it"


def test_a_redis_that_does_not_answer_is_away() -> None:
    nowhere = RedisSnapshots("redis://127.0.0.1:1/0")
    with pytest.raises(Away):
        nowhere.load(key())
    with pytest.raises(Away):
        nowhere.save(key(), SNAPSHOT)


def test_what_is_no_snapshot_is_none(services: Stack, fresh: Callable[..., SnapshotKey]) -> None:
    snapshots, name = RedisSnapshots(services.settings.redis), fresh()
    client = redis.Redis.from_url(services.settings.redis)
    for garbage in (b"", b"garbage", b"\x28\xb5\x2f\xfd"):
        client.set(f"decider:{name.decider}:0:r1", garbage)
        assert snapshots.load(name) is None
    client.close()
