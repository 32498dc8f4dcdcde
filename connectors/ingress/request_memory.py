"""The memory of requests with an idempotency key: what was answered, and what was begun and has no answer yet."""

import asyncio
import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from connectors.http.request import Answer
from connectors.ingress.rest_writer import Written

OVERHEAD = 250  # bytes that an entry takes beside its content: key, dictionary, objects
OF_RECORD = 150  # ... and those of each record of a request that has no answer yet
_HEAD = struct.Struct(">q16sHH")


@dataclass(slots=True, eq=False)
class Unfinished:
    """A request that has no final answer yet.

    Attributes:
        name: principal and key (see idempotency_key).
        began_at: microseconds since 1970; its life counts from here.
        topic, records: what it writes; known once its body was understood.
        starts: for each partition an offset before which none of its records are, but those in `written`.
        written: the records that are in the log, by their place in the request.
        durable: the log knows that it began.
        task: who carries it out, while somebody does.
        interrupted: another process began it, and what it wrote was not looked up yet.
        unknowable: nobody can say whether the records missing in `written` were written.
    """

    name: str
    request_id: str
    fingerprint: bytes
    began_at: int
    topic: str = ""
    records: int = 0
    starts: list[int] = field(default_factory=list)
    written: dict[int, Written] = field(default_factory=dict)
    durable: bool = False
    task: asyncio.Task[Answer] | None = None
    interrupted: bool = False
    unknowable: bool = False

    @property
    def complete(self) -> bool:
        """Whether all of its records are in the log, so that only its answer is missing."""
        return 0 < self.records == len(self.written)

    @property
    def size(self) -> int:
        return OVERHEAD + OF_RECORD * self.records


class Done(NamedTuple):
    """A request that was answered for good. The answer's headers are not kept: final answers have none."""

    began_at: int
    fingerprint: bytes
    answer: Answer

    def packed(self) -> bytes:
        answer = self.answer
        head = _HEAD.pack(self.began_at, self.fingerprint, answer.status, len(answer.content_type))
        return head + answer.content_type + answer.body


def unpacked(packed: bytes) -> Done:
    began_at, fingerprint, status, length = _HEAD.unpack_from(packed)
    at = _HEAD.size + length
    return Done(began_at, fingerprint, Answer(packed[at:], status, packed[_HEAD.size : at]))


class RequestMemory:
    """Requests by the digest of their name, within `most_bytes` and for `life` microseconds: the oldest are forgotten
    first, but none that is being carried out."""

    def __init__(self, most_bytes: int, life: int) -> None:
        self.most_bytes, self.life = most_bytes, life
        self.bytes = 0
        self._entries: dict[bytes, Unfinished | bytes] = {}
        self._sizes: dict[bytes, int] = {}  # of the unfinished, as they were counted

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def unfinished(self) -> list[Unfinished]:
        return [entry for name in self._sizes if isinstance(entry := self._entries[name], Unfinished)]

    def find(self, name: bytes, now: int) -> Done | Unfinished | None:
        """What is known of a request at the time `now`; one that has outlived its life is forgotten."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        found = entry if isinstance(entry, Unfinished) else unpacked(entry)
        if self._outlived(found, now):
            self.forget(name)
            return None
        return found

    def put(self, name: bytes, entry: Unfinished | Done, now: int) -> None:
        """Remember a request, in place of what was known of it."""
        self.forget(name)
        if isinstance(entry, Unfinished):
            self._entries[name], size = entry, entry.size
            self._sizes[name] = size
        else:
            self._entries[name] = packed = entry.packed()
            size = OVERHEAD + len(packed)
        self.bytes += size
        self._make_room(now)

    def forget(self, name: bytes, only: Unfinished | None = None) -> None:
        """Forget a request; with `only`, if it is still that one."""
        if only is not None and self._entries.get(name) is not only:
            return
        entry = self._entries.pop(name, None)
        if isinstance(entry, Unfinished):
            self.bytes -= self._sizes.pop(name)
        elif entry is not None:
            self.bytes -= OVERHEAD + len(entry)

    def _outlived(self, entry: Unfinished | Done, now: int) -> bool:
        running = isinstance(entry, Unfinished) and entry.task is not None
        return not running and now - entry.began_at >= self.life

    def _make_room(self, now: int) -> None:
        excess, found = self.bytes - self.most_bytes, []
        for name, entry in self._entries.items():
            if isinstance(entry, Unfinished):
                began_at, size, running = entry.began_at, self._sizes[name], entry.task is not None
            else:
                began_at, size, running = _HEAD.unpack_from(entry)[0], OVERHEAD + len(entry), False
            if running:
                continue
            if excess <= 0 and now - began_at < self.life:
                break
            found.append(name)
            excess -= size
        for name in found:
            self.forget(name)
