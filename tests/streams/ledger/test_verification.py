"""A ledger that was tampered with does not verify: a forged, a dropped, a reordered entry, a head taken back."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.certificate_messages import CertificateIssued, TreeHeadSigned
from schemas.messages import Event
from schemas.transparency.notes import LOG, Signer
from streams.ledger.verification import Replay, replay
from tests.streams.ledger.world import SIGNER, World

Log = list[tuple[int, Event]]


@pytest.fixture
def world() -> World:
    made = World()
    for batch in range(4):
        made.run(made.issue(2 * batch, 2 * batch), made.issue(2 * batch + 1, 2 * batch + 1))
    return made


def verified(log: Log) -> Replay:
    return replay(log, SIGNER.key)


def faults(log: Log) -> list[str]:
    return [fault.detail for fault in verified(log).faults]


def test_an_honest_ledger(world: World) -> None:
    found = verified(list(world.log.items()))
    assert (found.faults, found.heads, found.state.tree.size) == ([], 4, 8)
    assert found.digests.keys() == set(world.authority.signed)
    assert found.head is not None
    assert found.compare(found.head.checkpoint, "the served checkpoint") is not None
    assert not found.faults


def test_a_forged_entry(world: World) -> None:
    log = list(world.log.items())
    offset, issued = log[0]
    assert isinstance(issued, CertificateIssued)
    log[0] = offset, msgspec.structs.replace(issued, device_id="dev-evil")
    assert faults(log) == ["the tree head of 2 leaves is not that of the 2 leaves before it"]


def test_a_dropped_entry(world: World) -> None:
    log = list(world.log.items())
    del log[3]
    assert faults(log) == ["leaf 3 stands where leaf 2 is due"]


def test_a_dropped_entry_whose_successors_were_renumbered(world: World) -> None:
    kept = [(offset, event) for offset, event in world.log.items() if getattr(event, "leaf_index", -1) != 2]
    log: Log = []
    for offset, event in kept:
        late = isinstance(event, CertificateIssued) and event.leaf_index > 2
        log.append((offset, msgspec.structs.replace(event, leaf_index=event.leaf_index - 1) if late else event))
    assert faults(log) == ["the tree head of 4 leaves is not that of the 3 leaves before it"]


def test_entries_that_changed_places(world: World) -> None:
    log = list(world.log.items())
    log[0], log[1] = (log[0][0], log[1][1]), (log[1][0], log[0][1])
    assert faults(log) == ["leaf 1 stands where leaf 0 is due"]
    first, second = (msgspec.structs.replace(event, leaf_index=at) for at, (_, event) in enumerate(log[:2]))
    log[0], log[1] = (log[0][0], first), (log[1][0], second)
    assert faults(log) == ["the tree head of 2 leaves is not that of the 2 leaves before it"]


def test_entries_added_without_a_head(world: World) -> None:
    log = list(world.log.items())[:-1]
    assert faults(log) == ["2 leaves at the end stand under no signed head"]


def resigned(log: Log, signer: Signer) -> Log:
    """The log with heads that fit its leaves, signed by whom it may be."""
    found = Replay(signer.key)
    made: Log = []
    for offset, event in log:
        if isinstance(event, TreeHeadSigned):
            size, root = found.state.tree.size, found.state.tree.root()
            head = {"tree_size": size, "root_hash": root, "checkpoint": signer.checkpoint(size, root)}
            event = msgspec.structs.replace(event, **head)
        found.read(event, offset)
        made.append((offset, event))
    assert not found.faults
    return made


def forged(world: World) -> Log:
    return [
        (offset, msgspec.structs.replace(event, device_id="dev-evil") if getattr(event, "leaf_index", -1) == 3 else event)
        for offset, event in world.log.items()
    ]


def test_a_log_rewritten_by_somebody_without_the_key(world: World) -> None:
    other = Signer(SIGNER.key.name, LOG, Ed25519PrivateKey.generate())
    found = faults(resigned(forged(world), other))
    assert len(found) == 4
    assert all("not signed by fleetlog.local/ledger" in fault for fault in found)


def test_a_log_rewritten_by_the_ledger_itself_is_not_what_was_shown_before(world: World) -> None:
    shown = verified(list(world.log.items())).head
    assert shown is not None
    found = verified(resigned(forged(world), SIGNER))
    assert not found.faults
    found.compare(shown.checkpoint, "the witness's checkpoint")
    (fault,) = found.faults
    assert fault.detail == "the witness's checkpoint is of another tree: its 8 leaves are not the log's"


def test_a_checkpoint_under_a_leaf_of_another_text_is_told(world: World) -> None:
    log = list(world.log.items())
    offset, head = log[2]
    assert isinstance(head, TreeHeadSigned)
    log[2] = offset, msgspec.structs.replace(head, checkpoint=SIGNER.checkpoint(2, b"\0" * 32))
    (fault,) = faults(log)
    assert "it says another head" in fault


def test_a_checkpoint_that_is_none(world: World) -> None:
    found = verified(list(world.log.items()))
    assert found.compare("nonsense", "the served checkpoint") is None
    assert "the served checkpoint: a note is" in found.faults[0].detail
