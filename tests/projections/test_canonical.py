"""Canonical hashes are what their description says, and do not depend on how the records came to be folded."""

import hashlib
import itertools
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.canonical import (
    BUCKETS,
    CHUNK,
    EMPTY_BUCKET,
    bucket_hash,
    bucket_of,
    chunk_hash,
    document_bytes,
    document_leaf,
    document_roots,
    partition_of_bucket,
    roots_of_leaves,
    row_root,
    view_root,
)
from projections.catalogue import CATALOGUE, DEVICE_STATE
from projections.projection import KeyedProjection
from projections.updates import changes
from schemas import contract
from schemas.partitioner import partition_of
from schemas.transparency.merkle import Tree, leaf_hash
from tests.projections.records import frame, logs

Log = list[tuple[str, int, int, dict[str, Any]]]
texts = st.text(max_size=40)
documents = st.dictionaries(texts, texts, max_size=20)
leaves = st.dictionaries(texts, st.binary(min_size=32, max_size=32), max_size=12)


def packed(text: str) -> bytes:
    """A string of msgpack."""
    data = text.encode()
    if len(data) < 32:
        return bytes([0xA0 | len(data)]) + data
    return bytes([0xD9, len(data)]) + data


@given(texts, documents)
def test_the_bytes_of_a_document_are_as_described(key: str, document: dict[str, str]) -> None:
    pairs = sorted((name.encode(), name, text) for name, text in document.items())
    size = bytes([0x80 | len(pairs)]) if len(pairs) < 16 else b"\xde" + len(pairs).to_bytes(2, "big")
    expected = b"\x92" + packed(key) + size + b"".join(packed(name) + packed(text) for _, name, text in pairs)
    assert document_bytes(key, document) == expected
    assert document_leaf(key, document) == hashlib.sha256(b"\x00" + expected).digest()


@given(texts, documents, st.randoms(use_true_random=False))
def test_the_order_of_fields_does_not_matter_and_every_byte_does(key: str, document: dict[str, str], chance: Any) -> None:
    mixed = list(document.items())
    chance.shuffle(mixed)
    assert document_leaf(key, dict(mixed)) == document_leaf(key, document)
    assert document_leaf(key + "x", document) != document_leaf(key, document)
    for name, text in document.items():
        assert document_leaf(key, {**document, name: text + "\x00"}) != document_leaf(key, document)
        assert document_leaf(key, {other: document[other] for other in document if other != name}) != document_leaf(
            key, document
        )


@given(texts, st.integers(1, 64))
def test_a_bucket_belongs_to_the_partition_that_kafka_puts_the_key_into(key: str, partitions: int) -> None:
    bucket = bucket_of(key, partitions)
    assert 0 <= bucket < BUCKETS * partitions
    assert partition_of_bucket(bucket, partitions) == partition_of(key.encode(), partitions)


@settings(max_examples=8, deadline=None)
@given(leaves, st.integers(1, 3))
def test_roots_are_those_of_the_trees_over_all_buckets(held: dict[str, bytes], partitions: int) -> None:
    trees = [Tree() for _ in range(partitions)]
    for place, (number, tree) in itertools.product(range(BUCKETS), enumerate(trees)):
        inside = sorted((key.encode(), key) for key in held if bucket_of(key, partitions) == place * partitions + number)
        tree.append(leaf_hash(b"".join(held[key] for _, key in inside)))
    assert roots_of_leaves(held, partitions) == {str(number): tree.root() for number, tree in enumerate(trees)}


def test_a_bucket_that_a_view_does_not_have_is_refused() -> None:
    assert bucket_hash({}) == EMPTY_BUCKET
    with pytest.raises(ValueError, match="a view of 2 partitions does not have"):
        document_roots({BUCKETS * 2: EMPTY_BUCKET}, 2)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=9), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[bytes], chance: random.Random) -> None:
    mixed = rows.copy()
    chance.shuffle(mixed)
    assert chunk_hash(mixed) == chunk_hash(rows)
    assert chunk_hash([*rows, b"x" * 32]) != chunk_hash(rows)


@given(st.dictionaries(st.integers(0, 2**40), st.binary(min_size=32, max_size=32), min_size=1, max_size=9))
def test_the_root_of_rows_says_which_chunk_holds_what(chunks: dict[int, bytes]) -> None:
    assert CHUNK > 1
    root = row_root(chunks)
    assert row_root(dict(reversed(chunks.items()))) == root
    assert row_root({number + 1: held for number, held in chunks.items()}) != root
    assert view_root({"t/0": root, "t/1": root}) != view_root({"t/0": root, "t/2": root})


@settings(max_examples=25, deadline=None)
@given(logs(), st.integers(1, 7), st.randoms(use_true_random=False))
def test_roots_are_the_same_whatever_the_batches_and_the_order_of_partitions(log: Log, size: int, chance: Any) -> None:
    partitions = [(source, list(members)) for source, members in itertools.groupby(log, key=lambda entry: entry[:2])]
    expected = roots_of_leaves(folded(partitions, 500), 6)
    chance.shuffle(partitions)
    assert roots_of_leaves(folded(partitions, size), 6) == expected


def folded(partitions: list[tuple[tuple[str, int], Log]], size: int) -> dict[str, bytes]:
    state: dict[str, dict[str, str]] = {}
    for (topic, partition), members in partitions:
        numbered = [(offset, record) for _, _, offset, record in members]
        for start in range(0, len(numbered), size):
            for key, updates in DEVICE_STATE.summary(topic, frame(topic, partition, numbered[start : start + size])).items():
                document = state.setdefault(key, {})
                document.update(changes(document, updates))
    return {key: document_leaf(key, document) for key, document in state.items()}


def test_views_of_documents_have_the_partitions_of_their_topics() -> None:
    topics = contract.load().topics
    for view in CATALOGUE:
        if isinstance(view, KeyedProjection):
            assert {topics[topic].partitions for topic in view.topics} == {view.partitions}, view.name
