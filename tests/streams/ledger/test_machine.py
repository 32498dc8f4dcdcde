"""What the ledger decides, command by command."""

from typing import TypeVar

import pytest

from connectors.ports import Away
from schemas import certificate_messages as messages
from schemas.messages import Event
from schemas.registration_commands import RecordCertificate, RecordCertificateFailure, RecordRevocation
from schemas.transparency.entries import canonical
from schemas.transparency.merkle import included, leaf_hash
from schemas.transparency.notes import opened
from streams.ledger.state import Misplaced
from streams.machine import Keyed
from tests.streams.ledger.world import DAY, LIFE, SIGNER, World

E = TypeVar("E", bound=Event)


def only(events: list[Event], kind: type[E]) -> E:
    (event,) = (event for event in events if isinstance(event, kind))
    return event


def code(events: list[Event]) -> str:
    return only(events, messages.CertificateRefused).code


def test_a_certificate_is_entered_with_a_head_and_sent_with_its_proof() -> None:
    world = World()
    command = world.issue(1, 1)
    events = world.run(command)
    assert [type(event).__name__ for event in events] == ["CertificateIssued", "TreeHeadSigned"]
    issued = only(events, messages.CertificateIssued)
    assert (issued.leaf_index, issued.hardware_id, issued.command_id) == (0, "SN-1", command.command_id)
    (record,) = world.sent
    assert (record.topic, record.key) == ("fleet.registration.commands", "SN-1")
    sent = record.message
    assert isinstance(sent, RecordCertificate)
    head = opened(sent.checkpoint, SIGNER.key)
    assert (head.size, sent.serial, sent.chain) == (sent.tree_size, issued.serial, (b"issuer",))
    assert included(leaf_hash(canonical(issued)), sent.leaf_index, sent.tree_size, head.root, sent.inclusion_proof)


def test_a_batch_has_one_head_and_each_certificate_its_proof_against_it() -> None:
    world = World()
    events = world.run(*(world.issue(device, device) for device in range(5)))
    assert only(events, messages.TreeHeadSigned).tree_size == 5
    assert [event.leaf_index for event in events[:-1] if isinstance(event, messages.CertificateIssued)] == [0, 1, 2, 3, 4]
    assert {record.message.tree_size for record in world.sent if isinstance(record.message, RecordCertificate)} == {5}


def test_a_command_that_comes_again_points_to_the_first_answer() -> None:
    world = World()
    command = world.issue(1, 1)
    world.run(command)
    first = world.sent[-1].message
    for _ in range(2):
        events = world.run(command)
        assert only(events, messages.LedgerCommandRepeated).answer_offset == 0
        again = world.sent[-1].message
        assert isinstance(again, RecordCertificate)
        assert again.command_id == first.command_id
    assert len({event.event_id for event in world.log.values()}) == len(world.log)
    assert len(world.authority.signed) == 1


def test_a_session_gets_one_certificate() -> None:
    world = World()
    world.run(world.issue(1, 1, session=7))
    events = world.run(world.issue(1, 1, session=7))
    assert only(events, messages.LedgerCommandRepeated).answer_offset == 0
    serials = [record.message.serial for record in world.sent if isinstance(record.message, RecordCertificate)]
    assert serials == world.authority.signed * 2
    assert code(world.run(world.issue(2, 2, session=7))) == "SESSION_UNKNOWN"


def test_a_session_gets_one_certificate_within_a_batch() -> None:
    world = World()
    events = world.run(world.issue(1, 1, session=7), world.issue(1, 1, session=7))
    assert code(events) == "DONE_ALREADY"
    sent = [record.message for record in world.sent]
    assert len({message.serial for message in sent if isinstance(message, RecordCertificate)}) == 1
    assert len({message.command_id for message in sent}) == 2


def test_a_key_of_another_device_is_refused_also_when_its_certificate_is_gone() -> None:
    world = World()
    first = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    assert code(world.run(world.issue(2, 1))) == "KEY_IN_USE"
    failure = world.sent[-1].message
    assert isinstance(failure, RecordCertificateFailure)
    assert failure.detail.startswith("KEY_IN_USE: ")
    world.run(world.revoke(first.serial))
    assert code(world.run(world.issue(2, 1))) == "KEY_IN_USE"
    assert world.authority.signed == [first.serial]


def test_what_the_authority_refuses_is_told() -> None:
    world = World()
    assert code(world.run(world.issue(1, 1, csr=b"bad"))) == "BAD_CSR"
    assert world.machine.state.tree.size == 0


def test_an_authority_that_is_away_leaves_nothing_behind() -> None:
    world = World()
    world.run(world.issue(1, 1))
    root = world.machine.state.tree.root()
    world.authority.away = True
    commands = [Keyed("ledger", world.revoke(world.authority.signed[0])), Keyed("ledger", world.issue(2, 2))]
    with pytest.raises(Away):
        world.machine.work(commands)
    world.machine.drop()
    assert (world.machine.state.tree.size, world.machine.state.tree.root()) == (1, root)
    world.authority.away = False
    events = world.commit(world.machine.work(commands))
    assert [type(event).__name__ for event in events] == ["CertificateRevoked", "CertificateIssued", "TreeHeadSigned"]


def test_a_key_that_the_server_made_is_sent_once() -> None:
    world = World()
    command = world.issue(1, 1, key_mode="server", csr=None)
    world.run(command)
    world.run(command)
    sealed = [record.message.sealed_key for record in world.sent if isinstance(record.message, RecordCertificate)]
    assert sealed == [b"sealed", None]


