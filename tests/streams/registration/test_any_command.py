"""Whatever a command holds, in whatever state it comes: it is answered with one event that the contract has a place for."""

from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import registration_commands
from schemas.messages import Command
from schemas.registration_events import CommandRefused
from schemas.shape import Field, Kind, shape_of
from streams.registration.definition import REGISTRATION
from streams.registration.devices import DeviceCommand
from streams.registration.state import State
from tests.schemas.records import anything, within
from tests.streams.registration.actors import CONTRACT, START, Actor, World, claim, encoded, ident, pre_register, reset
from tests.streams.registration.keyring import key

NAMES = [record.name for record in CONTRACT.topics["fleet.registration.commands"].records]
TYPES = {name: getattr(registration_commands, name) for name in NAMES}
IDS = ("command_id", "correlation_id")


def states() -> dict[str, State]:
    """States of every stage, by name."""
    found: dict[str, Any] = {}

    def note(name: str) -> None:
        found[name] = device.state

    world = World()
    device = Actor(world, "a1")
    claim_id = claim(world)
    found["claim"] = world.states[claim_id]
    device.report("initializing")
    note("reported")
    device.open()
    note("open")
    device.spend(claim_id)
    found["spent"] = world.states[claim_id]
    nonce = world.settle().nonce  # type: ignore[attr-defined]
    note("challenged")
    device.confirm(nonce)
    note("passed")
    device.certified(world.ledger[-1])  # type: ignore[arg-type]
    note("certified")
    device.activate()
    note("operational")
    device.renew("5e01")
    note("renewing")
    reset(world, "a1")
    note("reset")
    pre_register(world, device, "alice")
    note("pre-registered")
    return found


STATES = states()
SESSIONS = [ident("session", 1), ident("renewal", 1), ident("none")]
LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "hardware_id": st.sampled_from(["a1", "claim-a1"]),
    "claim_id": st.just(f"claim-{ident('claim', 1)}"),
    "device_id": st.sampled_from([STATES["open"].device_id, "dev-2"]),  # type: ignore[union-attr]
    "session_id": st.sampled_from(SESSIONS),
    "serial": st.sampled_from(["5e01", "5e02"]),
    "issued_at": st.integers(START - 10**9, START + 10**9),
    "expires_at": st.integers(START - 10**9, START + 10**9),
    "public_key": st.sampled_from([key().public, key("ed25519").public, key("ec", 3).public]),
    "csr": st.sampled_from([key().csr(), key().csr("a1"), key("ec", 3).csr()]),
    "fingerprint": st.sampled_from([b"f" * 32, b"g" * 32]),
}
"""Values that lead past the first checks."""


@cache
def commands(name: str, values: Any) -> st.SearchStrategy[Command]:
    made = TYPES[name]

    def strategy(part: Field) -> st.SearchStrategy[Any]:
        strange = values(part.shape)
        likely = LIKELY.get(part.name)
        return strange if likely is None or part.name in IDS else likely | strange

    parts = {part.name: st.uuids().map(str) if part.name in IDS else strategy(part) for part in fields_of(name)}
    return st.fixed_dictionaries(parts).map(lambda found: msgspec.convert(found, made))


@cache
def fields_of(name: str) -> tuple[Field, ...]:
    return tuple(shape_of(CONTRACT.records[name].schema).fields)


def out_of_bounds(message: Any) -> list[str]:
    """Fields of a message that keep no bound of their avsc."""
    faults = []
    for part in fields_of(type(message).__name__):
        value, bounds = getattr(message, part.name), part.shape.bounds
        if isinstance(value, str | bytes) and part.shape.kind is not Kind.ENUM:
            good = (bounds.min_length or 0) <= len(value) <= (bounds.max_length or len(value))
        elif isinstance(value, int | float):
            good = (bounds.minimum is None or value >= bounds.minimum) and (
                bounds.maximum is None or value <= bounds.maximum
            )
        else:
            good = True
        if not good:
            faults.append(part.name)
    return faults


def test_every_command_of_the_topic_is_decided() -> None:
    assert set(TYPES.values()) == {
        *DeviceCommand.__args__,
        registration_commands.IssueClaimToken,
        registration_commands.SpendClaim,
    }


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data(), stage=st.sampled_from([None, *STATES]))
@settings(max_examples=200, deadline=None)
def test_a_command_within_the_contract_is_answered_within_it(name: str, data: st.DataObject, stage: str | None) -> None:
    command = data.draw(commands(name, within))
    before = STATES[stage] if stage else None
    [event] = REGISTRATION.decide(before, command)
    assert encoded(event)
    assert out_of_bounds(event) == []
    after = REGISTRATION.evolve(before, event)
    assert not isinstance(event, CommandRefused) or after == before
    for record in REGISTRATION.react(after, event):
        assert encoded(record.message)
        assert out_of_bounds(record.message) == []


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data(), stage=st.sampled_from([None, *STATES]))
@settings(max_examples=200, deadline=None)
def test_a_command_beyond_the_contract_is_answered_all_the_same(name: str, data: st.DataObject, stage: str | None) -> None:
    command = data.draw(commands(name, anything))
    before = STATES[stage] if stage else None
    [event] = REGISTRATION.decide(before, command)
    assert encoded(event)
    assert all(encoded(record.message) for record in REGISTRATION.react(REGISTRATION.evolve(before, event), event))
