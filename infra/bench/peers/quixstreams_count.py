"""quixstreams: a count of records by device in its state store (RocksDB on disk).

Its changelog topics are off, as the contestant beside it writes no changelog either; that makes it faster. Two forms are
run: the count alone, which leaves the values as bytes, and one that decodes every value from Avro as fleetlog does.
"""

import io
from typing import Any

import fastavro
from quixstreams import Application, State
from quixstreams.models import Deserializer, SerializationContext

from infra.bench.peers.result import Stopwatch, Task, fresh_group
from infra.bench.topic import TOPIC
from schemas import contract as contracts
from schemas.codec import parsed
from schemas.wire import PREFIX_BYTES


class TelemetryDeserializer(Deserializer):  # type: ignore[misc]
    """Reads the Avro body behind the Confluent frame, without making datetimes and UUIDs, which a count does not need."""

    def __init__(self) -> None:
        super().__init__()
        self._schema = parsed(contracts.load().topics[TOPIC].record.schema)

    def __call__(self, value: bytes, ctx: SerializationContext) -> Any:
        return fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), self._schema, None)


def run(value_deserializer: str | Deserializer) -> None:
    """Be the contestant, reading values with `value_deserializer` ("bytes" leaves them alone)."""
    task, watch = Task.of_command_line(), Stopwatch()
    app = Application(
        broker_address=task.servers,
        consumer_group=fresh_group("quixstreams-count"),
        auto_offset_reset="earliest",
        state_dir=task.directory,
        use_changelog_topics=False,
        consumer_extra_config={"fetch.queue.backoff.ms": 10, "queued.min.messages": 200_000},
        loglevel="WARNING",
    )
    seen = 0

    def count(value: Any, state: State) -> int:
        nonlocal seen
        if not seen:
            watch.start(before=1)
        counted: int = state.get("count", 0) + 1
        state.set("count", counted)
        seen += 1
        if seen == task.records:
            watch.finish(seen)
        return counted

    frame = app.dataframe(app.topic(TOPIC, key_deserializer="str", value_deserializer=value_deserializer))
    frame.apply(count, stateful=True)
    app.run()


if __name__ == "__main__":
    run("bytes")
