"""Signed notes (c2sp.org/signed-note), the checkpoints of logs in them (c2sp.org/tlog-checkpoint) and the cosignatures of
witnesses (c2sp.org/tlog-cosignature). Ed25519 only. Pure.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.transparency.merkle import HASH_BYTES

LOG, WITNESS = 1, 4  # signature types: Ed25519, Ed25519 cosignature/v1
ID_BYTES = 4
MOST_SIGNATURES = 64
MOST_BYTES = 65_536
_NAME = re.compile(r"[^\s+]+")


class BadNote(ValueError):
    """Not a note, a checkpoint or a key of the form that it must have; the text says why."""


class Unsigned(ValueError):
    """A note without a good signature of the key that is trusted; the text says why."""


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that signs notes. `key` is the public one, 32 bytes."""

    name: str
    kind: int
    key: bytes

    @property
    def id(self) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:ID_BYTES]

    @property
    def text(self) -> str:
        """As other programs are given it ("vkey"): name+id+key."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.kind]) + self.key).decode()}"


def parse_key(text: str) -> NoteKey:
    """The key that `NoteKey.text` gave.

    Raises:
        BadNote: it is none, or of another kind.
    """
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
        raise BadNote("a key is NAME+ID+BASE64")
    material = _unbase64(parts[2])
    if len(material) != 33 or material[0] not in (LOG, WITNESS):
        raise BadNote("a key of a kind that is not known here, or of a wrong length")
    key = NoteKey(parts[0], material[0], material[1:])
    if key.id.hex() != parts[1]:
        raise BadNote(f"the key's id is {key.id.hex()}, not {parts[1][:20]}")
    return key


class Signature(NamedTuple):
    """`data` is what follows the key's id."""

    name: str
    key_id: bytes
    data: bytes

    @property
    def line(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.data).decode()}\n"


class Note(NamedTuple):
    """`text` ends with a newline."""

    text: str
    signatures: tuple[Signature, ...]

    @property
    def whole(self) -> str:
        return f"{self.text}\n{''.join(signature.line for signature in self.signatures)}"


def parse_note(whole: str) -> Note:
    """
    Raises:
        BadNote: it is none.
    """
    if len(whole) > MOST_BYTES or re.search(r"[\x00-\x09\x0b-\x1f]", whole):
        raise BadNote("a note has no control characters, and here at most 65,536 characters")
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise BadNote("a note is a text, an empty line and signatures")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MOST_SIGNATURES:
        raise BadNote(f"{len(signatures)} signatures, more than {MOST_SIGNATURES}")
    return Note(text + "\n", signatures)


def _signature(line: str) -> Signature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not _NAME.fullmatch(parts[1]):
        raise BadNote("a signature is a dash, a name and base64")
    data = _unbase64(parts[2])
    if len(data) <= ID_BYTES:
        raise BadNote("a signature of no bytes")
    return Signature(parts[1], data[:ID_BYTES], data[ID_BYTES:])


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadNote(f"no base64: {error}") from None


class Head(NamedTuple):
    """What a checkpoint says: the log, and its tree's size and root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def parse_head(text: str) -> Head:
    """The head in a checkpoint's text. Further lines are passed over, as the specification wants it.

    Raises:
        BadNote: it is none.
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
        raise BadNote("a checkpoint is at least three lines: origin, size, root")
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]):
        raise BadNote(f"{lines[1][:30]!r} is no size of a tree")
    root = _unbase64(lines[2])
    if len(root) != HASH_BYTES:
        raise BadNote(f"a root of {len(root)} bytes")
    return Head(lines[0], int(lines[1]), root)


class Signer:
    """Signs notes with one key. `kind` LOG or WITNESS."""

    def __init__(self, name: str, kind: int, private: Ed25519PrivateKey) -> None:
        if not _NAME.fullmatch(name):
            raise BadNote(f"{name!r} is no name of a key: no spaces, no plus")
        self._private = private
        self.key = NoteKey(name, kind, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def checkpoint(self, size: int, root: bytes) -> str:
        """A signed checkpoint whose origin is the key's name."""
        return self.note(Head(self.key.name, size, root).text)

    def note(self, text: str) -> str:
        """A signed note of a text that ends with a newline. The key's kind is LOG."""
        signature = Signature(self.key.name, self.key.id, self._private.sign(text.encode()))
        return Note(text, (signature,)).whole

    def cosignature(self, text: str, seconds: int) -> Signature:
        """A witness's signature over a checkpoint's text, made at that second since 1970."""
        signed = self._private.sign(_cosigned(text, seconds))
        return Signature(self.key.name, self.key.id, seconds.to_bytes(8, "big") + signed)


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def opened(whole: str, key: NoteKey) -> Head:
    """The head of a checkpoint signed by the log's `key`.

    Raises:
        BadNote: it is no checkpoint, or of another origin.
        Unsigned: the key has not signed it.
    """
    note = parse_note(whole)
    check_signature(note, key)
    head = parse_head(note.text)
    if head.origin != key.name:
        raise BadNote(f"a checkpoint of {head.origin[:100]}, not of {key.name}")
    return head


def check_signature(note: Note, key: NoteKey) -> int:
    """Check that `key` signed the note. Returns when, in seconds since 1970, where it is a witness's; else 0.

    Raises:
        Unsigned: it has not, or one of its signatures is bad.
    """
    found = [made.data for made in note.signatures if (made.name, made.key_id) == (key.name, key.id)]
    if not found:
        raise Unsigned(f"not signed by {key.name} ({key.id.hex()})")
    return max(_checked(note.text, data, key) for data in found)


def _checked(text: str, data: bytes, key: NoteKey) -> int:
    seconds, signed, message = 0, data, text.encode()
    if key.kind == WITNESS:
        seconds, signed = int.from_bytes(data[:8], "big"), data[8:]
        message = _cosigned(text, seconds)
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signed, message)
    except InvalidSignature:
        raise Unsigned(f"the signature of {key.name} is bad") from None
    return seconds


def with_signatures(whole: str, added: Sequence[Signature]) -> str:
    """The note with more signatures; those of the same keys are replaced."""
    note = parse_note(whole)
    new = {(made.name, made.key_id) for made in added}
    kept = [made for made in note.signatures if (made.name, made.key_id) not in new]
    return Note(note.text, (*kept, *added)).whole
