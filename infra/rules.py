"""The rules' engines of a worker, put together."""

import time

import faust

from connectors.group_options import GroupOptions
from connectors.kafka_commands import CommandReader
from connectors.kafka_ends import KafkaEnds
from connectors.kafka_inputs import KafkaInputs
from connectors.kafka_transactions import KafkaTransactions, TransactionOptions
from connectors.prometheus import PrometheusMonitor
from connectors.redis_snapshots import RedisSnapshots
from connectors.rules_metrics import RulesMetrics
from infra import compose
from infra.settings import SettingError, Settings
from schemas import contract as contracts
from schemas.alert_messages import ALERTS
from schemas.contract import Contract
from schemas.message_types import message_types
from schemas.messages import Messages, TypedRecords
from schemas.record_columns import decoder_of
from schemas.rule_messages import RULE_COMMANDS, RULE_EVENTS, RuleApplied
from schemas.rule_records import AGGREGATES, CUTS, PartialAggregated, RulesAdvanced
from streams.alerts.lifecycle import AlertLifecycle
from streams.live_rules import LiveRules, MakeRulesReader, attach_rules
from streams.rules import facts
from streams.rules.annotations import annotator
from streams.rules.cuts import COMMANDS, ORDER, REGISTRATION
from streams.rules.evaluator import evaluator
from streams.rules.ports import Evaluator
from streams.rules.reading import Readers, facts_of
from streams.rules.restore import NAME, RulesRestorer
from streams.rules.runner import RulesRunner
from streams.rules.state import State

NONE = "none"
RECORDS = 1_000


def wanted(settings: Settings) -> bool:
    """Whether a worker runs engines.

    Raises:
        SettingError: FLEETLOG_RULES is neither empty nor none.
    """
    if settings.rules not in ("", NONE):
        raise SettingError(f"FLEETLOG_RULES is {settings.rules!r}, neither empty (rules are evaluated) nor {NONE}")
    return not settings.rules


def attach(app: faust.App, settings: Settings, index: int, monitor: PrometheusMonitor) -> LiveRules:
    """Run the engines of worker `index`, which share the partitions with those of other workers."""
    made = runner(settings, index)
    return attach_rules(app, made, reader_maker(settings, index), RulesMetrics(monitor))


class Codecs:
    """How the records that engines read and write are read and written."""

    def __init__(self, settings: Settings) -> None:
        self.contract: Contract = contracts.load()
        self._schemas = compose.registry(settings)
        cuts = self.contract.topics[CUTS]
        self.cuts = TypedRecords[RulesAdvanced](cuts, [RulesAdvanced], self._schemas.register, self._schemas.schema)
        self.alerts = self.messages(ALERTS)
        aggregates = self.contract.topics[AGGREGATES]
        self.aggregates = TypedRecords[PartialAggregated](
            aggregates, [PartialAggregated], self._schemas.register, self._schemas.schema
        )
        registration = self.contract.topics[REGISTRATION]
        self._facts = facts_of(decoder_of(registration, self._schemas.schema, facts.RECORDS))

    def messages(self, name: str) -> Messages:
        topic = self.contract.topics[name]
        return Messages(topic, message_types(topic), self._schemas.register, self._schemas.schema)

    def readers(self) -> Readers:
        """For one engine: decoders are not shared, but for that of facts, which one thread at a time uses."""
        rows = [topic for topic in ORDER if topic not in (RULE_EVENTS, COMMANDS)]
        return Readers(
            {name: self.messages(name) for name in (RULE_EVENTS, COMMANDS)},
            {name: decoder_of(self.contract.topics[name], self._schemas.schema) for name in rows},
            self._facts,
        )

    def compiled(self, event: RuleApplied) -> Evaluator:
        """Raises RuleFailed."""
        return evaluator(event.document, event.version, self.contract)

    def state(self, partition: int) -> State:
        """The state of an engine before its first cut."""
        return State(
            partition,
            self.contract.topics[COMMANDS].partitions,
            self.readers(),
            self.compiled,
            AlertLifecycle(annotator()),
        )


def runner(settings: Settings, index: int) -> RulesRunner:
    """What runs the engines, as member `index` of their group. At any time one process has this index."""
    codecs = Codecs(settings)
    restorer = RulesRestorer(
        compose.whole_log(settings),
        (codecs.cuts, codecs.alerts),
        KafkaEnds(settings.kafka).end_of,
        RedisSnapshots(settings.redis),
        codecs.state,
    )
    return RulesRunner(
        {
            CUTS: codecs.cuts,
            ALERTS: codecs.alerts,
            RULE_COMMANDS: codecs.messages(RULE_COMMANDS),
            AGGREGATES: codecs.aggregates,
        },
        KafkaTransactions(TransactionOptions(settings.kafka, member(index), settings.session_timeout)),
        restorer,
        KafkaInputs(settings.kafka),
        {name: codecs.contract.topics[name].partitions for name in ORDER},
        lambda: time.time_ns() // 1000,
    )


def reader_maker(settings: Settings, index: int) -> MakeRulesReader:
    options = GroupOptions(
        bootstrap_servers=settings.kafka,
        group=f"fleetlog.{NAME}",
        member=member(index),
        topics=(COMMANDS,),
        records=RECORDS,
        seconds=0.0,
        slots=64,
        session_timeout=settings.session_timeout,
    )
    return lambda start_of, deliver, on_lost: CommandReader(options, start_of, deliver, on_lost)


def member(index: int) -> str:
    """The name in the group, and of the transactions."""
    return f"fleetlog.{NAME}.{index}"
