"""A small world for the engine: records of devices in memory, rules in polars, alerts without a life of their own.

world = World()
world.reading("dev-a", 0, temperature=120.0)
world.cut(at=1)
"""

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID, uuid5

import msgspec
import polars as pl

from connectors.memory_registry import MemoryRegistry
from connectors.whole_log import MemoryWholeLog
from schemas.alert_messages import AlertFired, AlertPending, AlertResolved, Cause
from schemas.codec import Encoder
from schemas.contract import load
from schemas.log import Batch, TopicPartition
from schemas.message_types import message_types
from schemas.messages import Command, Event, Message, Messages, TypedRecords
from schemas.record_columns import decoder_of
from schemas.rule_messages import RuleApplied
from schemas.rule_records import RulesAdvanced
from schemas.wire import prefix
from streams.rules import facts
from streams.rules.cuts import CUTS, ORDER, REGISTRATION, Cut, Span, inputs
from streams.rules.engine import Engine
from streams.rules.ports import Evaluator, Failed, Input, Moment, Place, RuleFailed, Signal, Timing, Verdicts
from streams.rules.reading import Readers, facts_of
from streams.rules.state import State
from tests.schemas.example_records import framed

SECOND = 1_000_000
START = 1_790_000_000 * SECOND
SPACE = UUID(int=7)


class ToyRule(msgspec.Struct, kw_only=True):
    """A document of tests: raised above `above`, cleared at or below `below`; of a metric, or the field of a heartbeat."""

    above: float
    below: float | None = None
    of: str = "temperature"
    input: Input = "telemetry"
    timing: Timing = Timing()
    models: tuple[str, ...] = ()
    fails: bool = False
    fails_above: float | None = None
    seconds: float = 0.0


class ToyEvaluator:
    def __init__(self, event: RuleApplied) -> None:
        try:
            self._rule = msgspec.json.decode(event.document, type=ToyRule)
        except msgspec.DecodeError as error:
            raise RuleFailed(str(error)) from None
        self.rule_id, self.version = event.rule_id, event.version
        self.input, self.timing = self._rule.input, self._rule.timing
        self.metrics: Collection[str] = [self._rule.of] if self.input == "telemetry" else []
        self.counter, self.terms = None, tuple[int, ...]()
        self._newest: dict[str, int] = {}

    def group(self, fields: Mapping[str, Any]) -> str:
        return str(fields.get("device.model", ""))

    def evaluate(self, rows: pl.DataFrame) -> Verdicts:
        if self._rule.fails:
            raise RuleFailed("told so")
        self._newest = {**self._newest, **dict(zip(rows["_key"].to_list(), rows["_at"].to_list(), strict=True))}
        name = f"metric:{self._rule.of}" if self.input == "telemetry" else self._rule.of
        column = rows[name].cast(pl.Float64) if name in rows.columns else pl.Series(name, [None] * rows.height, pl.Float64)
        below = self._rule.above if self._rule.below is None else self._rule.below
        limit = float("inf") if self._rule.fails_above is None else self._rule.fails_above
        beyond = (column > limit).arg_true()
        failed = Failed(beyond[0], "too hot to say") if len(beyond) else None
        return Verdicts(column > self._rule.above, column <= below, column, failed, self._rule.seconds)

    @property
    def everywhere(self) -> bool:
        return not self._rule.models

    def about(self, key: str, model: str | None, labels: Mapping[str, str]) -> bool:
        return not self._rule.models or model in self._rule.models

    def idle(self, key: str, at: int) -> tuple[bool | None, bool | None]:
        silent = at - self._newest.get(key, 0) >= 5 * SECOND
        return silent, not silent

    def again(self, key: str, at: int, fields: Mapping[str, Any]) -> tuple[bool | None, bool | None]:
        return None, None

    def fresh(self) -> "ToyEvaluator":
        return copy.copy(self)

    def windows(self) -> bytes:
        return msgspec.msgpack.encode(self._newest, order="deterministic")

    def restore(self, windows: bytes) -> None:
        self._newest = msgspec.msgpack.decode(windows, type=dict[str, int])


class ToyLifecycle:
    """Every signal is an event; a command counts."""

    def __init__(self) -> None:
        self.number = 0

    def signal(self, signal: Signal, evaluator: Evaluator, mode: Literal["live", "shadow"]) -> Sequence[tuple[str, Event]]:
        self.number += 1
        first = signal.first or Place("", 0, 0)
        alert = str(uuid5(SPACE, f"{signal.rule_id}/{signal.home}/{first}"))
        identity = str(uuid5(SPACE, f"{alert}/{self.number}/{signal.kind}"))
        said: dict[str, Any] = {
            "event_id": identity, "command_id": identity, "correlation_id": alert, "actor": "engine",
            "occurred_at": signal.moment.at, "received_at": signal.moment.clock, "alert_id": alert,
            "home_key": signal.home, "number": self.number, "rule_id": signal.rule_id, "rule_version": evaluator.version,
            "device_id": signal.home, "group": signal.group, "severity": "warning", "labels": "{}", "annotations": "{}",
            "value": signal.value, "mode": mode, "channels": (), "muted_by": None, "since": signal.moment.at,
            "cause": None if signal.cause is None else Cause(**signal.cause._asdict()),
        }  # fmt: skip
        if signal.kind == "pending":
            return [(signal.home, AlertPending(**said, due_at=None))]
        if signal.kind == "fired":
            return [(signal.home, AlertFired(**said))]
        return [(signal.home, AlertResolved(**said, reason=signal.reason, fired_at=None))]

    def command(self, key: str, command: Command, place: Place, moment: Moment) -> Sequence[tuple[str, Event]]:
        self.number += 1
        return []

    def rule(self, event: Event, moment: Moment) -> Sequence[tuple[str, Event]]:
        return []

    def due(self) -> int | None:
        return None

    def tick(self, moment: Moment) -> Sequence[tuple[str, Event]]:
        return []

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(self.number)

    def restore(self, data: bytes) -> None:
        self.number = msgspec.msgpack.decode(data, type=int)


