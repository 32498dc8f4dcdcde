"""Produce requests with an idempotency key, and what the log holds of them."""

import json
from collections import Counter
from typing import Any

import httpx

from connectors.memory import MemoryLog
from connectors.traces import MARK
from schemas.contract import load
from schemas.log import TopicPartition
from tests.connectors.ingress.fake_traces import TracedLog
from tests.connectors.ingress.served import PARTITIONS, Served

JSON_V2 = "application/vnd.kafka.json.v2+json"
PATH = "/topics/free"


def new_log() -> TracedLog:
    return TracedLog(dict.fromkeys([*load().topics, "free"], PARTITIONS))


def body_of(values: list[Any]) -> bytes:
    """A request whose records go round the partitions."""
    records = [{"value": value, "partition": i % PARTITIONS} for i, value in enumerate(values)]
    return json.dumps({"records": records}).encode()


def post(served: Served, key: str, values: list[Any], path: str = PATH, **more: Any) -> httpx.Response:
    headers = {"Content-Type": JSON_V2, "Idempotency-Key": key}
    return served.client.post(path, content=body_of(values), headers=headers, **more)


def replayed(answer: httpx.Response) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


def content(log: MemoryLog, topic: str = "free") -> dict[tuple[int, int], Any]:
    """The values of a topic by partition and offset."""
    return {
        (source.partition, offset): json.loads(value or b"null")
        for source, (low, high) in log.bounds([topic]).items()
        for batch in log.read(source, low, high)
        for offset, value in zip(batch.offsets, batch.values, strict=True)
    }


def counted(log: MemoryLog) -> Counter[Any]:
    return Counter(content(log).values())


def check_positions(log: MemoryLog, answer: httpx.Response, values: list[Any]) -> None:
    """Each record of the request is where the answer says."""
    held = content(log)
    told = [(one["partition"], one["offset"]) for one in answer.json()["offsets"]]
    assert [held[place] for place in told] == values


def marks(served: Served) -> list[bytes | None]:
    return [dict(sent.headers).get(MARK) for sent in served.producer.sent if sent.topic == "free"]


def requests_facts(log: MemoryLog) -> int:
    """How many facts on requests the log holds."""
    return sum(high - low for low, high in log.bounds(["fleet.rest.requests"]).values())


def source(partition: int, topic: str = "free") -> TopicPartition:
    return TopicPartition(topic, partition)
