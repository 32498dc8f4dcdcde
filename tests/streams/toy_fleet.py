"""Deciders of the tests as processes on a real broker, what is sent to them, and what must be in the log in the end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka_log import KafkaLog
from infra.settings import Settings, child_environment
from infra.stack.harness import Stack
from schemas.log import TopicPartition
from schemas.messages import Command, Event
from streams.aggregates import Aggregates
from streams.machine import Keyed
from tests.streams.toy import COMMANDS, EVENTS, PARTITIONS, Accounts, Repeated, codecs

SESSION_SECONDS = 2.0


class Fleet:
    """Workers by number, each with the log of its process in the stack's directory."""

    def __init__(self, stack: Stack) -> None:
        self.settings: Settings = replace(stack.settings, session_timeout=SESSION_SECONDS)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        self.codecs = codecs()
        self.producer = Producer({"bootstrap.servers": self.settings.kafka, "linger.ms": 1, "partitioner": "murmur2_random"})
        self.log = KafkaLog(self.settings.kafka)

    def make_topics(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.settings.kafka})
        for made in admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in (COMMANDS, EVENTS)]).values():
            made.result(10)

    def start(self, index: int) -> None:
        with (self.settings.data / f"toy-{index}.log").open("ab") as output:
            self.processes[index] = subprocess.Popen(
                [sys.executable, "-m", "tests.streams.toy_worker", str(index)],
                env=child_environment(self.settings.environment()),
                stdout=output,
                stderr=output,
            )

    def signal(self, index: int, number: signal.Signals) -> None:
        process = self.processes[index]
        os.kill(process.pid, number)
        if number == signal.SIGKILL:
            process.wait(10)

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(10)
        self.log.close()

    def send(self, key: str, command: Command) -> None:
        self.producer.produce(COMMANDS, self.codecs[COMMANDS].encode(command), key.encode())
        self.producer.poll(0)

    def values(self, topic: str, partition: int) -> list[tuple[int, str, Any]]:
        """Offset, key and message of every committed record of a partition."""
        source = TopicPartition(topic, partition)
        first, end = self.log.bounds([topic])[source]
        return [
            (offset, (key or b"").decode(), self.codecs[topic].decode(value))
            for batch in self.log.read(source, first, end)
            for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True)
        ]

    def until_decided(self, commands: Sequence[str], seconds: float = 40.0) -> None:
        """Wait for an event of every one of these commands and of those that followed from them."""
        self.producer.flush(10)
        until = time.monotonic() + seconds
        wanted = set(commands)
        while True:
            sent = [message for p in range(PARTITIONS) for _, _, message in self.values(COMMANDS, p)]
            events = [message for p in range(PARTITIONS) for _, _, message in self.values(EVENTS, p)]
            missing = (wanted | {command.command_id for command in sent}) - {event.command_id for event in events}
            if not missing and len({event.event_id for event in events}) >= len(sent):
                return
            assert time.monotonic() < until, f"{len(missing)} of {len(sent)} commands have no event"
            time.sleep(0.3)

    def check(self) -> dict[str, int]:
        """The log is what one decider would have written that was never disturbed. Returns what there is of it."""
        counts = {"commands": 0, "events": 0, "repeats": 0}
        for partition in range(PARTITIONS):
            written = self.values(EVENTS, partition)
            machine = Aggregates(Accounts(), partial(_recall, {offset: message for offset, _, message in written}))
            left = iter(written)
            for _, key, command in self.values(COMMANDS, partition):
                counts["commands"] += 1
                expected = [r.message for r in machine.work([Keyed(key, command)]) if r.topic == EVENTS]
                found = [next(left) for _ in expected]
                assert [(k, m) for _, k, m in found] == [(key, message) for message in expected]
                machine.drop()
                for offset, _, event in found:
                    assert isinstance(event, Event)
                    machine.fold(key, event, offset)
                    counts["repeats"] += isinstance(event, Repeated)
                counts["events"] += len(expected)
            assert next(left, None) is None
        return counts


def _recall(events: Mapping[int, Event], first: int, last: int) -> list[Event]:
    return [events[offset] for offset in range(first, last + 1) if offset in events]
