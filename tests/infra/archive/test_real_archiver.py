"""The archiver of the stack: killed and left alone by all that it needs, it archives each record once and loses none."""

import json
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka import Producer

from connectors.archive import Archive
from connectors.kafka_log import KafkaLog
from infra import archive as archives
from infra import compose, views
from infra.settings import Settings
from infra.stack.harness import Stack
from projections.catalogue import CATALOGUE
from schemas.contract import load
from schemas.log import TopicPartition
from streams.archiving import archived_ends
from tests.infra.archive.test_real_archive import upload
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack

TOPIC = "fleet.telemetry"
PARTS = ("broker", "redis", "clickhouse", "registry", "topics", "schemas", "archiver")
OLD = 1_600_000_000_000  # milliseconds; far beyond any retention
SECONDS = 40.0
KILLS = 4


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(archive_offsets=20, archive_every=0.02, archive=str(tmp_path_factory.mktemp("objects")))
    with shared_stack.lend(tmp_path_factory.mktemp("archiver"), only=PARTS, settings=settings) as running:
        yield running


def until(what: str, condition: Any) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def answer(stack: Stack, path: str) -> httpx.Response:
    return httpx.get(f"http://{stack.settings.host}:{stack.settings.archiver_metrics_port}{path}", timeout=5)


def ends(settings: Settings) -> dict[str, int]:
    log = KafkaLog(settings.kafka)
    try:
        return {str(source): end for source, (_, end) in log.bounds([TOPIC]).items()}
    finally:
        log.close()


def archived(archive: Archive) -> list[tuple[TopicPartition, int, bytes | None]]:
    """Every record of the topic that is archived, as the segments that the newest manifest names hold them."""
    found = archive.manifest(TOPIC)
    assert found is not None
    return [
        (TopicPartition(TOPIC, partition), offset, value)
        for partition, segments in enumerate(found[0].partitions)
        for segment in segments
        for records in [archive.records(TopicPartition(TOPIC, partition), segment, deep=True)]
        for offset, value in zip(records.offsets, records.values, strict=True)
    ]


def all_but_the_open_is_archived(settings: Settings, archive: Archive) -> bool:
    reached = archived_ends(archive)
    return all(reached.get(source, 0) >= end - end % 20 for source, end in ends(settings).items())


def test_killed_at_any_time_it_loses_nothing_and_doubles_nothing(stack: Stack) -> None:
    settings, chance = stack.settings, random.Random(6)
    archive = compose.archive(settings)
    for number in range(KILLS):
        upload(settings, number * 300, 300, int(time.time() * 1000))
        stack.wait_healthy("archiver")
        time.sleep(chance.uniform(0, 0.4))
        stack.kill("archiver")
        findings = archives.verify(settings, deep=True, against_log=True).findings
        assert not [one for one in findings if "no manifest" not in one.what], "whatever is listed is whole"
    stack.wait_healthy("archiver")
    until("what is closed is archived", lambda: all_but_the_open_is_archived(settings, archive))
    assert stack.restarts("archiver") == KILLS
    found, reached = archived(archive), archived_ends(archive)
    log = KafkaLog(settings.kafka)
    try:
        expected = [
            (source, offset, value)
            for source in sorted(log.bounds([TOPIC]))
            for part in log.records(source, 0, reached[str(source)])
            for offset, value in zip(part.offsets, part.values, strict=True)
        ]
    finally:
        log.close()
    assert found == expected
    assert len(found) > KILLS * 300 - 6 * 20
    assert archives.verify(settings, deep=True, against_log=True).findings == []


@pytest.mark.parametrize("missing", ["broker", "registry-front"])
def test_while_what_it_needs_is_away_it_waits(stack: Stack, missing: str) -> None:
    settings, archive = stack.settings, compose.archive(stack.settings)
    restarts = stack.restarts("archiver")
    stack.kill(missing, signal.SIGSTOP)
    try:
        if missing == "broker":
            until("it says so", lambda: answer(stack, "/health").json()["waits for"])
        assert answer(stack, "/health").status_code == 200
    finally:
        stack.kill(missing, signal.SIGCONT)
    upload(settings, 5_000, 300, int(time.time() * 1000))
    until("it goes on", lambda: all_but_the_open_is_archived(settings, archive))
    until("it waits for nothing", lambda: answer(stack, "/health").json() == {"waits for": "", "trouble": "", "held": {}})
    assert stack.restarts("archiver") == restarts
    assert "fleetlog_archived_records_total" in answer(stack, "/metrics").text


def test_what_is_old_leaves_the_log_when_it_is_archived_and_read(stack: Stack) -> None:
    """Each life of the process begins with a round of the guard."""
    settings = stack.settings
    old = TopicPartition("fleet.heartbeats", 0)
    producer = Producer({"bootstrap.servers": settings.kafka})
    for number in range(60):
        producer.produce(old.topic, b"%d" % number, b"device", partition=old.partition, timestamp=OLD)
    assert producer.flush(20) == 0
    until("it is archived", lambda: archived_ends(compose.archive(settings)).get(str(old), 0) == 60)
    stack.stop("archiver")
    stack.start("archiver")
    until("a view needs it", lambda: str(old) in answer(stack, "/health").json()["held"])
    for view in CATALOGUE:
        if old.topic in view.topics:
            views.rebuild_view(settings, view, lambda progress: None)
    stack.stop("archiver")
    stack.start("archiver")
    log = KafkaLog(settings.kafka)
    try:
        until("it is gone", lambda: log.bounds([old.topic])[old][0] == 60)
    finally:
        log.close()
    assert load().topics[old.topic].retention_ms > 0
    assert json.loads(answer(stack, "/health").text)["trouble"] == ""
