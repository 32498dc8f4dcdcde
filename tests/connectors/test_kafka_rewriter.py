"""Records come back to the offsets that they had, in an empty partition of a real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka_log import KafkaLog
from connectors.kafka_rewriter import KafkaRewriter
from infra.stack.harness import Stack
from schemas.archive.records import Records
from schemas.archive.rewriting import steps
from schemas.log import TopicPartition
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
SOURCE = TopicPartition("rewritten", 0)
HOLES = (0, 1, 4, 1, 0, 2)  # offsets without a record behind a run, in turn: a marker; an aborted transaction and its marker
RUNS = 120


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("rewriter"), only=("broker",)) as running:
        admin = AdminClient({"bootstrap.servers": running.settings.kafka})
        admin.create_topics([NewTopic(SOURCE.topic, 1, 1)])[SOURCE.topic].result(30)
        yield running


def log_with_holes() -> Records:
    offsets, at = [], 0
    for run in range(RUNS):
        offsets += range(at, at + 1 + run % 3)
        at = offsets[-1] + 1 + HOLES[run % len(HOLES)]
    values = [b"%d" % offset for offset in offsets]
    count = len(offsets)
    return Records(SOURCE, offsets, [1_700_000_000_000] * count, [b"key"] * count, [[]] * count, values, 0, offsets[-1] + 1)


def test_each_record_comes_to_its_offset_behind_markers_that_the_broker_writes_late(stack: Stack, tmp_path: Path) -> None:
    wanted = log_with_holes()
    with KafkaRewriter(stack.settings.kafka, SOURCE) as rewriter:
        for step in steps([wanted]):
            rewriter.take(step)
    log = KafkaLog(stack.settings.kafka)
    try:
        found = [
            (offset, value)
            for batch in log.read(SOURCE, 0, wanted.read_to)
            for offset, value in zip(batch.offsets, batch.values, strict=True)
        ]
    finally:
        log.close()
    assert found == list(zip(wanted.offsets, wanted.values, strict=True))
