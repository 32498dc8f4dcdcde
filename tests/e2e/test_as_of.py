"""As of a time on the real broker, Redis, ClickHouse, registry and ingress: the command and HTTP say what a fold of the log
record by record says, with and without snapshots."""

import io
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest.mock import patch

import fastavro
import httpx
import pytest
from confluent_kafka import Producer

from connectors.kafka_log import KafkaLog
from connectors.registry import ConfluentRegistry
from infra import compose
from infra.api_key import api_key
from infra.cli.main import main
from infra.settings import child_environment
from infra.stack.harness import Stack
from projections import device_state
from projections.as_of import Moment
from projections.canonical import document_leaf
from projections.catalogue import CATALOGUE
from projections.updates import changes, payloads
from schemas.codec import encode, parsed
from schemas.contract import load
from schemas.log import TopicPartition
from schemas.moments import text
from schemas.wire import PREFIX_BYTES, prefix
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
SERVICES = ("broker", "redis", "clickhouse", "registry", "topics", "schemas", "ingress")
CONTRACT = load()
DEVICES = [f"dev-{number:02}" for number in range(12)]
SECOND = 1_000_000
NOW = time.time_ns() // 1_000 - 600 * SECOND
"""The latest of the first records was received then; each a second after the one before."""
TELEMETRY, EVENTS = "fleet.telemetry", "fleet.device-events"


def upload(chance: random.Random, number: int) -> tuple[str, dict[str, Any]]:
    """A record that came late, or early by a fast clock, or twice."""
    received = NOW - (400 - number) * SECOND
    occurred = received + chance.choice([-100 * SECOND, -SECOND, 0, 3_600 * SECOND])
    about = {"event_id": f"01985c07-4a00-7000-8000-{number:012}", "device_id": chance.choice(DEVICES), "boot_id": "b"}
    both = {**about, "sequence": number, "occurred_at": occurred, "received_at": received}
    if chance.random() < 0.3:
        return EVENTS, {**both, "event_type": "meteor", "confidence": 0.5, "metadata": "{}", "media_files": []}
    reading = {"metric": "temperature", "at": occurred, "value": float(number), "unit": "Cel"}
    return TELEMETRY, {**both, "readings": [reading] * chance.randint(1, 2)}


