"""A signed statement of what a view holds: a note (schemas.transparency.notes) whose lines say it, each a name and values.

    fleetlog.local/views
    attestation v1
    view device_state
    version 3
    revision 1
    code 0.1.0+4f2a
    time 2026-01-01T12:00:00Z
    corrections 0
    root 3q2+7w...
    partition 0 9XfQ...
    position fleet.heartbeats/0 1234
    schema fleet.heartbeats 7
    digests Wm9v...

`root` and `partition` are hashes in base64 (projections.canonical), `position` the offset behind the last record folded,
`schema` an id that occurs in a topic below these. The last line has four bytes of SHA-256 of each line before it: the
signature says that something was edited, they say what.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from projections.canonical import view_root
from schemas.log import TopicPartition
from schemas.transparency.merkle import HASH_BYTES
from schemas.transparency.notes import BadNote, NoteKey, Unsigned, check_signature, parse_note

FORM = "attestation v1"
DIGEST_BYTES = 4
SINGLE = ("view", "version", "revision", "code", "time", "corrections", "root")


class Edited(ValueError):
    """The statement is not the one that was signed; the text names the lines."""


@dataclass(frozen=True, slots=True)
class Attestation:
    """What a version of a view was at `time` (ISO 8601). `schemas`: topic -> ids that occur in what was folded of it.
    `corrections`: those before this offset of their topic are in it."""

    view: str
    version: int
    revision: int
    code: str
    time: str
    corrections: int
    partitions: Mapping[str, bytes]
    positions: Mapping[TopicPartition, int]
    schemas: Mapping[str, tuple[int, ...]]

    @property
    def root(self) -> bytes:
        return view_root(self.partitions)

    def text(self, origin: str) -> str:
        """The lines to be signed, under the name of the key."""
        lines = [
            origin,
            FORM,
            f"view {self.view}",
            f"version {self.version}",
            f"revision {self.revision}",
            f"code {self.code}",
            f"time {self.time}",
            f"corrections {self.corrections}",
            f"root {_base64(self.root)}",
            *(f"partition {name} {_base64(self.partitions[name])}" for name in sorted(self.partitions)),
            *(f"position {source} {self.positions[source]}" for source in sorted(self.positions)),
            *(f"schema {topic} {number}" for topic in sorted(self.schemas) for number in sorted(self.schemas[topic])),
        ]
        return "\n".join([*lines, f"digests {_base64(_digests(lines))}"]) + "\n"


def opened(whole: str, key: NoteKey) -> Attestation:
    """The statement in a note that `key` has signed.

    Raises:
        BadNote: it is no attestation.
        Edited: it was changed after it was signed.
        Unsigned: another key signed it, or the signature itself was changed.
    """
    note = parse_note(whole)
    lines = note.text.removesuffix("\n").split("\n")
    if len(lines) < 3 or lines[1] != FORM:
        raise BadNote(f"the second line is {lines[1][:40]!r}, not {FORM!r}" if len(lines) > 1 else "too few lines")
    try:
        check_signature(note, key)
    except Unsigned as unsigned:
        raise _explained(lines, unsigned) from None
    if lines[0] != key.name:
        raise BadNote(f"it is of {lines[0][:100]}, not of {key.name}")
    return parsed(lines)


def parsed(lines: list[str]) -> Attestation:
    """The statement of some lines, signed or not.

    Raises:
        BadNote: a line is missing, doubled or of another form; the text names it.
    """
    single: dict[str, str] = {}
    partitions: dict[str, bytes] = {}
    positions: dict[TopicPartition, int] = {}
    schemas: dict[str, tuple[int, ...]] = {}
    for line in lines[2:]:
        name, _, value = line.partition(" ")
        first, _, last = value.rpartition(" ")
        try:
            if name in SINGLE and name not in single:
                single[name] = value
            elif name == "partition" and first not in partitions:
                partitions[first] = _hash(last)
            elif name == "position":
                positions[TopicPartition.parse(first)] = _number(last)
            elif name == "schema":
                schemas[first] = (*schemas.get(first, ()), _number(last))
            elif name != "digests":
                raise ValueError("unknown, or twice")
        except ValueError as error:
            raise BadNote(f"line {line[:60]!r}: {error}") from None
    if missing := [name for name in SINGLE if name not in single]:
        raise BadNote(f"no line {missing[0]!r}")
    return _made(single, partitions, positions, schemas)


def _made(
    single: Mapping[str, str],
    partitions: Mapping[str, bytes],
    positions: Mapping[TopicPartition, int],
    schemas: Mapping[str, tuple[int, ...]],
) -> Attestation:
    try:
        version, revision, corrections = (_number(single[name]) for name in ("version", "revision", "corrections"))
        root = _hash(single["root"])
    except ValueError as error:
        raise BadNote(str(error)) from None
    made = Attestation(
        single["view"], version, revision, single["code"], single["time"], corrections, partitions, positions, schemas
    )
    if made.root != root:
        raise BadNote("the roots of the partitions do not lead to the root")
    return made


def _explained(lines: list[str], unsigned: Unsigned) -> Exception:
    """Why the signature is not good: what was edited, where it can be seen."""
    name, _, kept = lines[-1].partition(" ")
    if name != "digests":
        return Edited("the line 'digests' is missing")
    try:
        digests = base64.b64decode(kept, validate=True)
    except binascii.Error:
        return Edited("edited: the line 'digests'")
    if len(digests) != DIGEST_BYTES * (len(lines) - 1):
        return Edited(f"{len(digests) // DIGEST_BYTES} lines were signed, {len(lines) - 1} are there")
    now = _digests(lines[:-1])
    changed = [
        line
        for at, line in enumerate(lines[:-1])
        if now[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES] != digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
    ]
    return Edited(f"edited: {'; '.join(line[:100] for line in changed)}") if changed else unsigned


def _digests(lines: list[str]) -> bytes:
    return b"".join(hashlib.sha256(line.encode()).digest()[:DIGEST_BYTES] for line in lines)


def _number(text: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text):
        raise ValueError(f"{text[:30]!r} is no number")
    return int(text)


def _hash(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if len(data) != HASH_BYTES:
        raise ValueError(f"a hash of {len(data)} bytes")
    return data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
