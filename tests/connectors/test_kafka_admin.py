"""Calls of the admin client: what goes into its process, and what comes out."""

import asyncio
import io
import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient, ConfigEntry, ConfigSource

from connectors.cluster import Group, Member, NewTopic, Setting, SettingValue
from connectors.kafka_admin_calls import AdminCalls
from connectors.kafka_admin_process import SIZE_BYTES, Call, Outcome, framed, outcome, serve
from connectors.kafka_cluster import GROUPS_AT_ONCE, KafkaGroups
from schemas.log import TopicPartition

NEW = NewTopic("t", 3, 1, (), {"cleanup.policy": "compact"})


def done(value: Any = None) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def failed(code: int) -> "Future[Any]":
    future: Future[Any] = Future()
    future.set_exception(KafkaException(KafkaError(code)))
    return future


class FakeClient:
    """librdkafka's admin client: every call is kept and gets the future that `answer` says."""

    def __init__(self, answer: "Future[Any]") -> None:
        self.answer = answer
        self.asked: list[Any] = []

    def create_topics(self, topics: list[Any], **more: Any) -> dict[str, Any]:
        self.asked.append((topics[0], more))
        return {topics[0].topic: self.answer}

    def delete_topics(self, topics: list[str], **more: Any) -> dict[str, Any]:
        return {topics[0]: self.answer}

    def create_partitions(self, wanted: list[Any], **more: Any) -> dict[str, Any]:
        self.asked.append(wanted[0])
        return {wanted[0].topic: self.answer}

    def describe_configs(self, resources: list[Any], **more: Any) -> dict[Any, Any]:
        return dict.fromkeys(resources, self.answer)

    def incremental_alter_configs(self, resources: list[Any], **more: Any) -> dict[Any, Any]:
        self.asked.append((resources[0].incremental_configs, more))
        return {resources[0]: self.answer}

    def list_consumer_groups(self, **more: Any) -> Any:
        return self.answer

    def describe_consumer_groups(self, names: list[str], **more: Any) -> dict[str, Any]:
        self.asked.append(names)
        return dict.fromkeys(names, self.answer)

    def list_consumer_group_offsets(self, asked: list[Any], **more: Any) -> dict[str, Any]:
        return {asked[0].group_id: self.answer}


def calls_of(answer: "Future[Any]") -> tuple[AdminCalls, FakeClient]:
    client = FakeClient(answer)
    return AdminCalls(client, 5.0), client


def crossed(calls: AdminCalls, name: str, *arguments: object, until: float = float("inf")) -> Outcome:
    """What comes out of the process for a call that goes in."""
    incoming = io.BytesIO(framed(Call(7, name, until, msgspec.Raw(msgspec.msgpack.encode(arguments)))))
    written: Future[bytes] = Future()
    outgoing = SimpleNamespace(write=written.set_result, flush=lambda: None)
    serve(calls, incoming, outgoing)  # type: ignore[arg-type]
    message = written.result(10)
    assert int.from_bytes(message[:SIZE_BYTES], "big") == len(message) - SIZE_BYTES
    return msgspec.msgpack.decode(message[SIZE_BYTES:], type=Outcome)


def test_a_topic_crosses_whole() -> None:
    calls, client = calls_of(done())
    told = crossed(calls, "create", NEW, True)
    assert (told.number, told.code) == (7, 0)
    ((made, more),) = client.asked
    assert (made.topic, made.num_partitions, made.replication_factor) == ("t", 3, 1)
    assert (made.config, more["validate_only"]) == ({"cleanup.policy": "compact"}, True)


def test_a_call_that_nobody_waits_for_any_more_is_not_made() -> None:
    """Calls behind a broker that does not answer would pile up."""
    calls, client = calls_of(done())
    late, early = (
        framed(Call(number, "create", until, msgspec.Raw(msgspec.msgpack.encode([NEW, False]))))
        for number, until in ((1, time.monotonic() - 1), (2, time.monotonic() + 60))
    )
    written: Future[bytes] = Future()
    outgoing = SimpleNamespace(write=written.set_result, flush=lambda: None)
    serve(calls, io.BytesIO(late + early), outgoing)  # type: ignore[arg-type]
    assert msgspec.msgpack.decode(written.result(10)[SIZE_BYTES:], type=Outcome).number == 2
    assert len(client.asked) == 1


def test_what_is_left_out_the_broker_chooses_and_assignments_count() -> None:
    calls, client = calls_of(done())
    calls.create(NewTopic("t", None, None, (), {}), False)
    calls.create(NewTopic("t", None, None, ((1, 2), (2, 1)), {}), False)
    (first, _), (second, _) = client.asked
    assert (first.num_partitions, first.replication_factor) == (-1, -1)
    assert (second.num_partitions, second.replica_assignment) == (2, [[1, 2], [2, 1]])


def test_an_error_crosses_with_its_code() -> None:
    told = crossed(calls_of(failed(KafkaError.TOPIC_ALREADY_EXISTS))[0], "create", NEW, False)
    assert told.code == KafkaError.TOPIC_ALREADY_EXISTS
    assert told.message


