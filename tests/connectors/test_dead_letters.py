"""Dead letters on a real broker: whole, whatever their size, durable when `set_aside` returns."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer

from connectors.dead_letters import KafkaDeadLetters
from connectors.kafka_topics import KafkaTopics
from connectors.memory_registry import MemoryRegistry
from connectors.ports import Away, DeadLetter
from infra.stack.harness import Stack
from schemas.codec import decode
from schemas.contract import Contract, load
from schemas.log import TopicPartition
from schemas.wire import PREFIX_BYTES
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
SOURCE = TopicPartition("fleet.telemetry", 3)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load()


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory, contract: Contract) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("letters"), only=("broker",)) as running:
        KafkaTopics(running.settings.kafka).apply([contract.topics["fleet.dead-letters"]])
        yield running


def letters_of(stack: Stack, contract: Contract, view: str, count: int) -> list[dict[str, Any]]:
    """The first `count` letters of a view, by offset of origin."""
    consumer = Consumer({
        "bootstrap.servers": stack.settings.kafka, "group.id": view, "auto.offset.reset": "earliest",
        "fetch.message.max.bytes": 16_000_000,
    })  # fmt: skip
    consumer.subscribe(["fleet.dead-letters"])
    found: list[dict[str, Any]] = []
    try:
        while len(found) < count:
            message = consumer.poll(20.0)
            assert message is not None, f"{len(found)} of {count} letters"
            assert message.error() is None
            letter = decode(contract.records["RecordDeadLettered"].schema, message.value()[PREFIX_BYTES:])
            if letter["view"] == view:
                found.append(letter)
    finally:
        consumer.close()
    return sorted(found, key=lambda letter: int(letter["offset"]))


def set_aside(stack: Stack, contract: Contract, letters: list[DeadLetter], timeout: float = 10.0) -> None:
    topic = contract.topics["fleet.dead-letters"]
    KafkaDeadLetters(stack.settings.kafka, topic, MemoryRegistry(), timeout).set_aside(letters)


@pytest.mark.parametrize("value", [None, b"", b"\x00\xff", os.urandom(11_900_000), b"x" * 60_000_000],
                         ids=["tombstone", "empty", "bytes", "largest", "large-when-unpacked"])  # fmt: skip
def test_a_letter_holds_the_whole_record(stack: Stack, contract: Contract, value: bytes | None) -> None:
    view = f"v{len(value or b'') if value is not None else 'none'}"
    letter = DeadLetter(view, SOURCE, 41, "undecodable", "byte 3 is no length", b"device-1", value)
    set_aside(stack, contract, [letter])
    (found,) = letters_of(stack, contract, view, 1)
    assert found["value"] == value
    assert (found["topic"], found["partition"], found["offset"], found["key"]) == ("fleet.telemetry", 3, 41, b"device-1")
    assert (found["reason"], found["detail"]) == ("undecodable", "byte 3 is no length")


def test_the_same_record_set_aside_again_has_the_same_id(stack: Stack, contract: Contract) -> None:
    letters = [DeadLetter("again", SOURCE, n, "undecodable", "d", None, b"x") for n in range(300)]
    set_aside(stack, contract, letters)
    set_aside(stack, contract, letters)
    found = letters_of(stack, contract, "again", 600)
    assert len({letter["event_id"] for letter in found}) == 300
    assert {letter["key"] for letter in found} == {None}


def test_a_broker_that_does_not_answer_is_away(stack: Stack, contract: Contract) -> None:
    os.kill(stack.pid("broker"), signal.SIGSTOP)
    try:
        with pytest.raises(Away):
            set_aside(stack, contract, [DeadLetter("away", SOURCE, 1, "undecodable", "d", None, b"x")], timeout=1.0)
    finally:
        os.kill(stack.pid("broker"), signal.SIGCONT)
    stack.wait_healthy("broker")
