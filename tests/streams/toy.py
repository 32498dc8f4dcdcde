"""An aggregate of tests: an account that may not be overdrawn. Every deposit of 100 or more follows a Greet to the same
topic under another key."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import msgspec

from connectors.memory_registry import MemoryRegistry
from schemas.contract import RecordType, Topic
from schemas.messages import Command, Event, Message, Messages
from streams.identities import follow_up_headers, headers, repeat_headers
from streams.machine import Addressed

COMMANDS, EVENTS = "toy.commands", "toy.events"
PARTITIONS = 4


class Deposit(Command, frozen=True, kw_only=True):
    amount: int


class Withdraw(Command, frozen=True, kw_only=True):
    amount: int


class Greet(Command, frozen=True, kw_only=True):
    whom: str


class Deposited(Event, frozen=True, kw_only=True):
    amount: int


class Withdrawn(Event, frozen=True, kw_only=True):
    amount: int
    balance: int


class Greeted(Event, frozen=True, kw_only=True):
    whom: str


class Refused(Event, frozen=True, kw_only=True):
    code: str


class Repeated(Event, frozen=True, kw_only=True):
    answer_offset: int


class Account(msgspec.Struct, frozen=True):
    balance: int = 0
    greeted: int = 0
    commands: tuple[str, ...] = ()


class Accounts:
    """The definition."""

    name = "toy"
    commands_topic, events_topic = COMMANDS, EVENTS
    revision = 1
    state_type: Any = Account
    repeated: type[Event] = Repeated

    def decide(self, state: Account | None, command: Command) -> Sequence[Event]:
        balance = 0 if state is None else state.balance
        if isinstance(command, Deposit):
            return [Deposited(**headers(command, 0), amount=command.amount)]
        if isinstance(command, Greet):
            return [Greeted(**headers(command, 0), whom=command.whom)]
        assert isinstance(command, Withdraw)
        if balance < command.amount:
            return [Refused(**headers(command, 0), code="OVERDRAWN")]
        halves = command.amount // 2, command.amount - command.amount // 2
        return [
            Withdrawn(**headers(command, 0), amount=halves[0], balance=balance - halves[0]),
            Withdrawn(**headers(command, 1), amount=halves[1], balance=balance - command.amount),
        ]

    def evolve(self, state: Account | None, event: Event) -> Account | None:
        if isinstance(event, Refused):
            return state
        old = state or Account()
        commands = (*old.commands, event.command_id)[-3:]
        if isinstance(event, Deposited):
            return Account(old.balance + event.amount, old.greeted, commands)
        if isinstance(event, Withdrawn):
            return Account(event.balance, old.greeted, commands)
        return Account(old.balance, old.greeted + 1, commands)

    def react(self, state: Account | None, event: Event) -> Sequence[Addressed]:
        if isinstance(event, Deposited) and event.amount >= 100:
            greet = Greet(**follow_up_headers(event, "Greet"), whom=event.command_id)
            return [Addressed(COMMANDS, f"friend-{event.amount}", greet)]
        return []

    def forgets(self, state: Account, now: int) -> bool:
        return False

    def repeat(self, command: Command, times: int, answer_offset: int) -> Event:
        return Repeated(**repeat_headers(command, times), answer_offset=answer_offset)


def command_id(number: int) -> str:
    return str(uuid5(UUID(int=7), str(number)))


def base(number: int) -> dict[str, Any]:
    return {"command_id": command_id(number), "correlation_id": command_id(number), "actor": "test", "issued_at": number}


def deposit(number: int, amount: int) -> Deposit:
    return Deposit(**base(number), amount=amount)


def withdraw(number: int, amount: int) -> Withdraw:
    return Withdraw(**base(number), amount=amount)


def topic_of(name: str, types: Sequence[type[Message]], partitions: int = PARTITIONS) -> Topic:
    records = tuple(RecordType(made.__name__, "toy", schema(made)) for made in types)
    return Topic(name, "account", records, "topic-record", partitions, -1, "NONE", "tests", "internal", (), ())


def schema(made: type[Message]) -> dict[str, Any]:
    plain = {int: "long", str: "string", bytes: "bytes"}
    fields = [{"name": field.name, "type": plain[field.type], "doc": field.name} for field in msgspec.structs.fields(made)]
    return {"type": "record", "name": made.__name__, "namespace": "toy", "doc": made.__name__, "fields": fields}


COMMAND_TYPES = (Deposit, Withdraw, Greet)
EVENT_TYPES = (Deposited, Withdrawn, Greeted, Refused, Repeated)
COMMANDS_TOPIC, EVENTS_TOPIC = topic_of(COMMANDS, COMMAND_TYPES), topic_of(EVENTS, EVENT_TYPES)


def codecs(registry: Any = None) -> dict[str, Messages]:
    """How the values of both topics are written and read."""
    made = registry or MemoryRegistry()
    for topic in (COMMANDS_TOPIC, EVENTS_TOPIC):
        for record in topic.records:
            made.register(topic.subject(record), record.schema)  # in order: the ids are the same in every process
    return {
        COMMANDS: Messages(COMMANDS_TOPIC, COMMAND_TYPES, made.register, made.schema),
        EVENTS: Messages(EVENTS_TOPIC, EVENT_TYPES, made.register, made.schema),
    }
