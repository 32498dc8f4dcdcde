"""What the snippets meet: a running stack with some uploads on it, and a reader of its own that knows what is on a topic."""

import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import httpx
from confluent_kafka import Consumer, KafkaException, TopicPartition

from infra.settings import Settings
from infra.stack.harness import running_stack

KEY = "a-key-of-tests-0123456789"
SERVICES = ("broker", "clickhouse", "registry", "topics", "schemas", "ingress")
MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AT = "2026-05-01T12:00:00.000250Z"
MICROS = 1_777_636_800_000_250  # the same moment


@dataclass(frozen=True)
class Upload:
    """An upload of telemetry, and where the ingress says that it is."""

    partition: int
    offset: int
    record: dict[str, Any]  # all fields but received_at; times in microseconds

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Position, boot id, sequence and one of its readings."""
        return [
            (self.partition, self.offset, self.record["boot_id"], self.record["sequence"], *reading.values())
            for reading in self.record["readings"]
        ]


@dataclass(frozen=True)
class Written:
    """A record on a topic, its value decoded if it is Avro."""

    partition: int
    key: bytes | None
    value: Any
    headers: list[tuple[str, bytes]]


@dataclass(frozen=True)
class Fleet:
    settings: Settings
    uploads: list[Upload]
    directory: Path

    def local(self, text: str) -> str:
        """A snippet with this stack's addresses in the place of the default ones, which may be taken."""
        usual = Settings()
        for name in ("registry", "ingress", "kafka"):
            text = text.replace(getattr(usual, name), getattr(self.settings, name))
        return text

    def wait_for(self, topic: str) -> None:
        """Until every partition of a topic that was just made has its leader."""
        until = time.monotonic() + 20
        while True:
            try:
                self.end(topic)
            except KafkaException:
                assert time.monotonic() < until
                time.sleep(0.1)
            else:
                return

    def end(self, topic: str) -> dict[int, int]:
        with _consumer(self.settings) as consumer:
            return {one.partition: consumer.get_watermark_offsets(one, 20)[1] for one in _partitions(consumer, topic)}

    def written(self, topic: str, since: dict[int, int]) -> list[Written]:
        """All records of a topic from the given offsets on."""
        with _consumer(self.settings) as consumer:
            places = _partitions(consumer, topic)
            count = sum(consumer.get_watermark_offsets(one, 20)[1] - since[one.partition] for one in places)
            consumer.assign([TopicPartition(topic, number, offset) for number, offset in since.items()])
            found: list[Written] = []
            until = time.monotonic() + 20
            while len(found) < count:
                assert time.monotonic() < until
                for message in consumer.consume(count, 0.2):
                    assert message.error() is None
                    value = self._decoded(message.value())
                    found.append(Written(message.partition(), message.key(), value, message.headers() or []))
        return found

    def _decoded(self, value: bytes) -> Any:
        if value[:1] != b"\0":
            return value
        answer = httpx.get(f"{self.settings.registry}/schemas/ids/{int.from_bytes(value[1:5], 'big')}", timeout=20)
        schema = fastavro.parse_schema(json.loads(answer.raise_for_status().json()["schema"]))
        return fastavro.schemaless_reader(io.BytesIO(value[5:]), schema)

    def versions(self, subject: str) -> list[int]:
        return list(httpx.get(f"{self.settings.registry}/subjects/{subject}/versions", timeout=20).raise_for_status().json())


@contextmanager
def running_fleet(directory: Path, rest_topics: str) -> Iterator[Fleet]:
    settings = Settings(api_key=KEY, rest_topics=rest_topics)
    with running_stack(directory / "stack", only=SERVICES, settings=settings) as stack:
        home = directory / "home"
        (home / ".fleetlog").mkdir(parents=True)
        (home / ".fleetlog" / "api-key").write_text(KEY)
        uploads = [upload(stack.settings, f"buoy-{number % 4}", number) for number in range(12)]
        yield Fleet(stack.settings, uploads, home)


def upload(settings: Settings, device: str, sequence: int) -> Upload:
    readings = [
        {"metric": "sea_temperature", "at": AT, "value": 16.1 + sequence, "unit": "Cel"},
        {"metric": "battery/voltage", "at": AT, "value": -0.5 * sequence, "unit": None},
    ]
    body = {"occurred_at": AT, "boot_id": "b7d41e02", "sequence": sequence, "readings": readings[: 1 + sequence % 2]}
    url = f"{settings.ingress}/v1/devices/{device}/telemetry"
    told = httpx.post(url, json=body, headers={"X-API-Key": KEY}, timeout=20).raise_for_status().json()
    record = in_micros(body) | {"event_id": told["event_id"], "device_id": device}
    return Upload(told["partition"], told["offset"], record)


def in_micros(record: dict[str, Any]) -> dict[str, Any]:
    """A record whose times are microseconds since 1970: clients give them as such, or as text of a moment."""
    readings = [reading | {"at": micros(reading["at"])} for reading in record["readings"]]
    return record | {"occurred_at": micros(record["occurred_at"]), "readings": readings}


def micros(moment: int | str) -> int:
    return moment if isinstance(moment, int) else (datetime.fromisoformat(moment) - EPOCH) // MICROSECOND


@contextmanager
def _consumer(settings: Settings) -> Iterator[Consumer]:
    name = f"test-{os.getpid()}"
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": name, "enable.auto.commit": False})
    try:
        yield consumer
    finally:
        consumer.close()


def _partitions(consumer: Consumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in consumer.list_topics(topic, 20).topics[topic].partitions]
