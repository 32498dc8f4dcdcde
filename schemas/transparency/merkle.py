"""Merkle trees of RFC 9162 section 2.1: appending, roots, inclusion and consistency proofs, and their verification.

Hashes are SHA-256, 32 bytes. A proof is a sequence of hashes in the RFC's order. Pure.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class OutOfRange(ValueError):
    """A leaf, tile or size that the tree does not have."""


class Provable(ABC):
    """A tree whose complete subtrees' hashes are to be had."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Leaves."""

    @abstractmethod
    def complete(self, height: int, index: int) -> bytes:
        """The hash of the `index`-th complete subtree of 2**height leaves, which is within `size`."""

    def root(self, size: int | None = None) -> bytes:
        """The hash of the first `size` leaves, by default of all."""
        size = self._had(size)
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The proof that a leaf is in the tree of the first `size` leaves (2.1.3.1)."""
        size = self._had(size)
        if not 0 <= index < size:
            raise OutOfRange(f"leaf {index} is not in a tree of {size}")
        proof, low, high = [], 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                proof.append(self._range(middle, high))
                high = middle
            else:
                proof.append(self._range(low, middle))
                low = middle
        return proof[::-1]

    def consistency(self, first: int, second: int | None = None) -> list[bytes]:
        """The proof that the tree of the first `second` leaves continues that of the first `first` (2.1.4.1)."""
        second = self._had(second)
        if not 0 <= first <= second:
            raise OutOfRange(f"a tree of {second} leaves does not continue one of {first}")
        proof: list[bytes] = []
        low, high = 0, second
        while 0 < first < high:
            middle = low + _split(high - low)
            if first <= middle:
                proof.append(self._range(middle, high))
                high = middle
            else:
                proof.append(self._range(low, middle))
                low = middle
        if low:  # else the verifier knows the hash: it is the first root
            proof.append(self._range(low, high))
        return proof[::-1]

    def _had(self, size: int | None) -> int:
        if size is None:
            return self.size
        if not 0 <= size <= self.size:
            raise OutOfRange(f"the tree has {self.size} leaves, not {size}")
        return size

    def _range(self, low: int, high: int) -> bytes:
        """The hash over the leaves [low, high), where `low` is a multiple of the next power of two of their count."""
        parts = []
        while low < high:
            height = (high - low).bit_length() - 1
            parts.append(self.complete(height, low >> height))
            low += 1 << height
        hashed = parts.pop()
        while parts:
            hashed = node_hash(parts.pop(), hashed)
        return hashed


class Tree(Provable):
    """All hashes of complete subtrees, 64 bytes a leaf: level k holds those of 2**k leaves, side by side."""

    def __init__(self) -> None:
        self._levels = [bytearray()]

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_BYTES

    def append(self, hashed: bytes) -> int:
        """Add a leaf by its hash; returns its index."""
        index = place = self.size
        for level in self._levels:
            level += hashed
            if not place & 1:
                return index
            hashed = node_hash(bytes(level[-2 * HASH_BYTES : -HASH_BYTES]), hashed)
            place >>= 1
        self._levels.append(bytearray(hashed))
        return index

    def truncate(self, size: int) -> None:
        """Take back the leaves from `size` on."""
        for height, level in enumerate(self._levels):
            del level[(size >> height) * HASH_BYTES :]
        while len(self._levels) > 1 and not self._levels[-1]:
            self._levels.pop()

    def complete(self, height: int, index: int) -> bytes:
        return bytes(self._levels[height][index * HASH_BYTES : (index + 1) * HASH_BYTES])

    def leaf(self, index: int) -> bytes:
        """The hash of a leaf."""
        return self.hashes(0, index, 1)

    def hashes(self, height: int, start: int, count: int) -> bytes:
        """`count` hashes of complete subtrees of 2**height leaves, from the `start`-th on."""
        if start < 0 or count < 1 or height < 0 or (start + count) << height > self.size:
            raise OutOfRange(f"{count} subtrees of 2**{height} leaves from {start} on are not in a tree of {self.size}")
        return bytes(self._levels[height][start * HASH_BYTES : (start + count) * HASH_BYTES])

    def dump(self) -> bytes:
        """The leaves' hashes, side by side."""
        return bytes(self._levels[0])


def restored(hashes: bytes) -> Tree:
    """The tree whose leaves' hashes `Tree.dump` gave.

    Raises:
        ValueError: these are no whole hashes.
    """
    if len(hashes) % HASH_BYTES:
        raise ValueError(f"{len(hashes)} bytes are no whole hashes")
    tree = Tree()
    for start in range(0, len(hashes), HASH_BYTES):
        tree.append(hashes[start : start + HASH_BYTES])
    return tree


def _split(count: int) -> int:
    """The largest power of two below `count` (2 or more)."""
    return 1 << ((count - 1).bit_length() - 1)


def root_by_inclusion(hashed: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (2.1.3.2); None if it has not the form of one."""
    if not 0 <= index < size:
        return None
    place, last = index, size - 1
    for step in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            hashed = node_hash(step, hashed)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            hashed = node_hash(hashed, step)
        place, last = place >> 1, last >> 1
    return hashed if last == 0 else None


def included(hashed: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the leaf of that hash is the `index`-th of the tree of this size and root."""
    return root_by_inclusion(hashed, index, size, proof) == root


def consistent(first: int, first_root: bytes, second: int, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the second tree continues the first (2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first == 0:
        return not proof and first_root == EMPTY_ROOT and (second > 0 or second_root == EMPTY_ROOT)
    if first == second:
        return not proof and first_root == second_root
    steps = list(proof) if first & (first - 1) else [first_root, *proof]
    if not steps:
        return False
    return _both_roots(first - 1, second - 1, steps) == (first_root, second_root)


def _both_roots(place: int, last: int, steps: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return None
        if place & 1 or place == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, step)
        place, last = place >> 1, last >> 1
    return (before, after) if last == 0 else None
