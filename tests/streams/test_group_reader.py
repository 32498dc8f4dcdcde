"""The group reader on a real broker: every record once and in order, from the stored positions, whoever joins or leaves."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.group_options import GroupOptions
from connectors.kafka_group import GroupReader
from connectors.kafka_log import KafkaLog
from infra.stack.harness import Stack
from schemas.log import TopicPartition
from tests.shared_stack import SharedStack
from tests.streams.members import PARTITIONS, Member, Shared, produce, slow_feed

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("broker"), only=("broker",)) as running:
        yield running


@pytest.fixture
def topic(stack: Stack, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("[", "-").replace("]", "")[:100]
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(10)
    return name


def test_all_records_in_order(stack: Stack, topic: str) -> None:
    produce(stack, topic, 2_000)
    shared = Shared()
    member = Member(stack, topic, "a", shared, slots=1)
    shared.wait_for(2_000)
    member.reader.stop()
    shared.check(topic, 2_000)
    assert member.lost == []


def test_a_fenced_member_joins_anew(stack: Stack, topic: str) -> None:
    """Another client takes its name for a while, as a broker does that comes back without what it heard last."""
    shared = Shared()
    member = Member(stack, topic, "a", shared, slots=1)
    produce(stack, topic, 1_000)
    shared.wait_for(1_000)
    usurper = Consumer(GroupOptions(stack.settings.kafka, topic, "a", (topic,)).configuration())
    assigned = threading.Event()
    usurper.subscribe([topic], on_assign=lambda *_: assigned.set())
    until = time.monotonic() + 20
    while not assigned.is_set():
        assert time.monotonic() < until
        usurper.poll(0.1)
    for source in member.reader.assigned():
        member.reader.folded(source, 250)  # the next commit is refused, and with that the client is of no more use
    time.sleep(3.0)
    usurper.close()
    feeding = threading.Thread(target=slow_feed, args=(stack, topic, 1_000, 1_000))
    feeding.start()
    shared.wait_for(2_000)
    feeding.join()
    member.reader.stop()
    assert member.reader.failure is None
    assert max(member.epochs) > 1, "it went on under an assignment that the group does not know of"
    shared.check(topic, 2_000)


def test_members_that_come_and_go_lose_and_double_nothing(stack: Stack, topic: str) -> None:
    shared = Shared()
    feeding = threading.Thread(target=slow_feed, args=(stack, topic, 3_000))
    feeding.start()
    first = Member(stack, topic, "a", shared, slots=1)
    time.sleep(1.0)
    second = Member(stack, topic, "b", shared, slots=1)
    time.sleep(1.5)
    first.reader.stop()
    time.sleep(0.5)
    first = Member(stack, topic, "a", shared, slots=1)
    feeding.join()
    shared.wait_for(3_000)
    first.reader.stop()
    second.reader.stop()
    shared.check(topic, 3_000)


def test_reading_starts_at_the_stored_position_not_at_the_committed_one(stack: Stack, topic: str) -> None:
    produce(stack, topic, 400)
    shared = Shared()
    member = Member(stack, topic, "a", shared, slots=1)
    shared.wait_for(400)
    for partition in range(PARTITIONS):
        member.reader.folded(TopicPartition(topic, partition), 100)
    time.sleep(1.5)
    member.reader.stop()
    shared.positions = {TopicPartition(topic, partition): 60 for partition in range(PARTITIONS)}
    shared.folded = {source: values[:60] for source, values in shared.folded.items()}
    again = Member(stack, topic, "a", shared, slots=1)
    shared.wait_for(400)
    again.reader.stop()
    shared.check(topic, 400)


def test_a_store_that_is_away_is_waited_for(stack: Stack, topic: str) -> None:
    produce(stack, topic, 100)
    shared = Shared()
    shared.away = True
    member = Member(stack, topic, "a", shared, slots=1)
    time.sleep(3.0)
    assert member.reader.alive
    assert shared.folded == {}
    shared.away = False
    shared.wait_for(100)
    member.reader.stop()
    shared.check(topic, 100)


def test_a_view_that_is_busy_for_long_keeps_its_partitions_and_loses_nothing(stack: Stack, topic: str) -> None:
    produce(stack, topic, 1_000)
    shared = Shared()
    member = Member(stack, topic, "a", shared, slots=1)
    member.hold.clear()
    time.sleep(8.0)  # longer than the session
    assert member.reader.heard
    member.hold.set()
    shared.wait_for(1_000)
    member.reader.stop()
    shared.check(topic, 1_000)


def test_a_busy_time_at_the_partitions_end_loses_nothing(stack: Stack, topic: str) -> None:
    """The client pauses, is told of ends, and goes on, again and again."""
    feeding = threading.Thread(target=slow_feed, args=(stack, topic, 2_000))
    feeding.start()
    shared = Shared()
    member = Member(stack, topic, "a", shared, seconds=0.005, slots=1)
    while feeding.is_alive():
        member.hold.clear()
        time.sleep(0.7)  # longer than the reader waits for a slot
        member.hold.set()
        time.sleep(0.1)
    shared.wait_for(2_000)
    member.reader.stop()
    shared.check(topic, 2_000)


def test_reread_goes_on_from_the_stored_position(stack: Stack, topic: str) -> None:
    produce(stack, topic, 400)
    shared = Shared()
    member = Member(stack, topic, "a", shared, slots=1)
    shared.wait_for(400)
    with shared.lock:
        shared.positions = dict.fromkeys(shared.positions, 10)
        shared.folded = {source: values[:10] for source, values in shared.folded.items()}
    member.reader.reread(member.reader.assigned())
    shared.wait_for(400)
    member.reader.stop()
    shared.check(topic, 400)


@pytest.mark.parametrize("give_up", ["reread", "halt"])
def test_from_the_call_on_what_was_read_before_is_no_longer_current(stack: Stack, topic: str, give_up: str) -> None:
    """A write was refused; the batches behind it are on their way already and would be taken for a gap."""
    produce(stack, topic, 40)
    shared, batches = Shared(), []
    reader = GroupReader(
        GroupOptions(stack.settings.kafka, topic, "a", (topic,), session_timeout=6.0),
        shared.start_of,
        batches.append,
        lambda source, error: None,
    )
    reader.start()
    until = time.monotonic() + 30
    while not batches:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert reader.current(batches[0])
    shared.away = True  # the reader's thread will not come to the new start soon
    source = batches[0].source
    if give_up == "reread":
        reader.reread([source])
    else:
        reader.halt(source)
    assert not reader.current(batches[0])
    reader.stop()


def test_partitions_come_back_readable_after_a_halt_and_after_a_busy_time(stack: Stack, topic: str) -> None:
    """The client keeps a partition paused over assignments, unless it is told otherwise."""
    produce(stack, topic, 1_000)
    shared = Shared()
    first = Member(stack, topic, "a", shared, slots=1)
    shared.wait_for(1_000)
    first.reader.halt(TopicPartition(topic, 0))
    first.hold.clear()
    slow_feed(stack, topic, 400, 1_000)
    time.sleep(1.0)  # its slot is taken: all its partitions are paused
    second = Member(stack, topic, "b", shared, slots=1)
    shared.wait_for(1_200)  # of partitions 2 and 3, by the other member
    first.hold.set()
    shared.wait_for(1_400)  # assigned anew, a halted partition is tried again
    second.reader.stop()
    slow_feed(stack, topic, 400, 1_400)
    shared.wait_for(1_800)  # what was taken from it in its busy time is back
    first.reader.stop()
    shared.check(topic, 1_800)


def test_a_halted_partition_is_read_again_when_it_is_revived(stack: Stack, topic: str) -> None:
    produce(stack, topic, 400)
    shared = Shared()
    member = Member(stack, topic, "a", shared, slots=1)
    shared.wait_for(400)
    source = TopicPartition(topic, 0)
    member.reader.revive(source)  # which is not halted: nothing comes of it
    member.reader.halt(source)
    slow_feed(stack, topic, 400, 400)
    shared.wait_for(400 + 400 * (PARTITIONS - 1) // PARTITIONS)
    time.sleep(0.5)
    assert source not in member.reader.assigned()
    member.reader.revive(source)
    shared.wait_for(800)
    assert source in member.reader.assigned()
    member.reader.stop()
    shared.check(topic, 800)


def test_a_position_that_the_log_does_not_hold_is_reported(stack: Stack, topic: str) -> None:
    produce(stack, topic, 40)
    shared = Shared()
    shared.positions = {TopicPartition(topic, partition): 1_000 for partition in range(PARTITIONS)}
    member = Member(stack, topic, "a", shared)
    until = time.monotonic() + 20
    while len(member.lost) < PARTITIONS and time.monotonic() < until:
        time.sleep(0.05)
    member.reader.stop()
    assert sorted(source.partition for source, _ in member.lost) == [0, 1, 2, 3]
    assert "1000" in str(member.lost[0][1])


def test_the_log_is_read_by_position(stack: Stack, topic: str, tmp_path: Path) -> None:
    produce(stack, topic, 400)
    log = KafkaLog(stack.settings.kafka)
    source = TopicPartition(topic, 1)
    assert log.bounds([topic]) == {TopicPartition(topic, partition): (0, 100) for partition in range(PARTITIONS)}
    values = [value for batch in log.read(source, 20, 70) for value in batch.values]
    assert values == [str(number).encode() for number in range(1, 400, 4)][20:70]
    assert list(log.read(source, 100, 100)) == []
    with pytest.raises(ValueError, match="holds the offsets from 0 to 100"):
        list(log.read(source, 101, 102))
    log.close()
