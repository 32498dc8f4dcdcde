"""A stock Faust agent: Faust's own Kafka client, an Avro codec, a count of readings by device in a dictionary."""

import io
from collections import defaultdict
from typing import Any

import fastavro
import faust
from faust.serializers import codecs
from faust.types import StreamT

from infra.bench.peers.result import Stopwatch, Task, fresh_group
from infra.bench.topic import TOPIC
from schemas import contract as contracts
from schemas.codec import parsed
from schemas.wire import PREFIX_BYTES


class TelemetryCodec(codecs.Codec):  # type: ignore[misc]
    """Reads the Avro body behind the Confluent frame, without making datetimes and UUIDs, which a count does not need."""

    def __init__(self) -> None:
        super().__init__()
        self._schema = parsed(contracts.load().topics[TOPIC].record.schema)

    def _loads(self, value: bytes) -> Any:
        return fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), self._schema, None)


def main() -> None:
    task, watch = Task.of_command_line(), Stopwatch()
    codecs.register("telemetry", TelemetryCodec())
    app = faust.App(
        fresh_group("faust-agent"),
        broker=f"kafka://{task.servers}",
        datadir=task.directory,
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=1,
    )
    topic = app.topic(TOPIC, key_serializer="raw", value_serializer="telemetry")
    readings: dict[str, int] = defaultdict(int)

    async def count(stream: StreamT[Any]) -> None:
        seen = 0
        async for record in stream:
            if not seen:
                watch.start(before=1)
            readings[record["device_id"]] += len(record["readings"])
            seen += 1
            if seen == task.records:
                watch.finish(seen, devices=len(readings), readings=sum(readings.values()))

    app.agent(topic, name="count")(count)
    faust.Worker(app, loglevel="WARNING", override_logging=False, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
