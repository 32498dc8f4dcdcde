"""A view is proven by its roots, also while it is written; whatever is wrong in it is found, and its key named."""

import random
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryKeyedStore, MemoryLog, MemoryRowStore
from connectors.memory_chunks import MemoryChunks
from connectors.memory_leaves import MemoryLeaves
from connectors.ports import Change, Leaf
from projections.canonical import document_leaf, roots_of_leaves
from projections.catalogue import DEVICE_STATE
from schemas.log import TopicPartition
from streams.prove import ADDED, CHANGED, OTHERWISE, REMOVED, Documents, prove_documents, sample_documents
from streams.refold import Source
from streams.roots import document_cut, roots_of, seal
from streams.row_proof import DOUBTED, Rows, prove_rows, row_roots, sample_rows
from tests.projections.records import logs
from tests.streams.test_rebuild_and_verify import DECODERS, MovingStore, damage, filled, fold, maker
from tests.streams.test_runner import EVENTS, ROWS, Log

SIZE = 3  # offsets of a chunk


def of(store: MemoryKeyedStore, log: MemoryLog) -> Documents:
    return Documents(Source(DEVICE_STATE, log, DECODERS), store, MemoryLeaves(store), 1)


def rows_of(store: MemoryRowStore, log: MemoryLog) -> Rows:
    return Rows(ROWS, store, MemoryChunks(store), log, DECODERS, 1)


@settings(max_examples=20, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_a_view_that_lags_is_proven_as_far_as_it_is(log: Log, seed: int) -> None:
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept, random.Random(seed))
    verdict = prove_documents(of(store, kept))
    documents = dict(store.scan(1))
    assert (verdict.keys, verdict.differing) == (len(documents), ())
    assert verdict.roots is not None
    assert verdict.roots.partitions == roots_of_leaves({k: document_leaf(k, d) for k, d in documents.items()}, 6)
    assert verdict.roots.positions == store.positions(1)
    assert sample_documents(of(store, kept), 2, random.Random(seed)).keys == min(2, len(documents))


