"""Random Avro types, as a graph: how they are written down, what they default to, what bodies of them are."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from schemas.avro_writer import long_bytes

SPACES = ("a", "b.c")
NAMES = ("Ab", "Cd", "Ef", "Gh", "Ij", "Kl")
FIELDS = ("one", "two", "three", "four", "five", "six")
SYMBOLS = ("RED", "GREEN", "BLUE", "GREY")
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
LOGICAL: tuple[dict[str, Any], ...] = (
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "int", "logicalType": "date"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
)
NO_DEFAULT = object()
TEXTS = ("", "x", "RED", "größer", "\u20ac\U0001f600")
NUMBERS = (0, 1, -1, 63, -64, 2**24 + 1, 2**31 - 1, -(2**31))
LONGS = (*NUMBERS, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 0x7FFFFFBFFFFFFFFF)
SIMPLE_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "null": (None,),
    "boolean": (True, False),
    "int": (0, -5, 70_000),
    "long": (0, -5, 70_000),
    "float": (0.0, 0.1, -2.5),
    "double": (0.0, 0.1, -2.5),
    "string": TEXTS,
    "bytes": ("", "\u00ff\u0000"),
}
FLOATS = (0.0, -0.0, 1.5, -2.25, 1e30, float("inf"))


class Random(Protocol):
    def random(self) -> float: ...
    def randrange(self, stop: int, /) -> int: ...
    def choice(self, seq: Any, /) -> Any: ...


@dataclass(eq=False)
class Type:
    """`kind` is Avro's name of it; the rest is of some kinds only."""

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)
    space: str = ""
    name: str = ""
    aliases: list[str] = field(default_factory=list)
    fields: list["Member"] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    default: str | None = None
    size: int = 0
    inner: list["Type"] = field(default_factory=list)  # items, values, or branches

    @property
    def full(self) -> str:
        return f"{self.space}.{self.name}"


@dataclass(eq=False)
class Member:
    name: str
    type: Type
    aliases: list[str] = field(default_factory=list)
    default: Any = NO_DEFAULT


def written(type_: Type, space: str = "", known: set[str] | None = None) -> Any:
    """The type as JSON; a named type is spelled out where it comes first."""
    known = set() if known is None else known
    if type_.kind == "union":
        return [written(branch, space, known) for branch in type_.inner]
    if type_.kind == "array":
        return {"type": "array", "items": written(type_.inner[0], space, known)}
    if type_.kind == "map":
        return {"type": "map", "values": written(type_.inner[0], space, known)}
    if not type_.name:
        return {"type": type_.kind, **type_.attributes} if type_.attributes else type_.kind
    if type_.full in known:
        return type_.name if type_.space == space else type_.full
    known.add(type_.full)
    made: dict[str, Any] = {"type": type_.kind, "name": type_.name}
    if type_.space != space:
        made["namespace"] = type_.space
    if type_.aliases:
        made["aliases"] = type_.aliases
    if type_.kind == "enum":
        made["symbols"] = type_.symbols
        made |= {} if type_.default is None else {"default": type_.default}
    elif type_.kind == "fixed":
        made["size"] = type_.size
    else:
        made["fields"] = [_field(member, type_.space, known) for member in type_.fields]
    return made


def _field(member: Member, space: str, known: set[str]) -> dict[str, Any]:
    made = {"name": member.name, "type": written(member.type, space, known)}
    if member.aliases:
        made["aliases"] = member.aliases
    return made if member.default is NO_DEFAULT else {**made, "default": member.default}


def default_of(type_: Type, draw: Random, unfinished: Sequence[Type] = (), depth: int = 0) -> Any:
    """A default in JSON; NO_DEFAULT where there is none of a sensible size, or it is of a record that is `unfinished`
    where it stands (Java parses no such schema)."""
    if depth > 3 or type_ in unfinished:
        return NO_DEFAULT
    if type_.kind in SIMPLE_DEFAULTS:
        return draw.choice(SIMPLE_DEFAULTS[type_.kind])
    if type_.kind == "fixed":
        return "\u00fe" * type_.size
    if type_.kind == "enum":
        return draw.choice(type_.symbols)
    if type_.kind == "union":
        return default_of(type_.inner[0], draw, unfinished, depth + 1)
    if type_.kind in ("array", "map"):
        item = NO_DEFAULT if draw.random() < 0.5 else default_of(type_.inner[0], draw, unfinished, depth + 1)
        if type_.kind == "map":
            return {} if item is NO_DEFAULT else {"k": item}
        return [] if item is NO_DEFAULT else [item]
    made = {}
    for member in type_.fields:
        if member.default is not NO_DEFAULT and draw.random() < 0.5:
            continue  # its own default then
        value = default_of(member.type, draw, unfinished, depth + 1)
        if value is NO_DEFAULT:
            return NO_DEFAULT
        made[member.name] = value
    return made


def body(type_: Type, draw: Random, depth: int = 0) -> bytes:
    """A random body of the type."""
    if type_.kind in SIMPLE_BODIES:
        return draw.choice(SIMPLE_BODIES[type_.kind])
    if type_.kind == "fixed":
        return b"\x07" * type_.size
    if type_.kind == "enum":
        return long_bytes(draw.randrange(len(type_.symbols)))
    if type_.kind == "record":
        return b"".join(body(member.type, draw, depth + 1) for member in type_.fields)
    if type_.kind == "union":
        nulls = [i for i, branch in enumerate(type_.inner) if branch.kind == "null"]
        i = nulls[0] if nulls and depth > 4 else draw.randrange(len(type_.inner))
        return long_bytes(i) + body(type_.inner[i], draw, depth + 1)
    count = 0 if depth > 4 else draw.randrange(3)
    key = _sized(b"k") if type_.kind == "map" else b""
    items = b"".join(key + body(type_.inner[0], draw, depth + 1) for _ in range(min(count, 1) if key else count))
    count = min(count, 1) if key else count
    if not count:
        return b"\0"
    head = long_bytes(count) if draw.random() < 0.5 else long_bytes(-count) + long_bytes(len(items))
    return head + items + b"\0"


def _sized(octets: bytes) -> bytes:
    return long_bytes(len(octets)) + octets


SIMPLE_BODIES: dict[str, tuple[bytes, ...]] = {
    "null": (b"",),
    "boolean": (b"\0", b"\1"),
    "int": tuple(map(long_bytes, NUMBERS)),
    "long": tuple(map(long_bytes, LONGS)),
    "float": tuple(struct.pack("<f", number) for number in FLOATS),
    "double": tuple(struct.pack("<d", number) for number in (*FLOATS, 0.1)),
    "string": tuple(_sized(text.encode()) for text in TEXTS),
    "bytes": tuple(map(_sized, (*(text.encode() for text in TEXTS), b"\xff\xfe"))),
}