def test_an_argument_that_the_client_does_not_take_is_a_refusal() -> None:
    """librdkafka's own client, which refuses before it asks any broker."""
    calls = AdminCalls(AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}), 1.0)
    for wrong in (NewTopic("t", None, None, ((),), {}), NewTopic("t", 200_000, 1, (), {})):
        told = outcome(calls, Call(1, "create", 0.0, msgspec.Raw(msgspec.msgpack.encode([wrong, True]))))
        assert told.code == KafkaError._INVALID_ARG
        assert told.message


def test_what_is_not_there_is_left_out() -> None:
    calls, _ = calls_of(failed(KafkaError.UNKNOWN_TOPIC_OR_PART))
    assert calls.settings(["t"]) == {}
    assert [calls.delete("t"), calls.grow("t", 2), calls.alter("t", {"a": "b"}, False)] == [False] * 3
    calls, _ = calls_of(failed(KafkaError.GROUP_ID_NOT_FOUND))
    assert calls.describe(["g"]) == calls.committed(["g"]) == {}
    with pytest.raises(KafkaException):
        calls.delete("t")


def test_a_secret_stays_where_it_is() -> None:
    source = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    synonym = ConfigEntry("p", "hunter2", source=source)
    entry = ConfigEntry("p", "hunter2", source=source, is_sensitive=True, synonyms={"p": synonym})
    calls, _ = calls_of(done({"p": entry}))
    expected = Setting(
        "p", None, "DYNAMIC_TOPIC_CONFIG", False, False, True, (SettingValue("p", None, "DYNAMIC_TOPIC_CONFIG"),)
    )
    assert calls.settings(["t"]) == {"t": [expected]}
    assert b"hunter2" not in bytes(crossed(calls, "settings", ["t"]).result)


def test_a_setting_is_set_or_set_back() -> None:
    calls, client = calls_of(done())
    assert calls.alter("t", {"a": "1", "b": None}, True)
    (((first, second), more),) = client.asked
    assert [first.incremental_operation.name, second.incremental_operation.name] == ["SET", "DELETE"]
    assert (first.name, first.value, second.name, more["validate_only"]) == ("a", "1", "b", True)


def described(state: ConsumerGroupState) -> SimpleNamespace:
    assignment = SimpleNamespace(topic_partitions=[KafkaTopicPartition("t", 1), KafkaTopicPartition("t", 0)])
    member = SimpleNamespace(member_id="m", group_instance_id=None, client_id="c", assignment=assignment)
    return SimpleNamespace(
        group_id="g",
        is_simple_consumer_group=False,
        partition_assignor="range",
        state=state,
        coordinator=SimpleNamespace(id=3),
        members=[member],
    )


@pytest.mark.parametrize(
    ("state", "name"),
    [(ConsumerGroupState.STABLE, "STABLE"), (ConsumerGroupState.PREPARING_REBALANCING, "PREPARING_REBALANCE")],
)
def test_a_group_crosses_whole(state: ConsumerGroupState, name: str) -> None:
    calls, _ = calls_of(done(described(state)))
    assigned = (TopicPartition("t", 0), TopicPartition("t", 1))
    expected = {"g": Group("g", False, "range", name, 3, (Member("m", None, "c", assigned),))}
    assert msgspec.msgpack.decode(crossed(calls, "describe", ["g"]).result, type=dict[str, Group]) == expected


def test_a_dead_group_is_none() -> None:
    assert calls_of(done(described(ConsumerGroupState.DEAD)))[0].describe(["g"]) == {}


def test_groups_are_asked_about_some_at_a_time_and_never_by_names_that_none_has() -> None:
    class Admin:
        async def call(self, name: str, names: list[str], told: object) -> dict[str, object]:
            asked.append((name, len(names)))
            return {one: [] for one in names if name == "committed"}

    asked: list[tuple[str, int]] = []
    groups = KafkaGroups(Admin())  # type: ignore[arg-type]
    names = [*map(str, range(250)), "0", "", "nul\0"]
    assert asyncio.run(groups.describe(names)) == {}
    assert asyncio.run(groups.committed(names)).keys() == set(map(str, range(250)))
    sizes = [GROUPS_AT_ONCE, GROUPS_AT_ONCE, 50]
    assert asked == [(name, size) for name in ("describe", "committed") for size in sizes]


def test_offsets_that_were_never_committed_are_left_out() -> None:
    told = [KafkaTopicPartition("t", 1, 5), KafkaTopicPartition("t", 0, -1001)]
    calls, _ = calls_of(done(ConsumerGroupTopicPartitions("g", told)))
    assert calls.committed(["g"]) == {"g": [(TopicPartition("t", 1), 5)]}


def test_a_list_of_groups_that_lacks_some_is_none() -> None:
    listed = SimpleNamespace(valid=[], errors=[KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE)])
    with pytest.raises(KafkaException):
        calls_of(done(listed))[0].groups()
