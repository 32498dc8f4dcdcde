"""Objects as files of a folder (port ObjectStore).

An object is written beside its place, made durable, and then linked to its name, which fails where the name is taken: so
that it is there whole or not at all, whatever is killed when. What a killed process left beside is removed by nobody's
reader and seen by none: its name begins with a dot.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from connectors.objects import NoObject, Refused, Stored, checked


class FolderObjects:
    """An ObjectStore in a folder, which is made with its first object."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, name: str, data: bytes) -> bool:
        place = self._folder / checked(name)
        beside = place.parent / f".{uuid4().hex}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                return _linked(beside, place, data)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise Refused(f"{place} can't be written: {error.strerror or error}") from error

    def get(self, name: str) -> bytes:
        return self.get_range(name, 0, -1)

    def get_range(self, name: str, start: int, stop: int) -> bytes:
        place = self._folder / checked(name)
        try:
            with place.open("rb") as file:
                file.seek(start)
                return file.read(max(0, stop - start) if stop >= 0 else -1)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise NoObject(f"{self}: there is no {name}") from None
        except OSError as error:
            raise Refused(f"{place} can't be read: {error.strerror or error}") from error

    def list(self, prefix: str) -> Iterator[Stored]:
        start = self._folder / checked(prefix) if prefix else self._folder
        found = []
        for folder, _, files in os.walk(start):
            for file in files:
                place = Path(folder) / file
                if not file.startswith("."):
                    found.append(Stored(place.relative_to(self._folder).as_posix(), place.stat().st_size))
        return iter(sorted(found))

    def delete(self, name: str) -> None:
        place = self._folder / checked(name)
        try:
            place.unlink(missing_ok=True)
        except OSError as error:
            raise Refused(f"{place} can't be removed: {error.strerror or error}") from error

    def __str__(self) -> str:
        return str(self._folder)


def _linked(beside: Path, place: Path, data: bytes) -> bool:
    with beside.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(beside, place)
    except FileExistsError:
        return False
    _durable(place.parent)
    return True


def _durable(folder: Path) -> None:
    """Make a folder's new entry outlive a power cut."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
