"""A worker makes snapshots of its views of documents: in time, and not more often than that."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from connectors.view_snapshots import Head, MemoryViewSnapshots
from infra import as_of, compose
from infra.background_snapshots import SETTLE_SECONDS, BackgroundSnapshots
from infra.settings import Settings
from infra.stack.harness import Stack
from projections.catalogue import DEVICE_STATE
from schemas.log import TopicPartition
from tests.shared_stack import SharedStack

SOURCE = TopicPartition("fleet.telemetry", 0)
VIEW = DEVICE_STATE.name


def due(seconds: float, records: int, *, waited: float, new: int) -> bool:
    snapshots = MemoryViewSnapshots()
    snapshots.save(Head(view=VIEW, revision=1, number=1, made_at=0, positions={str(SOURCE): 100}, records=100), [])
    settings = Settings(snapshot_seconds=seconds, snapshot_records=records)
    background = BackgroundSnapshots(settings, snapshots, {VIEW: lambda: {SOURCE: 100 + new}})
    return background.due(VIEW, time.monotonic() + waited)


def test_one_is_due_after_so_many_records_or_seconds_if_there_is_something_new() -> None:
    assert due(300, 50, waited=301, new=1)
    assert due(300, 50, waited=SETTLE_SECONDS + 1, new=50)
    assert not due(300, 50, waited=SETTLE_SECONDS + 1, new=49)
    assert not due(300, 50, waited=SETTLE_SECONDS - 1, new=50), "it has just started"
    assert due(2, 50, waited=3, new=1)
    assert not due(300, 50, waited=10_000, new=0)


@pytest.fixture
def stack(shared_stack: SharedStack, tmp_path: Path) -> Iterator[Stack]:
    settings = Settings(views=f"{VIEW},telemetry", deciders="none", snapshot_seconds=1.0)
    services = ("broker", "redis", "clickhouse", "registry", "topics", "schemas", "workers")
    with shared_stack.lend(tmp_path, services, settings=settings) as running:
        yield running


@pytest.mark.stack
def test_a_worker_makes_them(stack: Stack) -> None:
    begun = stack.settings.data / "snapshots" / VIEW / ".r1-9.snapshot.1"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"of a process that was killed")
    producer = Producer({"bootstrap.servers": stack.settings.kafka})
    producer.produce(SOURCE.topic, b"not a record", b"dev-1", partition=0)
    assert producer.flush(20) == 0
    snapshots = as_of.snapshots(stack.settings)
    until = time.monotonic() + 60
    while not snapshots.heads(VIEW)[0]:
        assert time.monotonic() < until
        time.sleep(0.2)
    (head,) = snapshots.heads(VIEW)[0]
    log = compose.log_reader(stack.settings)
    ends = {str(source): end for source, (_, end) in log.bounds(DEVICE_STATE.topics).items()}
    log.close()
    assert head.positions == ends
    assert (head.keys, head.records) == (0, 1)
    assert not begun.exists()
    assert not (stack.settings.data / "snapshots" / "telemetry").exists(), "rows have none"
