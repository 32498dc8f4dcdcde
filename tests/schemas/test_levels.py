"""What each of the seven compatibility levels allows."""

from typing import Any

import pytest

from schemas.codec import BadSchema, Decoder
from schemas.contract import RecordType, Schema
from schemas.released import RULES, problems


def field(name: str, type_: Any = "long", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **more}


def schema(*fields: dict[str, Any]) -> Schema:
    return {"type": "record", "name": "Trip", "namespace": "fleetlog.device", "fields": list(fields)}


ID, OPTIONAL, REQUIRED = field("id"), field("speed", default=0), field("speed")
SEVEN = {"NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}

CASES = {  # name: (released versions, the new one, the levels that refuse it)
    "the same": ([schema(ID)], schema(ID), set()),
    "the first": ([], schema(ID), set()),
    "a field with a default": ([schema(ID)], schema(ID, OPTIONAL), set()),
    "a field without": (
        [schema(ID)],
        schema(ID, REQUIRED),
        {"BACKWARD", "BACKWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"},
    ),
    "a required field less": (
        [schema(ID, REQUIRED)],
        schema(ID),
        {"FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"},
    ),
    "a field with a default less": ([schema(ID, OPTIONAL)], schema(ID), set()),
    "wider": ([schema(field("id", "int"))], schema(ID), {"FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}),
    "narrower": ([schema(ID)], schema(field("id", "int")), {"BACKWARD", "BACKWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"}),
    "another type": ([schema(ID)], schema(field("id", "string")), SEVEN - {"NONE"}),
    "another type than the one before the last": (
        [schema(ID, field("speed", "string", default="")), schema(ID)],
        schema(ID, OPTIONAL),
        {"BACKWARD_TRANSITIVE", "FORWARD_TRANSITIVE", "FULL_TRANSITIVE"},
    ),
    "required, as before the last": (
        [schema(ID), schema(ID, OPTIONAL)],
        schema(ID, REQUIRED),
        {"BACKWARD_TRANSITIVE", "FULL_TRANSITIVE"},
    ),
    "a tighter bound": (
        [schema(field("id", maximum=9))],
        schema(field("id", maximum=8)),
        {"BACKWARD", "BACKWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"},
    ),
    "a looser bound": (
        [schema(field("id", maximum=9))],
        schema(field("id", maximum=10)),
        {"FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"},
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("level", sorted(SEVEN))
def test_a_level_refuses_what_it_is_to_refuse(level: str, name: str) -> None:
    released, new, refusing = CASES[name]
    found = problems(RecordType("Trip", "device", new), dict(enumerate(released, 1)), level)
    assert bool(found) == (level in refusing), found


def test_the_levels_are_confluent_s_seven() -> None:
    assert set(RULES) == SEVEN


def test_a_fault_of_older_readers_says_so() -> None:
    ((version, fault),) = problems(RecordType("Trip", "device", schema(ID)), {1: schema(ID, REQUIRED)}, "FORWARD")
    assert (version, fault.path, fault.message) == (1, "speed", "readers of version 1: is new and has no default")


@pytest.mark.parametrize("reader", [None, "long"])
def test_types_nested_too_deeply_are_refused(reader: str | None) -> None:
    nested: Any = "string"
    for _ in range(1_000):
        nested = {"type": "array", "items": nested}
    with pytest.raises(BadSchema):
        Decoder(schema(field("id", nested)), None if reader is None else schema(field("id", reader)))
