"""A member of a group, with clients that are played."""

import time
from threading import Event
from typing import Any

import pytest
from confluent_kafka import TopicPartition as KafkaPartition

from connectors import group_faults, kafka_group
from connectors.group_options import GroupOptions
from connectors.kafka_group import GroupReader
from schemas.log import Batch, TopicPartition


def test_a_rebalance_while_a_batch_waits_for_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """All partitions are revoked in the middle of handing on what was read of them."""
    batches: list[Batch] = []
    reader = GroupReader(GroupOptions("nowhere", "g", "m", ("t",), seconds=0.0), dict, batches.append, print)
    sources = [TopicPartition("t", partition) for partition in range(3)]
    reader._begin(sources, dict.fromkeys(sources, 0))
    for source in sources:
        reader._collected.end(source, 1, 1, 0.0)

    def revoked_meanwhile() -> bool:
        for source in sources:
            reader._forget(source)
        return reader._slots.acquire(timeout=0)

    monkeypatch.setattr(reader, "_wait_for_slot", revoked_meanwhile)
    reader._hand_on(caught_up=True)
    assert batches == []
    assert reader._slots.acquire(timeout=0), "the slot was given back"


class Unheard:
    """A client that the group never lets in; then one that is let in."""

    def __init__(self, made: list["Unheard"]) -> None:
        self.closed = False
        self.may_close = Event()
        self._is_let_in, self._on_assign = bool(made), None
        made.append(self)

    def subscribe(self, topics: list[str], on_assign: Any, **others: Any) -> None:
        self._on_assign = on_assign

    def consume(self, count: int, seconds: float) -> list[Any]:
        if self._is_let_in and self._on_assign is not None:
            self._on_assign(self, [KafkaPartition("t", 0)])
            self._on_assign = None
        time.sleep(0.01)
        return []

    def get_watermark_offsets(self, partition: KafkaPartition, cached: bool) -> tuple[int, int]:
        return -1001, -1001

    def assign(self, partitions: list[KafkaPartition]) -> None:
        assert not self.closed

    resume = assign

    def close(self) -> None:
        self.closed = True
        if not self._is_let_in:
            self.may_close.wait(60)


def test_a_member_that_the_group_does_not_let_in_begins_anew_with_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """librdkafka may never find its coordinator again after that froze in the middle of a handshake."""
    made: list[Unheard] = []
    monkeypatch.setattr(kafka_group, "Consumer", lambda configuration, logger: Unheard(made))
    monkeypatch.setattr(group_faults, "CLOSE_SECONDS", 0.05)  # the first one does not close
    options = GroupOptions("nowhere", "g", "m", ("t",), session_timeout=0.05)
    reader = GroupReader(options, lambda sources: dict.fromkeys(sources, 0), print, print)
    reader.start()
    until = time.monotonic() + 10
    while not reader.assigned():
        assert reader.alive, reader.failure
        assert time.monotonic() < until, made
        time.sleep(0.01)
    time.sleep(3 * options.admission_timeout)  # it stays in
    reader.stop()
    assert reader.failure is None
    assert [client.closed for client in made] == [True, True]
    made[0].may_close.set()