def renewal(world: World, key: int, previous: str, purpose: str = "renewal") -> list[Event]:
    return world.run(world.issue(1, key, purpose=purpose, previous_serial=previous))


def test_a_renewal_is_from_two_thirds_of_life_on_and_the_previous_stays() -> None:
    world = World()
    first = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    assert code(renewal(world, 1, first.serial)) == "RENEWAL_EARLY"
    world.now = first.not_before + LIFE * 2 // 3
    renewed = only(renewal(world, 1, first.serial), messages.CertificateRenewed)
    assert renewed.previous_serial == first.serial
    previous = world.machine.state.certificates.get(first.serial)
    assert previous is not None
    assert previous.valid(world.now)


def test_a_renewal_is_for_the_same_key_of_the_same_device() -> None:
    world = World()
    first = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    world.now += LIFE * 3 // 4
    assert code(renewal(world, 2, first.serial)) == "BAD_PUBLIC_KEY"
    assert code(renewal(world, 1, "abc")) == "CERTIFICATE_UNKNOWN"
    assert code(world.run(world.issue(2, 2, purpose="renewal", previous_serial=first.serial))) == "CERTIFICATE_UNKNOWN"
    world.run(world.revoke(first.serial))
    assert code(renewal(world, 1, first.serial)) == "CERTIFICATE_REVOKED"


def test_an_expired_certificate_is_renewed_by_exception_only() -> None:
    world = World()
    first = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    world.now = first.not_after
    assert code(renewal(world, 1, first.serial)) == "CERTIFICATE_EXPIRED"
    exception = {"serial": first.serial, "detail": "was in a drawer"}
    refused = world.run(messages.GrantException(**world.names(), **exception, until=world.now))
    assert code(refused) == "BAD_EXCEPTION"
    granted = world.run(messages.GrantException(**world.names(), **exception, until=world.now + DAY))
    assert only(granted, messages.ExceptionGranted).hardware_id == "SN-1"
    assert only(renewal(world, 1, first.serial), messages.CertificateRenewed).previous_serial == first.serial
    world.now += 2 * DAY
    assert code(renewal(world, 1, first.serial)) == "CERTIFICATE_EXPIRED"


def test_a_rotation_ends_the_previous_key() -> None:
    world = World()
    first = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    assert code(renewal(world, 1, first.serial, "rotation")) == "BAD_PUBLIC_KEY"
    events = renewal(world, 2, first.serial, "rotation")
    assert [type(event).__name__ for event in events] == ["CertificateRenewed", "CertificateRevoked", "TreeHeadSigned"]
    revoked = only(events, messages.CertificateRevoked)
    assert (revoked.serial, revoked.reason) == (first.serial, "superseded")
    assert [type(record.message) for record in world.sent[-2:]] == [RecordCertificate, RecordRevocation]
    assert code(renewal(world, 3, first.serial, "rotation")) == "CERTIFICATE_REVOKED"


def test_registering_anew_ends_what_was() -> None:
    world = World()
    first = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    events = world.run(world.issue(1, 2))
    assert only(events, messages.CertificateRevoked).serial == first.serial


def test_an_older_key_does_not_come_back_by_an_exception() -> None:
    world = World()
    first = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    world.now = first.not_after
    world.run(world.issue(1, 2))
    granted = messages.GrantException(**world.names(), serial=first.serial, detail="x", until=world.now + DAY)
    world.run(granted)
    assert code(renewal(world, 1, first.serial)) == "KEY_REPLACED"


def test_revoking_twice_is_revoking_once() -> None:
    world = World()
    first = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    revoked = only(world.run(world.revoke(first.serial)), messages.CertificateRevoked)
    offset = next(offset for offset, event in world.log.items() if event == revoked)
    events = world.run(world.revoke(first.serial, "unspecified"))
    assert only(events, messages.LedgerCommandRepeated).answer_offset == offset
    assert code(world.run(world.revoke("abc"))) == "CERTIFICATE_UNKNOWN"
    assert world.machine.state.tree.size == 2


def test_an_authority_is_added_once() -> None:
    world = World()
    command = messages.AddAuthority(**world.names(), certificate=b"issuer")
    assert only(world.run(command), messages.AuthorityAdded).certificate == b"issuer"
    again = messages.AddAuthority(**world.names(), certificate=b"issuer")
    assert only(world.run(again), messages.LedgerCommandRepeated).answer_offset == 0
    foreign = messages.AddAuthority(**world.names(), certificate=b"foreign")
    assert code(world.run(foreign)) == "BAD_CSR"


def test_a_fresh_head_of_the_same_tree() -> None:
    world = World()
    world.run(world.issue(1, 1))
    (event,) = world.run(messages.SignTreeHead(**world.names()))
    assert isinstance(event, messages.TreeHeadSigned)
    assert event.root_hash == world.machine.state.tree.root()


def test_a_log_that_was_tampered_with_is_not_folded() -> None:
    world = World()
    world.run(world.issue(1, 1), world.issue(2, 2))
    first, second, head = world.log.values()
    machine = world.new()
    with pytest.raises(Misplaced, match="leaf 1 stands where leaf 0 is due"):
        machine.fold("ledger", second, 1)
    machine = world.new()
    machine.fold("ledger", first, 0)
    with pytest.raises(Misplaced, match="tree head of 2 leaves"):
        machine.fold("ledger", head, 2)
