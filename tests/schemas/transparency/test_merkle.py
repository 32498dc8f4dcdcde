"""The Merkle tree against RFC 9162's own definition, against known roots, and against proofs that were tampered with."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.transparency.merkle import (
    EMPTY_ROOT,
    OutOfRange,
    Tree,
    consistent,
    included,
    leaf_hash,
    restored,
    root_by_inclusion,
)
from tests.schemas.transparency import naive

# The leaves of the reference implementation of Certificate Transparency (RFC 6962), and the root of each prefix.
CT_LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
CT_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
SMALL = 70


def grown(entries: list[bytes]) -> Tree:
    tree = Tree()
    for entry in entries:
        tree.append(leaf_hash(entry))
    return tree


def numbered(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def test_the_roots_of_certificate_transparency() -> None:
    tree = grown([bytes.fromhex(leaf) for leaf in CT_LEAVES])
    assert [tree.root(size).hex() for size in range(9)] == list(CT_ROOTS)
    assert tree.root(0) == EMPTY_ROOT


def test_every_inclusion_proof_of_small_trees() -> None:
    entries = numbered(SMALL)
    tree = grown(entries)
    for size in range(1, SMALL + 1):
        root = naive.root(entries[:size])
        assert tree.root(size) == root
        for index in range(size):
            proof = tree.inclusion(index, size)
            assert proof == naive.path(index, entries[:size])
            assert included(leaf_hash(entries[index]), index, size, root, proof)


def test_every_consistency_proof_of_small_trees() -> None:
    entries = numbered(SMALL)
    tree = grown(entries)
    for second in range(1, SMALL + 1):
        for first in range(1, second + 1):
            proof = tree.consistency(first, second)
            assert proof == naive.proof(first, entries[:second])
            assert consistent(first, tree.root(first), second, tree.root(second), proof)
    assert consistent(0, EMPTY_ROOT, SMALL, tree.root(), tree.consistency(0, SMALL))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000), st.data())
def test_proofs_of_larger_trees(size: int, data: st.DataObject) -> None:
    entries = numbered(size)
    tree = grown(entries)
    index, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert tree.root() == naive.root(entries)
    assert tree.inclusion(index, size) == naive.path(index, entries)
    assert tree.consistency(first, size) == naive.proof(first, entries)
    assert included(tree.leaf(index), index, size, tree.root(), tree.inclusion(index, size))
    assert consistent(first, tree.root(first), size, tree.root(), tree.consistency(first, size))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300), st.data())
def test_a_proof_that_was_changed_shows_nothing(size: int, data: st.DataObject) -> None:
    tree = grown(numbered(size))
    index = data.draw(st.integers(0, size - 1))
    proof = tree.inclusion(index, size)
    other = data.draw(st.integers(0, size + 3))
    if other != index:
        assert not included(tree.leaf(index), other, size, tree.root(), proof)
    assert not included(leaf_hash(b"other"), index, size, tree.root(), proof)
    assert not included(tree.leaf(index), index, size, tree.root(), [*proof, tree.root()])
    for changed in tampered(proof, data):
        assert not included(tree.leaf(index), index, size, tree.root(), changed)


def tampered(proof: list[bytes], data: st.DataObject) -> list[list[bytes]]:
    if not proof:
        return []
    at = data.draw(st.integers(0, len(proof) - 1))
    return [[*proof[:at], *proof[at + 1 :]], [*proof[:at], leaf_hash(b"other"), *proof[at + 1 :]]]


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 300), st.data())
def test_a_tree_that_was_rewritten_is_not_consistent(size: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, size - 1))
    entries = numbered(size)
    before = grown(entries[:first])
    entries[data.draw(st.integers(0, first - 1))] = b"forged"
    after = grown(entries)
    assert not consistent(first, before.root(), size, after.root(), after.consistency(first, size))
    honest = grown(numbered(size))
    proof = honest.consistency(first, size)
    assert not consistent(first, before.root(), size, after.root(), proof)
    for changed in tampered(proof, data):
        assert not consistent(first, before.root(), size, honest.root(), changed)


def test_what_is_no_proof_shows_nothing() -> None:
    tree = grown(numbered(4))
    assert root_by_inclusion(tree.leaf(0), 4, 4, tree.inclusion(0, 4)) is None
    assert not consistent(3, tree.root(3), 2, tree.root(2), [])
    assert not consistent(2, tree.root(2), 4, tree.root(), [])
    assert not consistent(3, tree.root(3), 4, tree.root(), [])
    assert not consistent(0, tree.root(1), 4, tree.root(), [])
    assert not consistent(4, tree.root(3), 4, tree.root(), [])


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 50))
def test_taking_leaves_back(kept: int, more: int, others: int) -> None:
    tree = grown(numbered(kept + more))
    tree.truncate(kept)
    assert tree.size == kept
    assert tree.root() == grown(numbered(kept)).root()
    entries = numbered(kept) + [b"x%d" % number for number in range(others)]
    for entry in entries[kept:]:
        tree.append(leaf_hash(entry))
    assert tree.root() == grown(entries).root()


def test_dump_and_restore() -> None:
    tree = grown(numbered(77))
    again = restored(tree.dump())
    assert (again.size, again.root()) == (77, tree.root())
    with pytest.raises(ValueError, match="no whole hashes"):
        restored(b"x")


def test_what_the_tree_does_not_have() -> None:
    tree = grown(numbered(5))
    for call in (
        lambda: tree.root(6),
        lambda: tree.leaf(5),
        lambda: tree.inclusion(5, 5),
        lambda: tree.inclusion(-1, 5),
        lambda: tree.consistency(4, 3),
        lambda: tree.hashes(1, 2, 1),
    ):
        with pytest.raises(OutOfRange):
            call()
