"""The port for an object store: named pieces of bytes that are written once. And its version in memory.

There is no call that changes an object: what an archive has written stays as it is, or is gone.
"""

import re
import threading
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from connectors.ports import Away

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class NoObject(LookupError):
    """There is no object of this name; the message names it and the store."""


class Refused(Exception):
    """The store is there and refuses: no such bucket, no right to it, a full disk. Waiting does not help."""


class Stored(NamedTuple):
    """An object that is there; `size` in bytes."""

    name: str
    size: int


class ObjectStore(Protocol):
    """Objects by name: parts of letters, digits, `.`, `_`, `-` (not beginning with a dot), joined by `/`. Every call may
    raise Away and Refused; another name is a ValueError. May be called from several threads."""

    def create(self, name: str, data: bytes) -> bool:
        """Store an object whole and durably; False, and nothing changed, where one of this name is there already. Of several
        calls for one name at once exactly one gets True."""

    def get(self, name: str) -> bytes:
        """The whole object. Raises NoObject."""

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop) of it, fewer where it ends before. Raises NoObject."""

    def list(self, prefix: str) -> Iterator[Stored]:
        """The objects whose names begin with `prefix` and a `/` (all of them for an empty prefix), by name."""

    def delete(self, name: str) -> None:
        """Remove an object; one that is not there is no error."""

    def __str__(self) -> str:
        """Where it is, for messages; holds no secret."""


def checked(name: str) -> str:
    """`name`. Raises ValueError where no object may have it."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of an object: parts of letters, digits, '._-', joined by '/'")
    return name


class MemoryObjects:
    """An ObjectStore in a dictionary."""

    def __init__(self) -> None:
        self.away = False
        self.kept: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def create(self, name: str, data: bytes) -> bool:
        self._answer()
        with self._lock:
            if checked(name) in self.kept:
                return False
            self.kept[name] = data
            return True

    def get(self, name: str) -> bytes:
        self._answer()
        found = self.kept.get(checked(name))
        if found is None:
            raise NoObject(f"{self}: there is no {name}")
        return found

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        return self.get(name)[start:stop]

    def list(self, prefix: str) -> Iterator[Stored]:
        self._answer()
        with self._lock:
            names = sorted(name for name in self.kept if not prefix or name.startswith(f"{prefix}/"))
            return iter([Stored(name, len(self.kept[name])) for name in names])

    def delete(self, name: str) -> None:
        self._answer()
        with self._lock:
            self.kept.pop(checked(name), None)

    def _answer(self) -> None:
        if self.away:
            raise Away("the objects in memory were told to be away")

    def __str__(self) -> str:
        return "memory"
