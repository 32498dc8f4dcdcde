"""Values that take no bytes: null, a fixed type of size 0, a record of nothing else.

A schema can hold endless many of them (a record of two records of two records of …), so that a few bytes, or none, would be
read as more values than fit into memory. How many there may be is decided from the schema, before anything is read.
"""

from collections.abc import Mapping
from typing import Any

MOST = 1_000  # in a value
MOST_REPEATED = (
    16  # in each item of an array or map, and in each turn of a type within itself: there may be one for each byte
)


class TooManyEmpties(ValueError):
    """A value of a schema may hold more values that take no bytes than is safe to read."""


class Empties:
    """Measures the types of one schema, each named one once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, bool]] = {}

    def check(self, schema: Any, repeated: bool) -> None:
        """
        Raises:
            TooManyEmpties: it holds too many; `repeated`: there may be many of it.
        """
        count, most = self.measured(schema)[0], MOST_REPEATED if repeated else MOST
        if count > most:
            raise TooManyEmpties(f"a value of it holds more than {most} values that take no bytes")

    def measured(self, schema: Any) -> tuple[int, bool]:
        """How many values without a byte of their own a value holds, itself among them, beside those in arrays and maps; and
        whether it takes no bytes at all."""
        if isinstance(schema, list):
            # The number of the branch is a byte, and that is the branch's own.
            return max((max(0, self.measured(branch)[0] - 1) for branch in schema), default=0), False
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, dict | list):
            return self.measured(kind)
        if isinstance(schema, dict) and kind in ("record", "error"):
            return self._record(schema)
        if isinstance(schema, dict) and kind == "fixed":
            self._known[schema["name"]] = (1, True) if schema["size"] == 0 else (0, False)
            return self._known[schema["name"]]
        # A type within itself is not known yet: each of its turns is checked by itself.
        return (1, True) if kind == "null" else self._known.get(kind, (0, False))

    def _record(self, schema: Mapping[str, Any]) -> tuple[int, bool]:
        known = self._known.get(schema["name"])
        if known is None:
            self._known[schema["name"]] = (0, False)
            parts = [self.measured(field["type"]) for field in schema["fields"]]
            empty = all(nothing for _, nothing in parts)
            known = self._known[schema["name"]] = sum(count for count, _ in parts) + empty, empty
        return known
