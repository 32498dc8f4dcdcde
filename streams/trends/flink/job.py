"""The trends job as data: what it is told of Kafka, the registry and the contract, as SQL and settings of Flink.

It is data so that what submits it (streams/trends/flink/run.py) needs nothing of this project where Flink runs.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.trends.flink.sql import ALL_AT_ONCE, AS_IT_COMES, TELEMETRY_COLUMNS, TRENDS_COLUMNS, Pace, views

NAME = "trends"
SOURCE, SINK = "fleet.telemetry", "fleet.trends"
TRANSACTION_MILLISECONDS = 600_000  # below the broker's maximum, by default 15 minutes


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job reads and writes. `bounded`: it ends at what the topic holds when it begins."""

    kafka: str
    registry: str
    bounded: bool = False


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
    statements = (telemetry(place), sink(place, schema), *views(pace), f"INSERT INTO trends {RESULT}")
    configuration = {
        "pipeline.name": NAME,
        "table.local-time-zone": "UTC",
        "table.exec.state.ttl": f"{round(state_hours * 3600)} s",
        # Running sums follow the order of records: no operator may be rearranged at a restart by another way to write it.
        "table.exec.uid.generation": "ALWAYS",
    }
    return Job(NAME, statements, configuration)


RESULT = """SELECT device_id, metric, `window`, `start`, `end`, `count`, low, high, mean, stddev, `first`, `last`, slope, r2,
  late, set_aside, revision, received_at FROM rows_of_trends"""


def telemetry(place: Place) -> str:
    """The table `telemetry`."""
    options = {
        "connector": "kafka",
        "topic": SOURCE,
        "properties.bootstrap.servers": place.kafka,
        "properties.group.id": NAME,
        "properties.isolation.level": "read_committed",
        "scan.startup.mode": "earliest-offset",
        "value.format": "avro-confluent",
        "value.avro-confluent.url": place.registry,
    }
    if place.bounded:
        options["scan.bounded.mode"] = "latest-offset"
    tick = ALL_AT_ONCE if place.bounded else AS_IT_COMES
    return f"CREATE TEMPORARY TABLE telemetry ({TELEMETRY_COLUMNS}, {tick}) WITH ({listed(options)})"


def sink(place: Place, schema: Mapping[str, Any]) -> str:
    """The table `trends`: records become visible with the checkpoint that covers them."""
    options = {
        "connector": "kafka",
        "topic": SINK,
        "properties.bootstrap.servers": place.kafka,
        "properties.transaction.timeout.ms": str(TRANSACTION_MILLISECONDS),
        "properties.compression.type": "lz4",
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": f"flink-{NAME}",
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
