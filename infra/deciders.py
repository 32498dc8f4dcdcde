"""Which deciders there are, and what each runs on."""

from collections.abc import Iterable, Mapping
from typing import Any

import faust

from connectors.group_options import GroupOptions
from connectors.kafka_commands import CommandReader
from connectors.kafka_ends import KafkaEnds
from connectors.kafka_log import KafkaLog
from connectors.kafka_transactions import KafkaTransactions, TransactionOptions
from connectors.ports import DeadLetters, SchemaRegistry
from connectors.prometheus import PrometheusMonitor
from connectors.redis_snapshots import RedisSnapshots
from infra import compose
from infra.settings import SettingError, Settings
from schemas import contract as contracts
from schemas.contract import Contract, Topic
from schemas.message_types import message_types
from schemas.messages import Messages
from streams.aggregate_decider import aggregate_decider
from streams.aggregates import Definition
from streams.decider import Decider, DeciderRunner
from streams.limits import Limit
from streams.live_decider import LiveDecider, MakeCommandsReader, attach_decider
from streams.registration.definition import REGISTRATION
from streams.restoring import Restorer
from streams.rulebook.definition import RULE_BOOK_DECIDER
from streams.verify_decider import DeciderVerdict, verify_decider

DEFINITIONS: tuple[Definition[Any], ...] = (REGISTRATION, RULE_BOOK_DECIDER)
"""What workers run. The ledger's decider is not among them: it runs in the process that has the keys."""

NONE = "none"
RECORDS = 1_000  # of one batch; a transaction takes all batches that wait


def chosen(settings: Settings) -> tuple[Definition[Any], ...]:
    """The deciders that a worker runs.

    Raises:
        SettingError: FLEETLOG_DECIDERS names one that there is not.
    """
    if not settings.deciders:
        return DEFINITIONS
    known = {definition.name: definition for definition in DEFINITIONS}
    names = [name.strip() for name in settings.deciders.split(",") if name.strip() != NONE]
    if unknown := [name for name in names if name not in known]:
        raise SettingError(f"FLEETLOG_DECIDERS: there is no decider {unknown[0]!r}, only {', '.join([*known, NONE])}")
    return tuple(known[name] for name in names)


def codecs(contract: Contract, schemas: SchemaRegistry, topics: Iterable[str]) -> dict[str, Messages]:
    """The codecs of topics of commands and of what is decided."""

    def codec(topic: Topic) -> Messages:
        return Messages(topic, message_types(topic), schemas.register, schemas.schema)

    return {name: codec(contract.topics[name]) for name in topics}


def all_codecs(contract: Contract, schemas: SchemaRegistry) -> dict[str, Messages]:
    """The codecs of all topics that have messages: what is decided may lead to commands in any of them."""
    return codecs(contract, schemas, (name for name, topic in contract.topics.items() if message_types(topic)))


def attach_definition(
    app: faust.App, settings: Settings, index: int, definition: Definition[Any], monitor: PrometheusMonitor
) -> LiveDecider:
    """Run a decider of aggregates in worker `index`."""
    contract, schemas = contracts.load(), compose.registry(settings)
    written = all_codecs(contract, schemas)
    decider = aggregate_decider(definition, KafkaLog(settings.kafka), written[definition.events_topic])
    decide = runner(settings, index, decider, written, compose.dead_letters(settings, contract, schemas))
    return attach_decider(app, decide, reader_maker(settings, index, decider), monitor)


def runner(
    settings: Settings, index: int, decider: Decider, written: Mapping[str, Messages], letters: DeadLetters
) -> DeciderRunner:
    """What runs any decider, as member `index` of its group. At any time one process has this index."""
    restorer = Restorer(
        KafkaLog(settings.kafka),
        written[decider.events_topic],
        KafkaEnds(settings.kafka).end_of,
        RedisSnapshots(settings.redis),
    )
    return DeciderRunner(
        decider,
        written,
        KafkaTransactions(TransactionOptions(settings.kafka, member(decider, index), settings.session_timeout)),
        restorer,
        letters,
        Limit(settings.dead_letter_run, settings.dead_letter_ratio, settings.dead_letter_window),
    )


def verify(settings: Settings) -> dict[str, DeciderVerdict]:
    """What became of all commands, by decider.

    Raises:
        Away: the broker or the registry does not answer.
    """
    written = all_codecs(contracts.load(), compose.registry(settings))
    reader = compose.log_reader(settings)
    try:
        return {definition.name: verify_decider(definition, reader, written) for definition in DEFINITIONS}
    finally:
        reader.close()


def reader_maker(settings: Settings, index: int, decider: Decider) -> MakeCommandsReader:
    options = GroupOptions(
        bootstrap_servers=settings.kafka,
        group=f"fleetlog.{decider.name}",
        member=member(decider, index),
        topics=(decider.commands_topic,),
        records=RECORDS,
        seconds=0.0,
        slots=64,
        session_timeout=settings.session_timeout,
    )
    return lambda start_of, deliver, on_lost: CommandReader(options, start_of, deliver, on_lost)


def member(decider: Decider, index: int) -> str:
    """The name in the group, and of the transactions."""
    return f"fleetlog.{decider.name}.{index}"
