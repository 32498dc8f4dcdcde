"""Avro values in plain JSON, for people: no wrapped unions, moments and days in ISO 8601, bytes in Base64.

A value is read from its bytes straight into that form, because only there it is known which branch of a union it is of.
What a logical type can't say (a day beyond the year 9999) stays what Avro stores. NaN and the infinities are the texts
"NaN", "Infinity" and "-Infinity", since JSON has no numbers for them.
"""

import base64
import json
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from schemas.avro_reader import BadSchema, Read, Undecodable, compile_reader
from schemas.codec import named, parsed
from schemas.contract import Schema

EPOCH_DAY, EPOCH = date(1970, 1, 1), datetime(1970, 1, 1)
LONGEST_DECIMAL = 128  # bytes; a longer one is bytes: to write it as digits takes time by the square
LARGEST_SCALE = 1000
MOST_JSON = 16_000_000  # bytes of one record; names and symbols, told again and again, make much of a few bytes
DAY = 86_400
Convert = Callable[[Any], Any]


class ReadableReader:
    """Reads bodies of one writer schema as JSON, strictly. `schema` is that schema, in its shortest form.

    Raises:
        BadSchema: it is no Avro schema, or can't be read with safely.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema: Any = _unwrapped(schema)
        try:
            full = named(self.schema)
        except BadSchema:
            full = parsed(self.schema)  # a logical type that is none is ignored (Avro specification, "Logical Types")
        try:
            self._read, self._strict = compile_reader(full, _readable), compile_reader(full)
            self._size = len(json.dumps(schema))
        except RecursionError:
            raise BadSchema("nests too deeply") from None

    def check(self, body: bytes) -> None:
        """Raises Undecodable: it is none of the schema."""
        self._strict(body)

    def json(self, body: bytes) -> bytes:
        """The JSON text of one body, all of whose bytes belong to it.

        Raises:
            Undecodable: it is none of the schema, or more than MOST_JSON in JSON.
        """
        try:
            value = self._read(body)
            # Each byte may stand for all names of the schema, at most.
            if len(body) * self._size > MOST_JSON and _characters(value, MOST_JSON) > MOST_JSON:
                raise Undecodable(f"has more than {MOST_JSON} bytes in JSON")
            return msgspec.json.encode(value)
        except RecursionError:
            raise Undecodable("is nested too deeply") from None


def _characters(value: Any, most: int) -> int:
    """About how many characters a value has in JSON; counted up to more than `most`."""
    found, ahead = 0, [iter((value,))]
    while ahead and found <= most:
        for one in ahead[-1]:
            found += 5
            if isinstance(one, str):
                found += len(one)
            elif isinstance(one, list):
                ahead.append(iter(one))
                break
            elif isinstance(one, dict):
                found += sum(map(len, one)) + 4 * len(one)
                ahead.append(iter(one.values()))
                break
        else:
            ahead.pop()
    return found


def _unwrapped(schema: Any) -> Any:
    """A schema without what stands around a type that is more than a name: fastavro takes no {"type": [...]}."""
    while isinstance(schema, dict) and isinstance(schema.get("type"), dict | list):
        schema = schema["type"]
    return schema


def _readable(schema: Any, read: Read) -> Read:
    """How a primitive or fixed type is read, given its reader."""
    convert = _conversion(schema)
    if convert is None:
        return read

    def converted(body: bytes, at: int) -> tuple[Any, int]:
        value, at = read(body, at)
        return convert(value), at

    return converted


def _conversion(schema: Any) -> Convert | None:
    kind = schema["type"] if isinstance(schema, dict) else schema
    logical = schema.get("logicalType") if isinstance(schema, dict) else None
    if not isinstance(logical, str):  # it is none, and ignored
        logical = None
    if kind in ("float", "double"):
        return _number
    if kind in ("bytes", "fixed"):
        return _decimal(schema.get("scale", 0)) if logical == "decimal" else _base64
    wanted = {"date": "int", "time-millis": "int"}.get(str(logical), "long")
    return _MOMENTS.get(logical) if kind == wanted else None


def _number(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decimal(scale: Any) -> Convert:
    if not isinstance(scale, int) or not 0 <= scale <= LARGEST_SCALE:
        return _base64

    def convert(value: bytes) -> str:
        if len(value) > LONGEST_DECIMAL:
            return _base64(value)
        unscaled = int.from_bytes(value, "big", signed=True)
        digits = f"{abs(unscaled):0{scale + 1}d}"
        point = len(digits) - scale
        sign = "-" if unscaled < 0 else ""
        return f"{sign}{digits[:point]}.{digits[point:]}" if scale else f"{sign}{digits}"

    return convert


def _day(value: int) -> Any:
    try:
        return (EPOCH_DAY + timedelta(days=value)).isoformat()
    except OverflowError:
        return value


def _time(per_second: int, digits: int) -> Convert:
    def convert(value: int) -> Any:
        seconds, rest = divmod(value, per_second)
        if not 0 <= seconds < DAY:
            return value
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:0{digits}}"

    return convert


def moment(per_second: int, digits: int, zone: str) -> Convert:
    """From a number of parts of a second since 1970 to ISO 8601 with so many digits, or the number, if no such year is."""

    def convert(value: int) -> Any:
        seconds, rest = divmod(value, per_second)
        try:
            whole = EPOCH + timedelta(seconds=seconds)
        except OverflowError:
            return value
        return f"{whole.isoformat()}.{rest:0{digits}}{zone}"

    return convert


_MOMENTS: dict[Any, Convert] = {
    "date": _day,
    "time-millis": _time(1_000, 3),
    "time-micros": _time(1_000_000, 6),
    "timestamp-millis": moment(1_000, 3, "Z"),
    "timestamp-micros": moment(1_000_000, 6, "Z"),
    "timestamp-nanos": moment(1_000_000_000, 9, "Z"),
    "local-timestamp-millis": moment(1_000, 3, ""),
    "local-timestamp-micros": moment(1_000_000, 6, ""),
    "local-timestamp-nanos": moment(1_000_000_000, 9, ""),
}
