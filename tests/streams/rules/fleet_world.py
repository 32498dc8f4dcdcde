"""A world of several partitions with the real language and lifecycle, for rules about the fleet."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid5

from connectors.whole_log import MemoryWholeLog
from schemas.alert_messages import AlertEvent
from schemas.log import Batch, TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages, TypedRecords
from schemas.partitioner import partition_of
from schemas.record_columns import decoder_of
from schemas.rule_messages import RuleApplied
from schemas.rule_records import AGGREGATES, PartialAggregated
from schemas.rules.document import canonical
from schemas.rules.reading import read
from streams.alerts.lifecycle import AlertLifecycle
from streams.rules import facts
from streams.rules.annotations import annotator
from streams.rules.cuts import ORDER, REGISTRATION, Cut, Span, in_order, inputs
from streams.rules.engine import Engine
from streams.rules.evaluator import evaluator
from streams.rules.reading import Readers, facts_of
from streams.rules.run import Outcome
from streams.rules.state import State
from tests.streams.rules.world import SECOND, SPACE, START, World

ONE_PARTITION = ("fleet.rules", "fleet.rules.commands", "fleet.system")


class FleetWorld(World):
    """`partitions` of every topic but those that always have one; an engine for each."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self.partitions = partitions
        self.counts = {topic: 1 if topic in ONE_PARTITION else partitions for topic in self.contract.topics}
        self.log = MemoryWholeLog(self.counts)
        aggregates = self.contract.topics[AGGREGATES]
        self.partials = TypedRecords(aggregates, [PartialAggregated], self.registry.register, self.registry.schema)
        self.read_until: list[dict[TopicPartition, int]] = [{} for _ in range(partitions)]
        self.sequence = [0] * partitions
        self.engines = [Engine(self.make_state(partition)) for partition in range(partitions)]

    def make_state(self, partition: int = 0) -> State:
        topics, schema = self.contract.topics, self.registry.schema
        codecs = {
            name: Messages(topics[name], message_types(topics[name]), self.registry.register, schema)
            for name in ("fleet.rules", "fleet.alerts.commands")
        }
        columns = {name: decoder_of(topics[name], schema) for name in ORDER if name != "fleet.rules"}
        return State(
            partition,
            self.partitions,
            Readers(codecs, columns, facts_of(decoder_of(topics[REGISTRATION], schema, facts.RECORDS))),
            lambda event: evaluator(event.document, event.version, self.contract),
            AlertLifecycle(annotator()),
        )

    def send(self, topic: str, key: str, value: bytes | None, received: int = START) -> int:
        source = TopicPartition(topic, partition_of(key.encode(), self.counts[topic]))
        return self.log.append(source, key.encode(), value)

    def apply(self, document: str, version: int = 1) -> RuleApplied:
        rule = read(document)
        identity = str(uuid5(SPACE, f"{rule.id}/{version}"))
        event = RuleApplied(
            command_id=identity, correlation_id=identity, actor="me", event_id=identity, occurred_at=START,
            received_at=START, rule_id=rule.id, version=version, digest=b"d" * 32, document=canonical(rule).decode(),
            mode="live",
        )  # fmt: skip
        self.message("fleet.rules", "rules", event)
        return event

    def registration(self, kind: str, hardware: str, at: float, number: int, **values: Any) -> None:
        """An event of registration, `at` seconds behind START."""
        when = START + int(at * SECOND)
        device = f"device-{hardware}"
        common = {
            "event_id": str(uuid5(SPACE, f"{kind}/{number}")), "command_id": str(uuid5(SPACE, f"command/{number}")),
            "correlation_id": str(uuid5(SPACE, f"{number}")), "occurred_at": when, "received_at": when, "actor": "a",
            "hardware_id": hardware, "device_id": device, "session_id": str(uuid5(SPACE, f"session/{number}")),
        }  # fmt: skip
        topic = "fleet.registration.events"
        self.send(topic, hardware, self.record(topic, kind, {**common, **values}), when)

    def begun(self, hardware: str, at: float, number: int) -> None:
        self.registration(
            "SessionOpened", hardware, at, number, public_key=b"k" * 44, key_algorithm="ed25519", fingerprint=b"f" * 32,
            model="mk", firmware_version="1.0.0", hardware_revision="1", capabilities=[], expires_at=START + 900 * SECOND,
        )  # fmt: skip

    def failed(self, hardware: str, at: float, number: int, attempts_left: int = 0) -> None:
        self.registration("ChallengeFailed", hardware, at, number, attempts_left=attempts_left, detail="no")

    # --- cuts ---------------------------------------------------------------------------------------------------------

    def cut_of(self, partition: int, at: float) -> Cut:
        """All that has come since the engine's cut before. What partitions have counted they write when they advance."""
        taken, spans = self.read_until[partition], []
        for source in inputs(partition, self.counts):
            end = self.log.bounds([source.topic])[source][1]
            if end > taken.get(source, 0):
                spans.append(Span(source, taken.get(source, 0), end))
                taken[source] = end
        self.sequence[partition] += 1
        return Cut(self.sequence[partition], START + int(at * SECOND), in_order(spans))

    def outcomes(self, partition: int, cuts: Sequence[Cut]) -> list[Outcome]:
        found: dict[TopicPartition, list[Batch]] = {}
        for cut in cuts:
            for span in cut.spans:
                found.setdefault(span.source, []).extend(self.log.read(span.source, span.begins, span.following))
        return self.engines[partition].advance(cuts, found)[0]

    def step(self, partition: int, cuts: Sequence[Cut]) -> list[AlertEvent]:
        outcomes = self.outcomes(partition, cuts)
        for outcome in outcomes:
            for home, partial in outcome.partials:
                self.send(AGGREGATES, home, self.partials.encode(partial))
        return [event for outcome in outcomes for _, event in outcome.alerts if isinstance(event, AlertEvent)]

    def restart(self, partition: int) -> None:
        """Go on from a snapshot."""
        state = self.make_state(partition)
        state.restore(self.engines[partition].state.snapshot())
        assert state.snapshot() == self.engines[partition].state.snapshot()
        self.engines[partition] = Engine(state)
