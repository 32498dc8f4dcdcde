"""One contestant of the bench of rebuilds, in a process of its own: `python -m infra.bench.peers.rebuilding KIND [VIEW
PROCESSES]`, with the stack's settings in the environment. Prints JSON: records, seconds, seconds of CPU (of its child
processes too), and the most memory that one process had, in megabytes."""

import io
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import fastavro
from confluent_kafka import Consumer, Message
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.process import seldom_collecting
from infra import compose
from infra.bench.topic import TOPIC
from infra.rebuilds import Rebuilds
from infra.settings import Settings, load
from projections.catalogue import find
from schemas import contract as contracts
from schemas.codec import parsed
from schemas.wire import PREFIX_BYTES

FEW = 60_000
"""Records that the fold of single records gets: all would take minutes, and its rate is the same all the way."""


AT_ONCE = 1_000
"""Messages asked of the client at once: of 20,000 at once each costs it one and a half times as much, or more."""


def consumed(settings: Settings, most: int | None = None) -> Iterator[list[Message]]:
    """The topic's records as librdkafka hands them over."""
    log = compose.log_reader(settings)
    bounds = log.bounds([TOPIC])
    log.close()
    left = min(most or sys.maxsize, sum(end for _, end in bounds.values()))
    options = {"bootstrap.servers": settings.kafka, "group.id": "bench-rebuild", "enable.auto.commit": False}
    consumer = Consumer({**options, "fetch.queue.backoff.ms": 10, "queued.max.messages.kbytes": 65_536})
    consumer.assign([KafkaPartition(source.topic, source.partition, 0) for source in bounds])
    while left > 0:
        messages = consumer.consume(min(left, AT_ONCE), 0.1)
        left -= len(messages)
        yield messages
    consumer.close()


def bare(settings: Settings) -> int:
    """Nothing is done with the records."""
    return sum(len(messages) for messages in consumed(settings))


@seldom_collecting()
def barest(settings: Settings) -> int:
    """As `bare`, with Python's collector kept from the messages, as a rebuild keeps it."""
    return bare(settings)


def per_record(settings: Settings) -> int:
    """Each record is decoded by fastavro, with the schema as it is, and folded by itself into a dict."""
    return _singly(settings, fastavro.parse_schema(contracts.load().topics[TOPIC].record.schema))


def per_record_plain(settings: Settings) -> int:
    """The same with the schema without its logical types: times are integers, as a rebuild has them."""
    return _singly(settings, parsed(contracts.load().topics[TOPIC].record.schema))


def _singly(settings: Settings, schema: Any) -> int:
    devices: dict[str, dict[str, Any]] = {}
    records = 0
    for messages in consumed(settings, FEW):
        for message in messages:
            record = fastavro.schemaless_reader(io.BytesIO(message.value()[PREFIX_BYTES:]), schema)
            folded(devices, message.partition(), message.offset(), record)
        records += len(messages)
    return records


def folded(devices: dict[str, dict[str, Any]], partition: int, offset: int, record: Mapping[str, Any]) -> None:
    """What `device_state` knows of a device after a record of telemetry, as one writes it who needs no other view: plain
    values in dicts, no text, no hashes, no proof that the record is canonical, nothing stored."""
    received = record["received_at"]
    device = devices.get(record["device_id"])
    if device is None:
        device = devices[record["device_id"]] = {"telemetry": 0, "readings": 0, "last": None, "metrics": {}, "positions": {}}
    device["telemetry"] += 1
    device["readings"] += len(record["readings"])
    last = (received, partition, offset)
    if device["last"] is None or last > device["last"]:
        device["last"], device["skew"] = last, received - record["occurred_at"]
    device["positions"][partition] = offset
    metrics = device["metrics"]
    for place, reading in enumerate(record["readings"]):
        order = (min(reading["at"], received), partition, offset, place)
        newest = metrics.get(reading["metric"])
        if newest is None or order > newest[0]:
            metrics[reading["metric"]] = order, reading["value"], reading["unit"], reading["at"], received


def rebuilt(settings: Settings, view: str, processes: int) -> int:
    """A version of a view, made ready; it stays beside the live one."""
    with Rebuilds(settings, find(view), processes) as rebuilds:
        version = rebuilds.rebuild(lambda progress: None)
    return int(version.facts["records"])


PEERS = {"bare": bare, "barest": barest, "per_record": per_record, "per_record_plain": per_record_plain}


def measured(work: Callable[[], int]) -> dict[str, float]:
    began, cpu = time.perf_counter(), _cpu()
    records = work()
    seconds, cpu = time.perf_counter() - began, _cpu() - cpu
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"records": records, "seconds": seconds, "cpu": cpu, "megabytes": most * 1024 / 1e6}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    settings, kind = load(), sys.argv[1]
    if kind == "rebuild":
        view, processes = sys.argv[2], int(sys.argv[3])
        figures = measured(lambda: rebuilt(settings, view, processes))
    else:
        figures = measured(lambda: PEERS[kind](settings))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
