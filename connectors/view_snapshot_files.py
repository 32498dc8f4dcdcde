"""Snapshots of views as files (port ViewSnapshots): DIRECTORY/VIEW/rREVISION-NUMBER.snapshot

    blocks     of up to 256 documents each, ascending by key: msgpack, compressed with zstd
    index      msgpack: the snapshot's head, and of each block its first key, place, times and SHA-256
    trailer    60 bytes: the index's place and length, the format's name, the SHA-256 of the index and of what is before it
               here

A file is written beside its place and renamed, so it is there whole or not at all. The trailer vouches for the index and
the index for every block, so that one document is read, and proven to be what was written, without reading all others.
"""

import hashlib
import os
import re
import struct
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

import msgspec
import zstandard

from connectors.private_files import written
from connectors.view_snapshots import Entry, Head, Unusable, with_totals

BLOCK = 256
LEVEL = 1
MAGIC = b"fleetlog-s1\n"
TRAILER = struct.Struct(">QQ12s")  # and 32 bytes of SHA-256
DIGEST_BYTES = 32
NAME = re.compile(r"r(\d+)-(\d+)\.snapshot")
MODE = 0o600  # it holds what devices reported


class Block(msgspec.Struct, frozen=True, array_like=True):
    """Where a block is; the latest event and received time in it."""

    first: str
    start: int
    length: int
    event: int
    received: int
    digest: bytes


class Index(msgspec.Struct, frozen=True, array_like=True):
    head: Head
    blocks: tuple[Block, ...]


_pack = msgspec.msgpack.Encoder().encode
_index = msgspec.msgpack.Decoder(Index).decode
_entries = msgspec.msgpack.Decoder(list[Entry]).decode


class ViewSnapshotFiles:
    """For one thread at a time; any number of processes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # What was read and found whole, by the file's path and what tells that it is still that file.
        self._known: dict[Path, tuple[tuple[int, int, int], Index]] = {}

    def heads(self, view: str) -> tuple[list[Head], list[Unusable]]:
        found: list[Head] = []
        damaged: list[Unusable] = []
        for path in self._files(view):
            try:
                found.append(self._read_index(path).head)
            except Unusable as unusable:
                damaged.append(unusable)
        return sorted(found, key=lambda head: -head.number), damaged

    def entry(self, head: Head, key: str) -> Entry | None:
        path = self._path(head)
        index = self._read_index(path)
        at = next((block for block in reversed(index.blocks) if block.first <= key), None)
        if at is None:
            return None
        return next((entry for entry in self._read(path, at) if entry.key == key), None)

    def entries(self, head: Head, after: str = "") -> Iterator[Entry]:
        path = self._path(head)
        blocks = self._read_index(path).blocks
        for block, following in zip_longest(blocks, blocks[1:]):
            if following is None or following.first > after:
                yield from (entry for entry in self._read(path, block) if entry.key > after)

    def late(self, head: Head, at: int, known: int) -> Iterator[Entry]:
        path = self._path(head)
        for block in self._read_index(path).blocks:
            if block.event > at or block.received > known:
                yield from (entry for entry in self._read(path, block) if not entry.within(at, known))

    def check(self, head: Head) -> None:
        path = self._path(head)
        for block in self._read_index(path).blocks:
            self._packed(path, block)

    def save(self, head: Head, entries: Iterable[Entry]) -> Head:
        with written(self._path(head), MODE) as into:
            return _write(into, head, entries)

    def drop(self, view: str, number: int) -> None:
        mine = [path for path in self._files(view) if int(NAME.fullmatch(path.name)[2]) == number]  # type: ignore[index]
        if not mine:
            raise KeyError(f"{view} has no snapshot {number}")
        for path in mine:
            path.unlink(missing_ok=True)
            self._known.pop(path, None)

    def _files(self, view: str) -> list[Path]:
        folder = self._directory / view
        return sorted(path for path in folder.glob("*.snapshot") if NAME.fullmatch(path.name)) if folder.is_dir() else []

    def _path(self, head: Head) -> Path:
        return self._directory / head.view / f"r{head.revision}-{head.number}.snapshot"

    def _read_index(self, path: Path) -> Index:
        try:
            with path.open("rb") as opened:
                status = os.fstat(opened.fileno())
                seen = status.st_ino, status.st_size, status.st_mtime_ns
                known = self._known.get(path)
                if known is None or known[0] != seen:
                    known = self._known[path] = seen, _checked_index(path, opened)
        except OSError as error:
            self._known.pop(path, None)
            raise Unusable(str(path), f"can't be read: {error.strerror}") from None
        return known[1]

    def _read(self, path: Path, block: Block) -> list[Entry]:
        return _entries(zstandard.ZstdDecompressor().decompress(self._packed(path, block)))

    def _packed(self, path: Path, block: Block) -> bytes:
        try:
            with path.open("rb") as opened:
                opened.seek(block.start)
                packed = opened.read(block.length)
        except OSError as error:
            raise Unusable(str(path), f"can't be read: {error.strerror}") from None
        if hashlib.sha256(packed).digest() != block.digest:
            raise Unusable(str(path), f"is damaged in the {block.length} bytes from {block.start} (SHA-256 differs)")
        return packed


def _checked_index(path: Path, opened: BinaryIO) -> Index:
    size = path.stat().st_size
    length = TRAILER.size + DIGEST_BYTES
    if size < length:
        raise Unusable(str(path), f"is cut short: {size} bytes")
    opened.seek(size - length)
    trailer, digest = opened.read(TRAILER.size), opened.read(DIGEST_BYTES)
    start, stretch, magic = TRAILER.unpack(trailer)
    if magic != MAGIC or start + stretch + length != size:
        raise Unusable(str(path), "does not end as a snapshot does")
    opened.seek(start)
    packed = opened.read(stretch)
    if hashlib.sha256(packed + trailer).digest() != digest:
        raise Unusable(str(path), "is damaged in its index (SHA-256 differs)")
    try:
        return _index(packed)
    except msgspec.DecodeError as error:
        raise Unusable(str(path), f"is of another format: {error}") from None


def _write(into: BinaryIO, head: Head, entries: Iterable[Entry]) -> Head:
    blocks: list[Block] = []
    times: list[tuple[int, int]] = []
    last = ""
    compress = zstandard.ZstdCompressor(level=LEVEL).compress
    for group in _groups(entries):
        keys = [one.key for one in group]
        if keys != sorted(set(keys)) or (blocks and keys[0] <= last):
            raise ValueError("the entries of a snapshot ascend by key")
        last = keys[-1]
        packed = compress(_pack(group))
        event, received = max(one.event for one in group), max(one.received for one in group)
        blocks.append(Block(group[0].key, into.tell(), len(packed), event, received, hashlib.sha256(packed).digest()))
        into.write(packed)
        times += [(one.event, one.received) for one in group]
    head = with_totals(head, times)
    index, start = _pack(Index(head, tuple(blocks))), into.tell()
    trailer = TRAILER.pack(start, len(index), MAGIC)
    into.write(index + trailer + hashlib.sha256(index + trailer).digest())
    return head


def _groups(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    source = iter(entries)
    for first in iter(partial(next, source, None), None):
        group = [first]
        for entry in source:
            group.append(entry)
            if len(group) == BLOCK:
                break
        yield group
