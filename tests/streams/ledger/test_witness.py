"""A witness cosigns what continues what it has seen, and keeps the proof of what does not."""

from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.ports import Away
from schemas.transparency.merkle import Tree, leaf_hash
from schemas.transparency.notes import WITNESS, Signer, check_signature, opened, parse_note
from schemas.transparency.tiles import Tile, tile_of
from streams.ledger.witness import Refused, Witness
from tests.streams.ledger.world import SIGNER

COSIGNER = Signer("witness.example/one", WITNESS, Ed25519PrivateKey.from_private_bytes(b"\7" * 32))


@dataclass
class KeptInMemory:
    kept: str | None = None

    def newest(self) -> str | None:
        return self.kept

    def keep(self, cosigned: str) -> None:
        self.kept = cosigned


def tree_of(*entries: str) -> Tree:
    tree = Tree()
    for entry in entries:
        tree.append(leaf_hash(entry.encode()))
    return tree


def checkpoint(tree: Tree, size: int | None = None) -> str:
    size = tree.size if size is None else size
    return SIGNER.checkpoint(size, tree.root(size))


def show(witness: Witness, tree: Tree, size: int | None = None, seconds: int = 1_795_302_000) -> str:
    return witness.consider(checkpoint(tree, size), lambda tile: tile_of(tree, tile), seconds)


def refusal(witness: Witness, tree: Tree, size: int | None = None) -> str:
    with pytest.raises(Refused) as caught:
        show(witness, tree, size)
    return caught.value.evidence.kind


@pytest.fixture
def heads() -> KeptInMemory:
    return KeptInMemory()


@pytest.fixture
def witness(heads: KeptInMemory) -> Witness:
    return Witness(SIGNER.key, COSIGNER, heads)


def test_a_growing_ledger_is_cosigned(witness: Witness, heads: KeptInMemory) -> None:
    for size in (0, 1, 1, 5, 300, 700):
        cosigned = show(witness, tree_of(*map(str, range(size))), seconds=1000 + size)
        assert heads.kept == cosigned
        assert opened(cosigned, SIGNER.key).size == size
        assert check_signature(parse_note(cosigned), COSIGNER.key) == 1000 + size


def test_a_forged_entry(witness: Witness, heads: KeptInMemory) -> None:
    seen = show(witness, tree_of("a", "b", "c"))
    with pytest.raises(Refused) as caught:
        show(witness, tree_of("a", "x", "c", "d"))
    evidence = caught.value.evidence
    assert (evidence.kind, evidence.seen) == ("forked", seen)
    assert opened(evidence.shown, SIGNER.key).size == 4
    assert heads.kept == seen


def test_a_dropped_and_a_reordered_entry(witness: Witness) -> None:
    show(witness, tree_of("a", "b", "c"))
    assert refusal(witness, tree_of("a", "c", "d", "e")) == "forked"
    assert refusal(witness, tree_of("b", "a", "c", "d")) == "forked"
    assert refusal(witness, tree_of("a", "c", "b")) == "forked"


def test_a_head_that_was_rolled_back(witness: Witness, heads: KeptInMemory) -> None:
    tree = tree_of("a", "b", "c")
    seen = show(witness, tree)
    assert refusal(witness, tree, 2) == "rolled_back"
    assert heads.kept == seen
    show(witness, tree_of("a", "b", "c", "d"))


def test_tiles_that_are_not_those_of_the_head(witness: Witness) -> None:
    show(witness, tree_of("a"))
    tree = tree_of("a", "b", "c")
    for lie in (b"", b"\0" * 96, tile_of(tree_of("a", "b", "x"), Tile(0, 0, 3))):
        with pytest.raises(Refused) as caught:
            witness.consider(checkpoint(tree), lambda tile, lie=lie: lie, 1)
        assert caught.value.evidence.kind == "bad_tiles"


def test_a_checkpoint_of_another_key(witness: Witness) -> None:
    other = Signer(SIGNER.key.name, 1, Ed25519PrivateKey.generate())
    tree = tree_of("a")
    with pytest.raises(Refused) as caught:
        witness.consider(other.checkpoint(1, tree.root()), lambda tile: tile_of(tree, tile), 1)
    assert caught.value.evidence.kind == "unsigned"


def test_a_ledger_that_is_away_is_no_refusal(witness: Witness, heads: KeptInMemory) -> None:
    def away(tile: Tile) -> bytes:
        raise Away("no answer")

    with pytest.raises(Away):
        witness.consider(checkpoint(tree_of("a")), away, 1)
    assert heads.kept is None


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 600), st.integers(0, 600), st.data())
def test_no_change_of_what_was_seen_is_cosigned(before: int, more: int, data: st.DataObject) -> None:
    heads = KeptInMemory()
    witness = Witness(SIGNER.key, COSIGNER, heads)
    entries = [str(number) for number in range(before + more)]
    seen = show(witness, tree_of(*entries[:before]))
    changed = data.draw(st.integers(0, before - 1))
    forged = [*entries[:changed], "forged", *entries[changed + 1 :]]
    assert refusal(witness, tree_of(*forged)) == "forked"
    assert heads.kept == seen
    show(witness, tree_of(*entries))
