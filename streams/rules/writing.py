"""What one step of an engine is as records, and where the engine stands when they are committed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import uuid5

from connectors.transactions import Outgoing
from schemas.log import Batch, TopicPartition
from schemas.messages import Message
from schemas.rule_messages import RULE_BOOK, RULE_COMMANDS
from schemas.rule_records import PartialAggregated, RulesAdvanced, Slice
from streams.rules.cuts import AGGREGATES, ALERTS, CUTS, Cut, Span, inputs
from streams.rules.engine import REVISION
from streams.rules.restore import Standing
from streams.rules.run import Outcome
from streams.rules.state import NAMESPACE


class Codec(Protocol):
    def encode(self, message: Any) -> bytes: ...


class Made(NamedTuple):
    """A partition's part of a transaction: the cut is the first of its records."""

    standing: Standing
    cut: Cut
    records: tuple[Outgoing, ...]
    identity: str

    def placed(self, offsets: Sequence[int]) -> None:
        """The records are committed, at these offsets."""
        standing = self.standing
        standing.cuts_until, standing.newest = offsets[0] + 1, (offsets[0], self.identity)
        alerts = [at for record, at in zip(self.records, offsets, strict=True) if record.topic == ALERTS]
        standing.alerts_until = max([standing.alerts_until, *(at + 1 for at in alerts)])
        standing.since_saved += 1


def advanced(partition: int, cut: Cut) -> RulesAdvanced:
    """A cut as a record."""
    return RulesAdvanced(
        event_id=str(uuid5(NAMESPACE, f"cut/{partition}/{cut.sequence}")),
        sequence=cut.sequence,
        at=cut.at,
        revision=REVISION,
        positions=tuple(
            Slice(topic=span.source.topic, partition=span.source.partition, start=span.begins, end=span.following)
            for span in cut.spans
        ),
    )


def made(standing: Standing, cut: Cut, outcome: Outcome, codecs: Mapping[str, Codec]) -> Made:
    """What is to be written for a cut; `codecs` of cuts, alerts, the commands of rules and aggregates."""
    partition = standing.engine.state.partition

    def outgoing(topic: str, to: int | None, key: str, message: Message | PartialAggregated) -> Outgoing:
        return Outgoing(topic, to, key.encode(), codecs[topic].encode(message))

    own = advanced(partition, cut)
    first = Outgoing(CUTS, partition, str(partition).encode(), codecs[CUTS].encode(own))
    alerts = [outgoing(ALERTS, partition, key, event) for key, event in outcome.alerts]
    commands = [outgoing(RULE_COMMANDS, None, RULE_BOOK, command) for command in outcome.commands]
    home_of = standing.engine.state.home_of
    partials = [outgoing(AGGREGATES, home_of(key), key, partial) for key, partial in outcome.partials]
    return Made(standing, cut, (first, *alerts, *commands, *partials), own.event_id)


def spans(standing: Standing, slices: Mapping[TopicPartition, Sequence[Batch]], partitions: Mapping[str, int]) -> list[Span]:
    """What a cut takes. The first one names all inputs, so that it is written down where each begins."""
    state = standing.engine.state
    found = [Span(source, batches[0].begins, batches[-1].following) for source, batches in slices.items()]
    if state.sequence == 0:
        found += [
            Span(source, state.positions.get(source, 0), state.positions.get(source, 0))
            for source in inputs(state.partition, partitions)
            if source not in slices
        ]
    return found
