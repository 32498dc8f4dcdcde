"""Files that only their owner may read: keys and secrets. Whole or not there, also when the process is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class Exposed(Exception):
    """A file that holds a secret can be read by others than its owner."""


def make(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Write a file that is not there yet, never over another process's; returns whether this call wrote it."""
    partial = _partial(path, content, mode)
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        partial.unlink()
    _settle(path.parent)
    return True


def replace(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file, in the place of one that may be there."""
    _partial(path, content, mode).replace(path)
    _settle(path.parent)


def read(path: Path) -> bytes:
    """
    Raises:
        Exposed: others than the owner may read or write it.
        OSError: it can't be read.
    """
    with path.open("rb") as opened:
        mode = os.fstat(opened.fileno()).st_mode & 0o777
        if mode & 0o077:
            raise Exposed(f"{path} holds a secret, and its mode {mode:04o} opens it to others: chmod 600 it")
        return opened.read()


@contextmanager
def written(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A file to write to part by part, which takes the place of one that may be there when all is written."""
    partial = _beside(path)
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _settle(path.parent)


def _beside(path: Path) -> Path:
    """Where a file is made before it is put into its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)  # of a killed process that had the same number
    return partial


def _partial(path: Path, content: bytes, mode: int) -> Path:
    """The content beside the place it is for, on the disk."""
    partial = _beside(path)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    return partial


def _settle(folder: Path) -> None:
    """The folder's new entry outlives a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
