"""The ledger as it is shown: nothing before it is under a signed head, and what is shown is what the log holds."""

import pytest

from connectors.memory import MemoryLog
from connectors.memory_registry import MemoryRegistry
from schemas import contract as contracts
from schemas.certificate_messages import CertificateRevoked
from schemas.message_types import message_types
from schemas.messages import Messages
from schemas.transparency.entries import as_leaf, canonical
from schemas.transparency.merkle import OutOfRange, included, leaf_hash
from schemas.transparency.tiles import WIDTH, Tile, TiledTree, entries_of
from streams.ledger.entry_reader import EntryReader
from streams.ledger.published import SOURCE, Follower, Published
from streams.ledger.state import Misplaced
from tests.streams.ledger.world import World

TOPIC = contracts.load().topics[SOURCE.topic]


class Shown:
    """A world whose log is in memory, and followed."""

    def __init__(self) -> None:
        registry = MemoryRegistry()
        self.codec = Messages(TOPIC, message_types(TOPIC), registry.register, registry.schema)
        self.world, self.log, self.published = World(), MemoryLog({SOURCE.topic: 1}), Published()
        self.follower = Follower(self.published, lambda: self.log, self.codec)
        self.entries = EntryReader(self.published, lambda: self.log, self.codec)
        self.copied = 0

    def follow(self) -> None:
        for offset, event in self.world.log.items():
            if offset >= self.copied:
                self.log.append(SOURCE, b"ledger", self.codec.encode(event), offset)
                self.copied = offset + 1
        self.follower.step(self.log)


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_nothing_is_shown_at_first(shown: Shown) -> None:
    shown.follow()
    assert shown.published.head is None
    for call in (lambda: shown.published.tile(Tile(0, 0, 1)), lambda: shown.published.proven(0)):
        with pytest.raises(OutOfRange):
            call()


def test_tiles_entries_and_proofs(shown: Shown) -> None:
    for start in range(0, 300, 50):
        shown.world.run(*(shown.world.issue(device, device) for device in range(start, start + 50)))
        shown.follow()
    head = shown.published.head
    assert head is not None
    assert TiledTree(head.tree_size, shown.published.tile).root() == head.root_hash
    leaves = [leaf for event in shown.world.log.values() if (leaf := as_leaf(event))]
    bundles = shown.entries.bundle(0, WIDTH) + shown.entries.bundle(1, 300 - WIDTH)
    assert entries_of(bundles) == [canonical(leaf) for leaf in leaves]
    assert shown.entries.bundle(0, WIDTH) == bundles[: len(shown.entries.bundle(0, WIDTH))]
    assert shown.entries.leaf(299) == leaves[299]
    proven = shown.published.proven(123)
    assert included(leaf_hash(canonical(leaves[123])), 123, 300, head.root_hash, proven.proof)
    with pytest.raises(OutOfRange):
        shown.entries.bundle(1, 45)


def test_a_leaf_is_shown_only_under_a_head(shown: Shown) -> None:
    shown.world.run(shown.world.issue(1, 1))
    shown.follow()
    first, *_ = shown.world.run(shown.world.issue(2, 2))
    shown.published.fold(first, 100)
    with pytest.raises(OutOfRange):
        shown.published.tile(Tile(0, 0, 2))
    with pytest.raises(OutOfRange):
        shown.published.proven(1)
    with pytest.raises(OutOfRange):
        shown.published.offsets(0, 2)


def test_what_is_revoked(shown: Shown) -> None:
    shown.world.run(shown.world.issue(1, 1), shown.world.issue(2, 2))
    serial = shown.world.authority.signed[0]
    revoked = next(event for event in shown.world.run(shown.world.revoke(serial)) if isinstance(event, CertificateRevoked))
    shown.follow()
    issuer = shown.world.authority.authorities()[0].key_id
    (listed,) = shown.published.revoked(issuer)
    assert (listed.serial, listed.at, listed.reason) == (serial, revoked.occurred_at, "key_compromise")
    status = shown.published.status(issuer, serial)
    assert status is not None
    assert status.revoked == listed
    good = shown.published.status(issuer, shown.world.authority.signed[1])
    assert good is not None
    assert good.revoked is None
    assert shown.published.status("other", serial) is None
    assert shown.published.revoked("other") == []


def test_a_log_that_was_tampered_with_is_not_followed(shown: Shown) -> None:
    shown.world.run(shown.world.issue(1, 1), shown.world.issue(2, 2))
    del shown.world.log[0]
    with pytest.raises(Misplaced):
        shown.follow()


def test_a_follower_that_stops_says_why(shown: Shown) -> None:
    shown.world.run(shown.world.issue(1, 1), shown.world.issue(2, 2))
    first = shown.world.log.pop(0)
    shown.follower.start()
    shown.copied = 0
    for offset, event in shown.world.log.items():
        shown.log.append(SOURCE, b"ledger", shown.codec.encode(event), offset)
    while not shown.follower.failure:
        assert first is not None
    shown.follower.stop()
    assert shown.follower.failure.startswith("Misplaced: leaf 1")
