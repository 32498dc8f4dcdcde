"""What can be read of a body that breaks its schema: the values before the fault, and where in the bytes it lies."""

from dataclasses import dataclass
from typing import Any

from schemas.avro_reader import Compiler, Read, Undecodable, read_long
from schemas.codec import parsed
from schemas.contract import Schema


@dataclass(frozen=True, slots=True)
class Partly:
    """`values` are those of the fields that could be read; of a record or array in which the fault lies, what is before it.
    `fault` names the place and what is wrong, empty where all is well; `at` is the byte of the body at which the faulty
    value begins."""

    values: dict[str, Any]
    fault: str = ""
    at: int | None = None


class _Broken(Undecodable):
    """A fault with what was read before it."""

    def __init__(self, fault: Undecodable, place: str, read: Any, at: int) -> None:
        inner = fault.within(place)
        super().__init__(inner.message, inner.place)
        self.read, self.at = read, at


class _Tracing(Compiler):
    def reader(self, schema: Any) -> Read:
        kind = schema["type"] if isinstance(schema, dict) else schema
        return self._items(self.reader(schema["items"])) if kind == "array" else super().reader(schema)

    def _record(self, schema: Any) -> Read:
        parts = [(field["name"], self.reader(field["type"])) for field in schema["fields"]]

        def read(body: bytes, at: int) -> tuple[dict[str, Any], int]:
            values: dict[str, Any] = {}
            for name, part in parts:
                try:
                    values[name], at = part(body, at)
                except Undecodable as fault:
                    if isinstance(fault, _Broken) and fault.read:
                        values[name] = fault.read
                    raise _Broken(fault, name, values, getattr(fault, "at", at)) from None
            return values, at

        return read

    def _items(self, item: Read) -> Read:
        def read(body: bytes, at: int) -> tuple[list[Any], int]:
            values: list[Any] = []
            while True:
                count, start = read_long(body, at)
                if count < 0:
                    count, (_, start) = -count, read_long(body, start)
                if count > len(body) - start:
                    fault = Undecodable(f"a block of {count} items in {len(body) - start} bytes")
                    raise _Broken(fault, "", values, at)
                if count == 0:
                    return values, start
                at = start
                for _ in range(count):
                    try:
                        value, at = item(body, at)
                    except Undecodable as fault:
                        partial = [fault.read] if isinstance(fault, _Broken) and fault.read else []
                        raise _Broken(fault, f"[{len(values)}]", values + partial, getattr(fault, "at", at)) from None
                    values.append(value)

        return read


def decoded_as_far_as_possible(schema: Schema, body: bytes) -> Partly:
    """What a body says, up to its first fault.

    Raises:
        BadSchema: the schema is none, or of no record.
    """
    read = _Tracing().reader(parsed(schema))
    try:
        values, end = read(body, 0)
    except _Broken as broken:
        return Partly(broken.read, str(broken), broken.at)
    except RecursionError:
        return Partly({}, "is nested too deeply", 0)
    except Undecodable as fault:
        return Partly({}, str(fault), 0)
    if end != len(body):
        return Partly(values, f"{len(body) - end} bytes are left over after the record's end", end)
    return Partly(values)
