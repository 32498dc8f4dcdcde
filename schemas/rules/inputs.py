"""What rules are about: the records of each input, as variables with types.

A field is a variable by its name, one of a nested record by its path (`cpu_usage.user`); lists of plain values are lists,
and lists of records are left out. Beside them every input has `at` (event time) and the device's `device.id`,
`device.state`, `device.model`, `device.labels`. Of telemetry every other name is a metric.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from schemas.contract import Contract
from schemas.shape import Kind, Shape, shape_of

TOPICS: Mapping[str, str] = {
    "telemetry": "fleet.telemetry",
    "heartbeat": "fleet.heartbeats",
    "device-event": "fleet.device-events",
    "registration": "fleet.registration.events",
    "certificate": "fleet.certificates",
    "system": "fleet.system",
    "trend": "fleet.trends",
    "fleet": "fleet.rules.aggregates",
}
NOT_YET: Mapping[str, str] = {
    "trend": "the engine has one row of a device at a time, and a device has trends of several metrics and windows at once"
}
"""Inputs of which no rule is evaluated, and why."""
AT, KEY, RECEIVED = "_at", "_key", "_received"
_COMMON = {"received_at": RECEIVED}
_NOT_OF_TELEMETRY = frozenset(("event_id", "device_id", "occurred_at"))
"""Fields of an upload, which a row of it is not asked about; the device is device.id, its time at."""
METRIC_COLUMN = "metric:"
"""Before a metric's name: the column that holds it."""
LABELS = "device.labels"
LABEL_COLUMN = "device.labels."
NOT_METRICS = frozenset(("bool", "bytes", "double", "dyn", "int", "list", "map", "null_type", "string", "type", "uint"))
"""Names of types, which no variable can have."""
_TYPES = {
    **dict.fromkeys((Kind.STRING, Kind.ENUM), "string"),
    **dict.fromkeys((Kind.INT, Kind.LONG), "int"),
    **dict.fromkeys((Kind.FLOAT, Kind.DOUBLE), "double"),
    Kind.BYTES: "bytes",
    Kind.BOOLEAN: "bool",
    Kind.TIMESTAMP: "timestamp",
}


class Variable(NamedTuple):
    """A variable of an expression: its CEL type, whether it may be null, and the column that holds it."""

    kind: str
    nullable: bool
    column: str


class NoSuchInput(ValueError):
    """No rule about this input is evaluated."""


def variables(rule_input: str, contract: Contract, measures: Iterable[str] = ()) -> dict[str, Variable]:
    """The variables of an input but metrics; of input `fleet` they are the `measures` of its aggregate.

    Raises:
        NoSuchInput: no rule about this input is evaluated.
    """
    if rule_input == "fleet":
        return {
            AT.strip("_"): Variable("timestamp", False, AT),
            **{name: Variable("double", True, name) for name in measures},
        }
    if rule_input in NOT_YET:
        raise NoSuchInput(f"there is no input {rule_input} yet: {NOT_YET[rule_input]}")
    topic = contract.topics[TOPICS[rule_input]]
    found = {
        "at": Variable("timestamp", False, AT),
        "device.id": Variable("string", False, KEY),
        "device.state": Variable("string", True, "device.state"),
        "device.model": Variable("string", True, "device.model"),
        LABELS: Variable("labels", False, LABELS),
    }
    several = len(topic.records) > 1
    skipped = _NOT_OF_TELEMETRY if rule_input == "telemetry" else frozenset()
    if several:
        found["record"] = Variable("string", False, "record")
    for record in topic.records:
        for name, (kind, nullable) in _fields(shape_of(record.schema), ""):
            earlier = found.get(name)
            if earlier is not None and earlier.kind != kind:
                continue  # two record types of a topic that mean different things by a name: the first one's holds
            if name not in skipped:
                found[name] = Variable(kind, nullable or several, _COMMON.get(name, name))
    return found


def metric(name: str) -> Variable:
    """The variable of a metric; null where a row has no reading of it."""
    return Variable("double", True, METRIC_COLUMN + name)


def _fields(shape: Shape, path: str, nullable: bool = False) -> Iterator[tuple[str, tuple[str, bool]]]:
    for part in shape.fields:
        name, null = path + part.name, nullable or part.shape.nullable
        if part.shape.kind is Kind.RECORD:
            yield from _fields(part.shape, f"{name}.", null)
        elif part.shape.kind is Kind.ARRAY:
            if part.shape.item.kind in _TYPES:
                yield name, ("list", null)
        else:
            yield name, (_TYPES[part.shape.kind], null)
