"""The memory of what was already accepted, so that a retry is answered with the first answer and not written again.

An upload's identity is (topic, device id, boot id, sequence), a registration's (topic, hardware id). Beside the first
answer a digest of what the device said is kept, so that another content under the same identity is refused.
"""

import struct
from collections import deque
from hashlib import blake2b
from typing import NamedTuple

from connectors.ingress.identifiers import uuid_text

LONGEST_KEY = 48  # bytes; longer identities are hashed to DIGEST_BYTES, so that memory is bounded
DIGEST_BYTES = 24
_RECEIPT = struct.Struct(">16sIqq")


class Receipt(NamedTuple):
    """The first answer: the event's id (16 bytes), where the record is, and the digest of its content."""

    event_id: bytes
    partition: int
    offset: int
    content: int

    @property
    def event_text(self) -> str:
        return uuid_text(self.event_id)


packed = _RECEIPT.pack
"""The fields of a Receipt in as few bytes as they take: there are many of them."""


def ledger_key(identity: str) -> bytes:
    """The key of an identity."""
    key = identity.encode()
    return key if len(key) <= LONGEST_KEY else blake2b(key, digest_size=DIGEST_BYTES).digest()


class Ledger:
    """The newest `capacity` receipts, oldest first out. About 220 bytes each."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._receipts: dict[bytes, bytes] = {}
        self._order: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._receipts)

    def find(self, key: bytes) -> Receipt | None:
        packed = self._receipts.get(key)
        return None if packed is None else Receipt(*_RECEIPT.unpack(packed))

    def add(self, key: bytes, packed: bytes) -> None:
        """Remember a receipt, packed. One already there under the key stays: the first answer is the answer."""
        if key in self._receipts or self._capacity == 0:
            return
        if len(self._order) >= self._capacity:
            del self._receipts[self._order.popleft()]
        self._receipts[key] = packed
        self._order.append(key)
