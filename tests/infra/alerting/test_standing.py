"""What a question about rules and alerts costs: what has come since the one before, however much the log holds."""

from collections.abc import Iterable, Iterator
from typing import Literal

import pytest

from connectors.memory import MemoryLog
from connectors.memory_registry import MemoryRegistry
from connectors.ports import Away
from infra.alerting.standing import Placed, Standing
from schemas.alert_messages import ALERTS, AlertEvent
from schemas.contract import load
from schemas.log import Batch, TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages
from schemas.partitioner import partition_of
from streams.alerts.listing import Alerts, listed
from tests.streams.alerts.stage import SECOND, Stage, rule_of

PARTITIONS = 3


class CountedLog:
    """A LogReader of a log in memory: what was read of it, and which readers are open."""

    def __init__(self) -> None:
        self.log, self.read_records, self.open = MemoryLog({ALERTS: PARTITIONS}), 0, 0

    def reader(self) -> "CountedLog":
        self.open += 1
        return self

    def bounds(self, topics: Iterable[str]) -> dict[TopicPartition, tuple[int, int]]:
        return self.log.bounds(topics)

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        for batch in self.log.read(source, start, stop):
            self.read_records += len(batch.offsets)
            yield batch

    def close(self) -> None:
        self.open -= 1


class World:
    def __init__(self, most: int | None = None) -> None:
        self.counted, registry, topic = CountedLog(), MemoryRegistry(), load().topics[ALERTS]
        self.codec = Messages(topic, message_types(topic), registry.register, registry.schema)
        self.stage = Stage()
        self.stage.apply(rule_of())
        self.written = 0
        self.standing = Standing(ALERTS, self.counted.reader, self.codec, Alerts(most), self.take)

    @staticmethod
    def take(alerts: Alerts, placed: Placed) -> None:
        alerts.take(placed.event, (placed.source.partition, placed.offset))

    def write(self) -> None:
        """What the stage has said since to the log."""
        for event in self.stage.said[self.written :]:
            assert isinstance(event, AlertEvent)
            key = event.home_key.encode()
            self.counted.log.append(TopicPartition(ALERTS, partition_of(key, PARTITIONS)), key, self.codec.encode(event))
        self.written = len(self.stage.said)

    def told(self, kind: Literal["fired", "resolved"], home: str) -> None:
        self.stage.signal(kind, home=home)
        self.write()


def test_a_question_reads_what_has_come_since_the_one_before() -> None:
    world = World()
    for number in range(40):
        world.told("fired", f"device-{number}")
    with world.standing.now() as alerts:
        assert alerts.alerts == listed(world.stage.said)
    assert world.counted.read_records == 40
    for more in range(5):
        world.told("fired", f"more-{more}")
        before = world.counted.read_records
        for _ in range(3):
            with world.standing.now() as alerts:
                assert alerts.alerts == listed(world.stage.said)
        assert world.counted.read_records == before + 1
    assert world.counted.open == 1


def test_an_alert_s_events_are_read_where_they_are() -> None:
    world = World()
    for number in range(30):
        world.told("fired", f"device-{number}")
    world.told("resolved", "device-3")
    with world.standing.now() as alerts:
        (places,) = [places for one, places in alerts.places.items() if alerts.alerts[one].home_key == "device-3"]
    before = world.counted.read_records
    found = world.standing.at(TopicPartition(ALERTS, places[0][0]), [offset for _, offset in places])
    assert [type(one.event).__name__ for one in found] == ["AlertFired", "AlertResolved"]
    assert [one.place for one in found] == [f"{ALERTS}/{partition}/{offset}" for partition, offset in places]
    assert world.counted.read_records - before <= 30


def test_of_alerts_that_are_over_the_newest_are_known() -> None:
    world = World(most=2)
    for number in range(5):
        world.told("fired", f"device-{number}")
        if number != 1:
            world.told("resolved", f"device-{number}")
        world.stage.wait(SECOND)
    with world.standing.now() as alerts:
        assert sorted(one.home_key for one in alerts.alerts.values()) == ["device-1", "device-3", "device-4"]
        assert alerts.places.keys() == alerts.alerts.keys()


def test_a_broker_that_was_away_is_asked_anew() -> None:
    world = World()
    world.told("fired", "device-1")
    world.counted.log.away = True
    with pytest.raises(Away), world.standing.now():
        raise AssertionError("there is nothing to say")
    assert world.counted.open == 0
    world.counted.log.away = False
    with world.standing.now() as alerts:
        assert len(alerts.alerts) == 1
    world.standing.close()
    assert world.counted.open == 0
