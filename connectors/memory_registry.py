"""A schema registry in memory, with the same answers as a real one: for tests and for tools that need no other."""

import json
import threading
from collections.abc import Mapping
from typing import Any

from connectors.ports import Away, Latest, UnknownSchema, Version


class MemoryRegistry:
    """Ids count from 1 and are the same for the same schema under any subject. Any schema is taken.

    Attributes:
        away: while true, what is asked for the first time raises Away.
    """

    def __init__(self) -> None:
        self.away = False
        self._lock = threading.Lock()
        self._texts: list[str] = []
        self._subjects: dict[str, list[int]] = {}
        self._levels: dict[str, str] = {}
        self._told: set[tuple[str, int | Latest]] = set()

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """As the port says."""
        text = json.dumps(schema, sort_keys=True)
        with self._lock:
            known = self._texts.index(text) + 1 if text in self._texts else 0
            if known in self._subjects.get(subject, []):
                return known
            self._answer()
            if not known:
                self._texts.append(text)
                known = len(self._texts)
            self._subjects.setdefault(subject, []).append(known)
            return known

    def schema(self, schema_id: int) -> dict[str, Any]:
        """As the port says."""
        with self._lock:
            if 1 <= schema_id <= len(self._texts):
                found: dict[str, Any] = json.loads(self._texts[schema_id - 1])
                return found
            self._answer()
            raise UnknownSchema(f"the registry has no schema {schema_id}")

    def version(self, subject: str, number: int | Latest) -> Version:
        """As the port says."""
        with self._lock:
            if (subject, number) not in self._told:
                self._answer()
            ids = self._subjects.get(subject, [])
            place = len(ids) if number == "latest" else number
            if not 1 <= place <= len(ids):
                raise UnknownSchema(f"the registry has no version {number} of the subject {subject}")
            self._told.add((subject, number))
            return Version(place, ids[place - 1], json.loads(self._texts[ids[place - 1] - 1]))

    def compatibility(self, subject: str) -> str | None:
        """The compatibility level set on a subject itself; None where none is set."""
        self._answer()
        return self._levels.get(subject)

    def set_compatibility(self, subject: str, level: str) -> None:
        self._answer()
        self._levels[subject] = level

    def versions(self, subject: str) -> list[int]:
        """The versions of a subject, ascending; none where it does not exist."""
        self._answer()
        return list(range(1, len(self._subjects.get(subject, [])) + 1))

    def _answer(self) -> None:
        if self.away:
            raise Away("the registry in memory is set to be away")