class Done(NamedTuple):
    """What a command ended with."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class World:
    stack: Stack

    def write(self, first: int, last: int) -> None:
        chance, registry = random.Random(first), ConfluentRegistry(self.stack.settings.registry)
        producer = Producer({"bootstrap.servers": self.stack.settings.kafka, "partitioner": "murmur2_random"})
        for number in range(first, last):
            topic, values = upload(chance, number)
            declared = CONTRACT.topics[topic]
            number_of = registry.register(declared.subject(declared.record), declared.record.schema)
            value = prefix(number_of) + encode(declared.record, values)
            for _ in range(chance.choice([1, 1, 1, 2])):
                producer.produce(topic, value, values["device_id"].encode())
        assert producer.flush(30) == 0

    def records(self) -> list[tuple[TopicPartition, int, dict[str, Any]]]:
        """The log, read record by record without what is tested."""
        log = KafkaLog(self.stack.settings.kafka)
        try:
            return [
                (source, offset, plain(source.topic, value))
                for source, (low, end) in log.bounds([TELEMETRY, EVENTS]).items()
                for batch in log.read(source, low, end)
                for offset, value in zip(batch.offsets, batch.values, strict=True)
                if value is not None
            ]
        finally:
            log.close()

    def expected(self, moment: Moment) -> dict[str, dict[str, str]]:
        state: dict[str, dict[str, str]] = {}
        for source, offset, record in self.records():
            if counts(record, moment):
                document = state.setdefault(record["device_id"], {})
                document.update(changes(document, device_state.updates(*source, offset, record)))
        return state

    def run(self, *arguments: str) -> Done:
        out, err = io.StringIO(), io.StringIO()
        environment = child_environment(self.stack.settings.environment())
        with patch.dict(os.environ, environment, clear=True), redirect_stdout(out), redirect_stderr(err):
            return Done(main(arguments), out.getvalue(), err.getvalue())

    def get(self, view: str, **given: Any) -> httpx.Response:
        url = f"{self.stack.settings.ingress}/v1/views/{view}/as-of"
        return httpx.get(url, params=given, headers={"X-API-Key": api_key(self.stack.settings)}, timeout=60)

    def pages(self, view: str, kind: str, **given: Any) -> list[dict[str, Any]]:
        answer = self.get(view, **given).raise_for_status().json()
        found = list(answer[kind])
        while answer["next"]:
            url = self.stack.settings.ingress + answer["next"]
            answer = (
                httpx.get(url, headers={"X-API-Key": api_key(self.stack.settings)}, timeout=60).raise_for_status().json()
            )
            found += answer[kind]
        return found


def plain(topic: str, value: bytes) -> dict[str, Any]:
    schema = parsed(CONTRACT.topics[topic].record.schema)
    found = fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), schema, None)
    assert isinstance(found, dict)
    return found


def counts(record: dict[str, Any], moment: Moment) -> bool:
    received = record["received_at"]
    return bool(min(record["occurred_at"], received) <= moment.at and received <= moment.known)


def described(state: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    return [
        {"key": key, "hash": document_leaf(key, state[key]).hex(), "fields": payloads(state[key])} for key in sorted(state)
    ]


@pytest.fixture(scope="module")
def world(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with shared_stack.lend(tmp_path_factory.mktemp("as-of"), only=SERVICES) as stack:
        for view in CATALOGUE:  # as a worker does
            store = compose.store(stack.settings, view)
            store.prepare(1)
            store.close()
        made = World(stack)
        made.write(0, 250)
        assert made.run("snapshot", "make", "--all").returncode == 0
        made.write(250, 300)
        assert made.run("snapshot", "make", "device_state").returncode == 0
        made.write(300, 400)
        yield made


MOMENTS = [
    Moment(NOW, NOW),
    Moment(NOW - 120 * SECOND, NOW),
    Moment(NOW - 120 * SECOND, NOW - 110 * SECOND),
    Moment(NOW - 200 * SECOND, NOW - 145 * SECOND),
    Moment(NOW - 380 * SECOND, NOW),
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_http_says_what_the_log_implies(world: World, moment: Moment) -> None:
    expected = world.expected(moment)
    assert len(expected) > 3
    times = {"at": text(moment.at), "known_at": text(moment.known)}
    assert world.pages("device_state", "documents", limit=5, **times) == described(expected)
    for device in DEVICES[:3]:
        answer = world.get("device_state", key=device, **times)
        if device in expected:
            assert {name: answer.json()[name] for name in ("key", "hash", "fields")} == described(expected)[
                sorted(expected).index(device)
            ]
            assert answer.json()["unusable"] == []
        else:
            assert answer.json()["code"] == "NOTHING_KNOWN"


def test_rows_are_those_of_the_records_that_count(world: World) -> None:
    moment = MOMENTS[2]
    times = {"at": text(moment.at), "known_at": text(moment.known)}
    expected = [
        (source.partition, offset, place)
        for source, offset, record in world.records()
        if source.topic == TELEMETRY and counts(record, moment)
        for place in range(len(record["readings"]))
    ]
    rows = world.pages("telemetry", "rows", limit=20, **times)
    assert [(row["partition"], row["offset"], row["reading"]) for row in rows] == expected
    one = [row for row in rows if row["device_id"] == DEVICES[0]]
    assert world.pages("telemetry", "rows", key=DEVICES[0], **times) == one
    done = world.run("as-of", times["at"], "--known-at", times["known_at"], "--view", "telemetry", "--device", DEVICES[0])
    assert [json.loads(line) for line in done.stdout.splitlines()] == one


def test_the_command_says_the_same(world: World) -> None:
    moment = MOMENTS[1]
    expected = described(world.expected(moment))
    times = (text(moment.at), "--known-at", text(moment.known))
    done = world.run("as-of", *times, "--json")
    assert (done.returncode, [json.loads(line) for line in done.stdout.splitlines()]) == (0, expected), done.stderr
    one = world.run("projection", "as-of", "device_state", *times, "--device", expected[0]["key"], "--json")
    assert json.loads(one.stdout)["hash"] == expected[0]["hash"], one.stderr
    assert (
        f"device_state of {expected[0]['key']} at {times[0]}"
        in world.run("as-of", *times, "--key", expected[0]["key"]).stdout
    )


def test_what_can_not_be_asked_says_why(world: World) -> None:
    for arguments, code, words in (
        (("as-of", "-1h", "--view", "nope"), 2, "no view is named 'nope'"),
        (("as-of", "2100-01-01"), 2, "TIME: 2100-01-01 is in the future"),
        (("as-of", "1999-12-31"), 1, "is before the log of device_state begins, at 20"),
        (("as-of", "now", "--device", "nobody"), 1, "device_state has nothing of nobody at"),
        (("snapshot", "make", "telemetry"), 2, "telemetry is a view of rows; snapshots are of device_state"),
        (("snapshot", "drop", "device_state", "77"), 1, "device_state has no snapshot 77"),
    ):
        done = world.run(*arguments)
        assert (done.returncode, done.stdout) == (code, "")
        assert words in done.stderr
    answer = world.get("device_state", at="1999-12-31")
    assert (answer.status_code, answer.json()["code"]) == (404, "BEFORE_THE_LOG")
    answer = world.get("telemetry", at="-1h", after="nowhere")
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_QUERY")


def test_a_damaged_snapshot_is_named_and_not_used(world: World) -> None:
    moment = MOMENTS[0]
    expected = described(world.expected(moment))
    files = sorted((world.stack.settings.data / "snapshots" / "device_state").glob("*.snapshot"))
    whole = files[-1].read_bytes()
    times = (text(moment.at), "--known-at", text(moment.known))
    try:
        files[-1].write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        done = world.run("as-of", *times, "--json")
        assert [json.loads(line) for line in done.stdout.splitlines()] == expected
        assert f"a snapshot is not used: {files[-1]}: is damaged in its index" in done.stderr
        listed = world.run("snapshot", "list", "--json")
        assert listed.returncode == 1
        assert json.loads(listed.stdout)["damaged"] == [f"{files[-1]}: is damaged in its index (SHA-256 differs)"]
        answer = world.get("device_state", at=times[0], known_at=times[2], key=expected[0]["key"]).json()
        assert (answer["hash"], answer["snapshot"], len(answer["unusable"])) == (expected[0]["hash"], 1, 1)
    finally:
        files[-1].write_bytes(whole)
    listed = world.run("snapshot", "list", "device_state", "--json")
    assert [one["number"] for one in json.loads(listed.stdout)["snapshots"]] == [2, 1]
