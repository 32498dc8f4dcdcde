"""How fast the ledger's tree grows and proves; beside the hashing that it can't do without."""

import hashlib
import resource
import time
from collections.abc import Callable
from typing import Any

from infra.bench.report import Figures
from schemas.transparency.merkle import Tree, consistent, included, leaf_hash, restored

MOST_LEAVES = 1_000_000
LEAVES_A_SECOND = 50_000  # as many are made for each second that is asked for: a fifth of the time of a run
CALLS = 2_000
ENTRY_BYTES = 1_500  # of a certificate's entry

ABOUT = """\
One thread adds entries of 1,500 bytes to the Merkle tree: hashes the entry, and all that becomes complete above it.
`hashing` is the same number of SHA-256 calls over as many bytes and nothing else. The detail tells, of the tree at its
end, microseconds of a root, an inclusion proof, a consistency proof and their verification, the bytes that the process
has grown by for each leaf, and the seconds that a restart needs to make the tree anew from the leaves' hashes."""


def run(seconds: float) -> dict[str, Any]:
    """Grow a tree of a size that fits into `seconds`, a million leaves at most, and prove from it."""
    leaves = min(MOST_LEAVES, max(1_000, int(seconds * LEAVES_A_SECOND)))
    entries = [number.to_bytes(8, "big") * (ENTRY_BYTES // 8) for number in range(1_000)]
    tree = Tree()
    before = _resident()
    started = time.perf_counter()
    for number in range(leaves):
        tree.append(leaf_hash(entries[number % 1_000]))
    took = time.perf_counter() - started
    grown = _resident() - before
    bare = _hashing(entries, leaves)
    detail = {"leaves": leaves, "bytes a leaf": round(grown / leaves, 1), **_proofs(tree)}
    started = time.perf_counter()
    restored(tree.dump())
    detail["restart seconds"] = round(time.perf_counter() - started, 2)
    return Figures(
        bench="ledger",
        ours=leaves / took,
        limits={"hashing": leaves / bare},
        unit="leaves/s",
        targets={"hashing": 1 / 3},
        about=ABOUT,
        detail=detail,
    ).result()


def _hashing(entries: list[bytes], leaves: int) -> float:
    node = bytes(65)
    started = time.perf_counter()
    for number in range(leaves):
        hashlib.sha256(b"\x00" + entries[number % 1_000]).digest()
        hashlib.sha256(node).digest()
    return time.perf_counter() - started


def _proofs(tree: Tree) -> dict[str, float]:
    """Microseconds of each call, over leaves and sizes spread over the tree."""
    size, root = tree.size, tree.root()
    places = [number * (size - 1) // CALLS for number in range(CALLS)]
    proofs = [tree.inclusion(place) for place in places]
    paths = [tree.consistency(place + 1) for place in places]
    roots = [tree.root(place + 1) for place in places]
    leaves = [tree.leaf(place) for place in places]

    def timed(call: Callable[[int], object]) -> float:
        started = time.perf_counter()
        for number in range(CALLS):
            call(number)
        return round((time.perf_counter() - started) / CALLS * 1e6, 1)

    return {
        "root us": timed(lambda n: tree.root()),
        "inclusion us": timed(lambda n: tree.inclusion(places[n])),
        "consistency us": timed(lambda n: tree.consistency(places[n] + 1)),
        "verify inclusion us": timed(lambda n: included(leaves[n], places[n], size, root, proofs[n])),
        "verify consistency us": timed(lambda n: consistent(places[n] + 1, roots[n], size, root, paths[n])),
    }


def _resident() -> int:
    """Most bytes that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