class World:
    """One home partition of one: all topics have one partition here."""

    def __init__(self) -> None:
        self.contract, self.registry = load(), MemoryRegistry()
        self.counts = dict.fromkeys(self.contract.topics, 1)
        self.log = MemoryWholeLog(self.counts)
        self.taken: dict[TopicPartition, int] = {}
        self.cuts: list[Cut] = []
        self.sequences: dict[str, int] = {}
        self.codecs = {name: self._codec(name) for name in ("fleet.rules", "fleet.alerts.commands", "fleet.alerts")}
        cuts = self.contract.topics[CUTS]
        self.cut_codec = TypedRecords(cuts, [RulesAdvanced], self.registry.register, self.registry.schema)

    def _codec(self, name: str) -> Messages:
        topic = self.contract.topics[name]
        return Messages(topic, message_types(topic), self.registry.register, self.registry.schema)

    def make_state(self, partition: int = 0) -> State:
        columns = {
            name: decoder_of(self.contract.topics[name], self.registry.schema) for name in ORDER if name != "fleet.rules"
        }
        read_facts = facts_of(decoder_of(self.contract.topics[REGISTRATION], self.registry.schema, facts.RECORDS))
        return State(partition, 1, Readers(self.codecs, columns, read_facts), ToyEvaluator, ToyLifecycle())

    # --- records ------------------------------------------------------------------------------------------------------

    def send(self, topic: str, key: str, value: bytes | None, received: int = START) -> int:
        offset = self.log.append(TopicPartition(topic, 0), key.encode(), value)
        self.log.timestamps[TopicPartition(topic, 0), offset] = received // 1000
        return offset

    def message(self, topic: str, key: str, message: Message) -> int:
        return self.send(topic, key, self.codecs[topic].encode(message))

    def rule(self, rule: ToyRule, rule_id: str = "hot", version: int = 1, document: str = "") -> int:
        identity = str(uuid5(SPACE, f"{rule_id}/{version}"))
        document = document or msgspec.json.encode(rule).decode()
        return self.message(
            "fleet.rules",
            "rules",
            RuleApplied(
                command_id=identity, correlation_id=identity, actor="me", event_id=identity, occurred_at=START,
                received_at=START, rule_id=rule_id, version=version, digest=b"d" * 32, document=document, mode="live",
            ),
        )  # fmt: skip

    def record(self, topic: str, name: str, record: dict[str, Any]) -> bytes:
        kind = next(one for one in self.contract.topics[topic].records if one.name == name)
        number = self.registry.register(self.contract.topics[topic].subject(kind), kind.schema)
        return prefix(number) + Encoder(kind).encode(record)

    def reading(
        self, device: str, at: float, received: float | None = None, sequence: int | None = None, **metrics: float
    ) -> int:
        """A record with readings of one time; `at` and `received` are seconds behind START."""
        when = START + int(at * SECOND)
        heard = when if received is None else START + int(received * SECOND)
        following = self.sequences[device] = self.sequences.get(device, 0) + 1
        readings = [{"metric": name, "at": when, "value": value, "unit": None} for name, value in metrics.items()]
        record = {
            "event_id": str(uuid5(SPACE, f"{device}/{following}")), "device_id": device, "occurred_at": when,
            "received_at": heard, "boot_id": "b", "sequence": following if sequence is None else sequence,
            "readings": readings,
        }  # fmt: skip
        return self.send("fleet.telemetry", device, self.record("fleet.telemetry", "TelemetryReceived", record), heard)

    def session(self, device: str) -> int:
        """A device, of the model m, asks to be registered."""
        own = {"device_id": device, "hardware_id": f"hw-{device}", "model": "m"}
        return self.send(REGISTRATION, device, framed(self.registry.register, REGISTRATION, "SessionOpened", own))

    # --- cuts ---------------------------------------------------------------------------------------------------------

    def cut(self, at: float) -> Cut:
        """Take all that has come since the cut before; `at` is seconds behind START."""
        spans = []
        for source in inputs(0, self.counts):
            end = self.log.bounds([source.topic])[source][1]
            if end > self.taken.get(source, 0):
                spans.append(Span(source, self.taken.get(source, 0), end))
                self.taken[source] = end
        self.cuts.append(Cut(len(self.cuts) + 1, START + int(at * SECOND), tuple(spans)))
        return self.cuts[-1]

    def slices(self, cuts: Sequence[Cut]) -> dict[TopicPartition, list[Batch]]:
        found: dict[TopicPartition, list[Batch]] = {}
        for cut in cuts:
            for span in cut.spans:
                found.setdefault(span.source, []).extend(self.log.read(span.source, span.begins, span.following))
        return found

    def play(self, engine: Engine, cuts: Sequence[Cut]) -> list[Event]:
        """The events of a run."""
        outcomes, _ = engine.advance(cuts, self.slices(cuts))
        return [event for outcome in outcomes for _, event in outcome.alerts]


def told(events: Sequence[Event]) -> list[tuple[str, str, float]]:
    """Kind, device, and event time in seconds behind START."""
    return [(type(e).__name__, str(getattr(e, "device_id", "")), (e.occurred_at - START) / SECOND) for e in events]
