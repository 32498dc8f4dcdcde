"""The trends job as data: what it is told of Kafka, the registry and the contract, as SQL and settings of Flink.

It is data so that what submits it (streams/trends/flink/run.py) needs nothing of this project where Flink runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.trends.flink.sql import ALL_AT_ONCE, AS_IT_COMES, TELEMETRY_COLUMNS, TRENDS_COLUMNS, Pace, views

NAME, BACKFILL = "trends", "trends-backfill"
SOURCE, SINK = "fleet.telemetry", "fleet.trends"
SLACK = 3_600_000_000  # microseconds by which the broker's clock may be behind the ingress's
TRANSACTION_MILLISECONDS = 600_000  # below the broker's maximum, by default 15 minutes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job reads and writes."""

    kafka: str
    registry: str


@dataclass(frozen=True, slots=True)
class Span:
    """A time, [since, until), in microseconds since 1970."""

    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Job:
    """`statements` of SQL, of which the last is an INSERT; `configuration`: settings of Flink."""

    name: str
    statements: tuple[str, ...]
    configuration: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """As run.py reads it."""
        return json.dumps({"configuration": dict(self.configuration), "statements": self.statements}, indent=1)


def trends(place: Place, schema: Mapping[str, Any], pace: Pace, state_hours: float) -> Job:
    """The job that writes fleet.trends; `schema` is that of its records.

    `state_hours`: the sums of a window are kept for so long after they last changed. What comes later begins anew, at
    revision 0.
    """
    statements = (telemetry(place, NAME), sink(place, schema, NAME), *views(pace), f"INSERT INTO trends {RESULT}")
    return Job(NAME, statements, _configuration(NAME) | {"table.exec.state.ttl": f"{round(state_hours * 3600)} s"})


def backfill(place: Place, schema: Mapping[str, Any], span: Span) -> Job:
    """The job that writes the windows within `span` once more, as one batch of all that the topic holds when it begins.

    It ends by itself. It keeps its sums in files (RocksDB), and is not begun again where it fails.
    """
    within = f"WHERE `start` >= {span.since} AND `end` <= {span.until}"
    statements = (telemetry(place, BACKFILL, span), sink(place, schema, BACKFILL), *views(Pace()))
    configuration = {"state.backend.type": "rocksdb", "restart-strategy.type": "none"}
    return Job(BACKFILL, (*statements, f"INSERT INTO trends {RESULT} {within}"), _configuration(BACKFILL) | configuration)


def _configuration(name: str) -> dict[str, str]:
    return {
        "pipeline.name": name,
        "table.local-time-zone": "UTC",
        # Running sums follow the order of records: no operator may be rearranged at a restart by another way to write it.
        "table.exec.uid.generation": "ALWAYS",
    }


RESULT = """SELECT device_id, metric, `window`, `start`, `end`, `count`, low, high, mean, stddev, `first`, `last`, slope, r2,
  late, set_aside, revision, received_at FROM rows_of_trends"""


def telemetry(place: Place, group: str, span: Span | None = None) -> str:
    """The table `telemetry`. With a span it ends where the topic ends when the job begins."""
    options = {
        "connector": "kafka",
        "topic": SOURCE,
        "properties.bootstrap.servers": place.kafka,
        "properties.group.id": group,
        "properties.isolation.level": "read_committed",
        "scan.startup.mode": "earliest-offset",
        "value.format": "avro-confluent",
        "value.avro-confluent.url": place.registry,
    }
    if span:
        options["scan.bounded.mode"] = "latest-offset"
    if span and span.since > SLACK:  # a reading is written after it was taken
        options |= {"scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": str((span.since - SLACK) // 1000)}
    tick = ALL_AT_ONCE if span else AS_IT_COMES
    return f"CREATE TEMPORARY TABLE telemetry ({TELEMETRY_COLUMNS}, {tick}) WITH ({listed(options)})"


def sink(place: Place, schema: Mapping[str, Any], writer: str) -> str:
    """The table `trends`: records become visible with the checkpoint that covers them."""
    options = {
        "connector": "kafka",
        "topic": SINK,
        "properties.bootstrap.servers": place.kafka,
        "properties.transaction.timeout.ms": str(TRANSACTION_MILLISECONDS),
        "properties.compression.type": "lz4",
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": f"flink-{writer}",
        "key.format": "raw",
        "key.fields": "device_id",
        "value.fields-include": "ALL",
        "value.format": "avro-confluent",
        "value.avro-confluent.url": place.registry,
        "value.avro-confluent.subject": f"{SINK}-value",
        "value.avro-confluent.schema": json.dumps(schema),  # or Flink names the record after itself
    }
    return f"CREATE TEMPORARY TABLE trends ({TRENDS_COLUMNS}) WITH ({listed(options)})"


def listed(options: Mapping[str, str]) -> str:
    return ", ".join("'{}' = '{}'".format(name, text.replace("'", "''")) for name, text in options.items())
