"""bytewax: a count of records by device in a stateful map, one worker. Two forms are run: the count alone, which leaves the
values as bytes, and one that decodes every value from Avro as fleetlog does."""

import io
from collections.abc import Callable
from typing import Any

import bytewax.operators as op
import fastavro
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.run import cli_main

from infra.bench.peers.result import Stopwatch, Task
from infra.bench.topic import TOPIC
from schemas import contract as contracts
from schemas.codec import parsed
from schemas.wire import PREFIX_BYTES


class _Counting(StatelessSinkPartition[Any]):  # type: ignore[misc]
    """Counts what comes out of the dataflow, and ends the process at the last record."""

    def __init__(self, records: int) -> None:
        self._records, self._seen, self._watch = records, 0, Stopwatch()

    def write_batch(self, items: list[Any]) -> None:
        if not self._seen:
            self._watch.start(before=len(items))
        self._seen += len(items)
        if self._seen >= self._records:
            self._watch.finish(self._seen)


class _Sink(DynamicSink[Any]):  # type: ignore[misc]
    def __init__(self, records: int) -> None:
        self._records = records

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Counting:
        return _Counting(self._records)


Message = Any  # a KafkaSourceMessage; bytewax has no types that a checker sees


def _device(message: Message) -> str:
    return str(message.key, "utf-8")


def _count(counted: int | None, value: Any) -> tuple[int, int]:
    following = (counted or 0) + 1
    return following, following


def decoding() -> Callable[[Message], Any]:
    """A function that decodes a message's value."""
    schema = parsed(contracts.load().topics[TOPIC].record.schema)
    return lambda message: fastavro.schemaless_reader(io.BytesIO(message.value[PREFIX_BYTES:]), schema, None)


def run(decode: Callable[[Message], Any] | None = None) -> None:
    """Be the contestant, with or without decoding."""
    task = Task.of_command_line()
    flow = Dataflow("count")
    read = kafka.input(
        "read",
        flow,
        brokers=[task.servers],
        topics=[TOPIC],
        add_config={"fetch.queue.backoff.ms": "10", "queued.min.messages": "200000"},
    )
    keyed = op.key_on("device", read.oks, _device)
    values = keyed if decode is None else op.map_value("decode", keyed, decode)
    op.output("out", op.stateful_map("count", values, _count), _Sink(task.records))
    cli_main(flow)


if __name__ == "__main__":
    run()
