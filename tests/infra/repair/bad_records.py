"""A running stack into whose topics records are written, good ones and bad ones, and the commands that look after them."""

import contextlib
import io
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID, uuid5

from confluent_kafka import Producer

from infra import compose
from infra.cli.main import parser
from infra.stack.harness import Stack
from projections.catalogue import find
from schemas import contract as contracts
from schemas.codec import encode
from schemas.wire import prefix

CONTRACT = contracts.load()
NOW = 1_790_000_000_000_000
TELEMETRY = "fleet.telemetry"


class Said:
    """How a command ended, and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        assert self.code in (0, 1), self.out + self.err
        return json.loads(self.out)


def fleetlog(stack: Stack, *arguments: str) -> Said:
    """Run a command in this process."""
    options = parser().parse_args(arguments)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = int(options.run(options, stack.settings))
    return Said(code, out.getvalue(), err.getvalue())


def done(stack: Stack, *arguments: str) -> Any:
    """What a command says as JSON that must succeed."""
    said = fleetlog(stack, *arguments, "--json")
    assert said.code == 0, said.out + said.err
    return said.json


def telemetry(device: str, number: int, value: float = 20.0, **more: Any) -> dict[str, Any]:
    """The values of a record of one reading."""
    reading = {"metric": "temperature", "at": NOW + number, "value": value, "unit": "Cel"}
    return {
        "event_id": str(uuid5(UUID(int=1), f"{device}:{number}")),
        "device_id": device,
        "occurred_at": NOW + number,
        "received_at": NOW + number,
        "boot_id": "boot",
        "sequence": number,
        "readings": [reading],
        **more,
    }


class Writer:
    """Writes to one partition of a topic of one record type."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._registry = compose.registry(stack.settings)
        self._producer = Producer({"bootstrap.servers": stack.settings.kafka, "enable.idempotence": True, "linger.ms": 0})

    def framed(self, values: Mapping[str, Any], topic: str = TELEMETRY) -> bytes:
        declared = CONTRACT.topics[topic]
        number = self._registry.register(declared.subject(declared.record), declared.record.schema)
        return prefix(number) + encode(declared.record, values)

    def write(self, value: bytes | None, key: str, topic: str = TELEMETRY, partition: int = 0) -> str:
        """Returns TOPIC:PARTITION:OFFSET."""
        offsets: list[int] = []
        self._producer.produce(
            topic, value, key.encode(), partition=partition, on_delivery=lambda _, message: offsets.append(message.offset())
        )
        assert self._producer.flush(20) == 0
        return f"{topic}:{partition}:{offsets[0]}"


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.05)
    return found


def caught_up(stack: Stack, *views: str) -> None:
    """Wait until views have folded all that is in their topics now."""
    log = compose.log_reader(stack.settings)
    for view in views:
        store = compose.store(stack.settings, find(view))
        ends = {source: end for source, (_, end) in log.bounds(find(view).topics).items() if end}
        until(lambda s=store, e=ends: all(s.positions(s.live()).get(source, 0) >= end for source, end in e.items()))
        store.close()
    log.close()


def document(stack: Stack, key: str) -> dict[str, str]:
    store: Any = compose.store(stack.settings, find("device_state"))
    (loaded,) = store.load(store.live(), [key])
    store.close()
    return dict(loaded.document)


def rows(stack: Stack, device: str) -> list[tuple[Any, ...]]:
    """Offset and value of the rows of a device that readers see."""
    from clickhouse_driver import Client

    client = Client(stack.settings.clickhouse, stack.settings.clickhouse_port, database=stack.settings.clickhouse_database)
    try:
        found = client.execute(f"SELECT offset, value FROM telemetry WHERE device_id = '{device}' ORDER BY offset, reading")
        return [tuple(row) for row in found]
    finally:
        client.disconnect()
