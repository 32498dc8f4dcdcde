"""Ids and times of what follows from a command: derived, so that deciding it again yields the same records."""

from typing import TypedDict
from uuid import UUID, uuid5

from schemas.messages import Command, Event


class EventHeaders(TypedDict):
    """What every event has, for `SomeEvent(**headers(command, 0), ...)`."""

    command_id: str
    correlation_id: str
    actor: str
    event_id: str
    occurred_at: int
    received_at: int


class CommandHeaders(TypedDict):
    """What every command has."""

    command_id: str
    correlation_id: str
    actor: str
    issued_at: int


def event_id(command_id: str, index: int) -> str:
    """The id of a command's event; `index` counts its events from 0.

    Raises:
        ValueError: the command's id is no UUID.
    """
    return str(uuid5(UUID(command_id), str(index)))


def repeat_id(command_id: str, times: int) -> str:
    """The id of the event that says that a command came again, for the first time (0) or a later one."""
    return str(uuid5(UUID(command_id), f"again-{times}"))


def follow_up_id(command_id: str, name: str) -> str:
    """The id of a command that follows from the events of another one; `name` is its record type, or, where one event
    has several of one type, whatever tells them apart for good."""
    return str(uuid5(UUID(command_id), name))


def headers(command: Command, index: int) -> EventHeaders:
    """What the event at `index` among a command's events has of it. The command's time is the event's: a decider has no
    other clock."""
    return _of(command, event_id(command.command_id, index))


def repeat_headers(command: Command, times: int) -> EventHeaders:
    """What the event has that says that a command came again."""
    return _of(command, repeat_id(command.command_id, times))


def _of(command: Command, identity: str) -> EventHeaders:
    return EventHeaders(
        command_id=command.command_id,
        correlation_id=command.correlation_id,
        actor=command.actor,
        event_id=identity,
        occurred_at=command.issued_at,
        received_at=command.issued_at,
    )


def follow_up_headers(event: Event, name: str) -> CommandHeaders:
    """What a command has that follows from an event; `name` as for `follow_up_id`."""
    return CommandHeaders(
        command_id=follow_up_id(event.command_id, name),
        correlation_id=event.correlation_id,
        actor=event.actor,
        issued_at=event.occurred_at,
    )