@settings(max_examples=20, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_a_view_that_moves_meanwhile_is_proven_exactly(log: Log, seed: int) -> None:
    kept, store = filled(log), MovingStore()
    fold(DEVICE_STATE, store, kept, random.Random(seed))
    runner = maker(DEVICE_STATE, store)(1)
    bounds = kept.bounds(DEVICE_STATE.topics)
    starts = runner.start(bounds)
    moves = (runner.handle(batch) for source, (_, end) in bounds.items() for batch in kept.read(source, starts[source], end))

    class MovingLeaves(MemoryLeaves):
        def seal(self, *arguments: Any) -> None:
            next(moves, None)
            super().seal(*arguments)

        def kept(self, *arguments: Any) -> Any:
            next(moves, None)
            return super().kept(*arguments)

    documents = Documents(Source(DEVICE_STATE, kept, DECODERS), store, MovingLeaves(store), 1)
    assert prove_documents(documents).differing == ()
    assert sample_documents(documents, 100, random.Random(seed)).differing == ()


@settings(max_examples=30, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_one_changed_field_is_found_by_its_hash_and_by_the_log(log: Log, seed: int) -> None:
    """As a byte that flips in the store, and as a fold that was wrong, which has its hash."""
    assume(log)
    chance = random.Random(seed)
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    key, document = chance.choice(list(store.scan(1)))
    seal(MemoryLeaves(store), 1, 6)
    damage(store, key, document, chance)
    verdict = prove_documents(of(store, kept))
    assert verdict.reasons == {key: CHANGED}
    assert sample_documents(of(store, kept), 100, chance).reasons == {key: CHANGED}
    rehash(store, key)
    verdict = prove_documents(of(store, kept))
    assert verdict.reasons == {key: OTHERWISE}
    assert sample_documents(of(store, kept), 100, chance).reasons == {key: OTHERWISE}


def rehash(store: MemoryKeyedStore, key: str) -> None:
    """Make the hash the one of the document as it is."""
    (loaded,) = store.load(1, [key])
    source, position = next(iter(store.positions(1).items()))
    bucket = of(store, MemoryLog({})).bucket_of(key)
    leaf = Leaf(bucket, document_leaf(key, loaded.document))
    store.commit(1, source, position, position, {key: Change(loaded.revision, {}, leaf=leaf)})


@settings(max_examples=20, deadline=None)
@given(logs(), st.integers(0, 2**32), st.booleans())
def test_what_was_removed_or_added_is_found(log: Log, seed: int, with_hash: bool) -> None:
    assume(log)
    chance = random.Random(seed)
    kept, store = filled(log), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    source, position = next(iter(store.positions(1).items()))
    key, _ = chance.choice(list(store.scan(1)))
    with store.writing(1) as held:
        del held.content[key]
        if with_hash:
            held.buckets[of(store, kept).bucket_of(key)].keep(key, None)
    store.commit(1, source, position, position, {"by-hand": Change(0, {"count.telemetry": "1"})})
    verdict = prove_documents(of(store, kept))
    assert verdict.reasons == {key: OTHERWISE if with_hash else REMOVED, "by-hand": ADDED}
    assert verdict.keys == len(dict(store.scan(1))) + 1


def test_a_hash_of_a_bucket_that_is_not_that_of_its_documents_is_found() -> None:
    kept, store = filled(telemetry(3)), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    documents = of(store, kept)
    seal(documents.leaves, 1, 6)
    bucket = documents.bucket_of("dev-1")
    with store.writing(1) as held:
        held.buckets[bucket].hash = b"\x00" * 32
    assert list(prove_documents(documents).differing) == [f"bucket {bucket}"]


def test_only_buckets_that_changed_are_worked_out_again() -> None:
    kept, store = filled(telemetry(40)), MemoryKeyedStore()
    fold(DEVICE_STATE, store, kept)
    leaves = MemoryLeaves(store)
    assert seal(leaves, 1, 6) == len({of(store, kept).bucket_of(f"dev-{n}") for n in range(40)})
    assert seal(leaves, 1, 6) == 0
    before = roots_of(document_cut(leaves, 1, 6), 6)
    kept.append(TopicPartition("fleet.telemetry", 0), b"k", filled_value(7, 41))
    runner = maker(DEVICE_STATE, store)(1)
    runner.start(kept.bounds(DEVICE_STATE.topics))
    for batch in kept.read(TopicPartition("fleet.telemetry", 0), 40, 41):
        runner.handle(batch)
    assert seal(leaves, 1, 6) == 1
    after = roots_of(document_cut(leaves, 1, 6), 6)
    assert sum(before.partitions[name] != after.partitions[name] for name in before.partitions) == 1
    assert before.root != after.root


def telemetry(devices: int) -> Log:
    return [("fleet.telemetry", 0, number, record(number, number)) for number in range(devices)]


def record(device: int, sequence: int) -> dict[str, Any]:
    envelope = {"event_id": str(sequence), "device_id": f"dev-{device}", "occurred_at": 1, "received_at": 2 + sequence}
    return {**envelope, "boot_id": "b", "sequence": sequence, "readings": []}


def filled_value(device: int, sequence: int) -> bytes:
    from tests.streams.decoding import encode

    return encode(record(device, sequence))


@settings(max_examples=30, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_rows_are_proven_as_far_as_they_are(log: Log, seed: int) -> None:
    kept, store = filled(log), MemoryRowStore(EVENTS)
    fold(ROWS, store, kept, random.Random(seed))
    rows = rows_of(store, kept)
    verdict = prove_rows(rows, maker(ROWS, store), SIZE)
    assert verdict.differing == ()
    assert verdict.roots == row_roots(store, rows.chunks, 1, SIZE) == row_roots(store, rows.chunks, 1, SIZE)
    assert prove_rows(rows, maker(ROWS, store), SIZE) == verdict
    assert store.versions() == [1]
    assert sample_rows(rows, 2).differing == ()


@settings(max_examples=30, deadline=None)
@given(logs(), st.integers(0, 2**32))
def test_a_row_that_is_lost_or_changed_is_found(log: Log, seed: int) -> None:
    kept, store, chance = filled(log), MemoryRowStore(EVENTS), random.Random(seed)
    fold(ROWS, store, kept)
    rows = rows_of(store, kept)
    before = row_roots(store, rows.chunks, 1, SIZE)
    with store.writing(1) as held:
        assume(held.content)
        identity = chance.choice(sorted(held.content))
        row = held.content.pop(identity)
        if chance.random() < 0.5:
            held.content[identity] = (*row[:-1], row[-1] + "x")
    key = row[EVENTS.names.index(EVENTS.key)]
    verdict = prove_rows(rows, maker(ROWS, store), SIZE)
    kept_wrong = f"{row[0]}/{row[1]} [{row[2] // SIZE * SIZE}, {row[2] // SIZE * SIZE + SIZE})"
    whole_chunk = row[2] // SIZE * SIZE + SIZE <= store.positions(1)[TopicPartition(*row[:2])]
    assert verdict.reasons == {key: "the log implies other rows"} | ({kept_wrong: DOUBTED} if whole_chunk else {})
    assert verdict.roots != before
    if any(held_row[EVENTS.names.index(EVENTS.key)] == key for held_row in store.frame(1).iter_rows()):
        assert sample_rows(rows, 100).differing == (key,)
