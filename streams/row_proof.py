"""The Merkle roots of a view of rows, and its proof: replay the log into a scratch version, compare the roots of both, then
go down to the chunks and keys that differ.

Rows never change, so both sides are cut at the positions that the view had when it began. Hashes are worked out by the store
from its rows; those of chunks that no record will be added to any more are kept and used where a root is asked for. A
verification works all of them out, and compares the kept ones too.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connectors.chunks import Chunks, Range
from connectors.ports import LogReader, RowStore
from connectors.rows import canonical
from projections.canonical import CHUNK, EMPTY_CHUNK, chunk_hash, row_root
from projections.projection import RowProjection, with_position
from schemas.log import TopicPartition
from schemas.record_columns import BatchDecoder
from schemas.row_bytes import row_hashes
from streams.refold import read_up_to, whole
from streams.roots import Roots
from streams.runner import Runner
from streams.verify import Verdict
from streams.versions import SCRATCH

AT_ONCE = 50  # chunks whose hashes are asked for in one question: bounds the memory that the store needs for it
OTHERWISE = "the log implies other rows"
DOUBTED = "the hash that is kept of it is not that of its rows"

Hashes = dict[TopicPartition, dict[int, bytes]]


@dataclass(frozen=True)
class Rows:
    """A version of a view of rows, and what is needed to prove it."""

    projection: RowProjection
    store: RowStore
    chunks: Chunks
    log: LogReader
    decoders: Mapping[str, BatchDecoder]
    version: int


def row_roots(store: RowStore, chunks: Chunks, version: int, size: int = CHUNK) -> Roots:
    """The roots where a version stands now. Hashes of full chunks are kept from the first time on."""
    positions = store.positions(version)
    kept = chunks.sealed(version)
    found: Hashes = {}
    for source, position in positions.items():
        known = {number: hashed for number, hashed in kept.get(source, {}).items() if (number + 1) * size <= position}
        missing = [number for number in range(position // size) if number not in known]
        for first, last in _runs(missing):
            fresh = _computed(chunks, version, Range(source, first * size, (last + 1) * size), size)
            chunks.seal(version, source, fresh)
            known |= fresh
        known |= _computed(chunks, version, Range(source, position // size * size, position), size)
        found[source] = known
    return roots_of(positions, found)


def roots_of(positions: Mapping[TopicPartition, int], hashes: Hashes) -> Roots:
    return Roots(positions, {str(source): row_root(hashes[source]) for source in sorted(hashes)})


def prove_rows(rows: Rows, make_runner: Callable[[int], Runner], size: int = CHUNK) -> Verdict:
    """Compare a version with the log, by way of a scratch version that is dropped again.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    positions = rows.store.positions(rows.version)
    live = _all(rows.chunks, rows.version, positions, size)
    scratch = SCRATCH + secrets.randbelow(SCRATCH)  # two verifications at once don't meet
    rows.store.prepare(scratch)
    try:
        _replay(rows, make_runner(scratch), positions)
        implied = _all(rows.chunks, scratch, positions, size)
        keys = rows.chunks.keys(rows.version, positions)
        reasons: dict[str, str] = {}
        if live != implied:
            keys = max(keys, rows.chunks.keys(scratch, positions))
            reasons = dict.fromkeys(_differing(rows, scratch, positions, (live, implied), size), OTHERWISE)
    finally:
        rows.store.drop(scratch)
    for source, kept in rows.chunks.sealed(rows.version).items():
        for number, hashed in kept.items():
            if (number + 1) * size <= positions.get(source, 0) and live.get(source, {}).get(number, EMPTY_CHUNK) != hashed:
                reasons[f"{source} [{number * size}, {(number + 1) * size})"] = DOUBTED
    return Verdict(keys, tuple(sorted(reasons)), reasons, roots_of(positions, live))


def sample_rows(rows: Rows, keys: int) -> Verdict:
    """Compare the rows of so many random keys with the log, which are folded here and not in the store.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    positions = rows.store.positions(rows.version)
    chosen = rows.chunks.sample(rows.version, keys)
    table = rows.projection.table
    differing: set[str] = set()
    for source, (low, _) in rows.log.bounds(rows.projection.topics).items():
        whole(source, low, rows.projection.name)
        implied: dict[str, list[bytes]] = {}
        position = positions.get(source, 0)
        for batch in read_up_to(rows.log, source, (low, position, position)):
            frame = rows.projection.rows(with_position(rows.decoders[source.topic].decode(batch.values).frame, batch))
            frame = frame.filter(frame[table.key].is_in(chosen))
            made = list(canonical(table, source, batch.begins, batch.following, frame).iter_rows())
            for row, hashed in zip(made, row_hashes(table, made), strict=True):
                implied.setdefault(row[table.names.index(table.key)], []).append(hashed)
        held = rows.chunks.by_key(rows.version, Range(source, 0, positions.get(source, 0)), chosen)
        hashes = {key: chunk_hash(found) for key, found in implied.items()}
        differing |= {key for key in held.keys() | hashes.keys() if held.get(key) != hashes.get(key)}
    return Verdict(len(chosen), tuple(sorted(differing)), dict.fromkeys(differing, OTHERWISE))


def _replay(rows: Rows, runner: Runner, positions: Mapping[TopicPartition, int]) -> None:
    bounds = rows.log.bounds(rows.projection.topics)
    runner.start(bounds)
    for source, (low, _) in bounds.items():
        whole(source, low, rows.projection.name)
        position = positions.get(source, 0)
        for batch in read_up_to(rows.log, source, (low, position, position)):
            runner.handle(batch)


def _all(chunks: Chunks, version: int, positions: Mapping[TopicPartition, int], size: int) -> Hashes:
    """The hashes of all chunks that hold rows, worked out from these."""
    found: Hashes = {}
    for source, position in positions.items():
        found[source] = {}
        for start in range(0, position, AT_ONCE * size):
            found[source] |= chunks.computed(version, Range(source, start, min(start + AT_ONCE * size, position)), size)
    return found


def _differing(
    rows: Rows, scratch: int, positions: Mapping[TopicPartition, int], hashes: tuple[Hashes, Hashes], size: int
) -> set[str]:
    """The keys whose rows differ, from the chunks that do."""
    live, implied = hashes
    keys: set[str] = set()
    for source in live:
        numbers = live[source].keys() | implied[source].keys()
        for number in sorted(numbers):
            if live[source].get(number) != implied[source].get(number):
                stop = min((number + 1) * size, positions[source])
                ours, theirs = (
                    rows.chunks.by_key(version, Range(source, number * size, stop)) for version in (rows.version, scratch)
                )
                keys |= {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    return keys


def _computed(chunks: Chunks, version: int, rows_of: Range, size: int) -> dict[int, bytes]:
    """The hashes of chunks, those without rows among them."""
    numbers = range(rows_of.start // size, -(-rows_of.stop // size))
    return dict.fromkeys(numbers, EMPTY_CHUNK) | chunks.computed(version, rows_of, size)


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as runs of at most AT_ONCE, each with its first and last."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1 and number - runs[-1][0] < AT_ONCE:
            runs[-1] = runs[-1][0], number
        else:
            runs.append((number, number))
    return runs
