"""Each flow from its first command to its last, with real keys of every kind."""

from typing import Any

import pytest

from schemas.certificate_messages import IssueCertificate, RevokeCertificate
from schemas.registration_commands import RecordCertificateFailure
from schemas.registration_events import (
    CertificateFailed,
    CertificateRecorded,
    CertificateWithdrawn,
    ChallengeIssued,
    ChallengePassed,
    ClaimSpent,
    CommandRefused,
    DeviceActivated,
    DevicePreRegistered,
    DeviceReset,
    RenewalRequested,
    SessionOpened,
)
from tests.streams.registration.actors import Actor, World, claim, ident, pre_register, reset, revoked
from tests.streams.registration.keyring import certificate, key

KINDS = ("ec", "ed25519", "rsa")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def operational(world: World) -> Actor:
    device = Actor(world)
    device.register(claim(world))
    assert device.state.lifecycle == "operational"
    return device


def issued(world: World) -> IssueCertificate:
    return next(message for message in reversed(world.ledger) if isinstance(message, IssueCertificate))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pin", [None, "123456"])
def test_a_claimed_device_is_registered(world: World, kind: str, pin: str | None) -> None:
    device = Actor(world, key=key(kind))
    claim_id = claim(world)
    assert isinstance(device.open(), SessionOpened)
    assert device.state.lifecycle == "network_ready"
    assert isinstance(device.spend(claim_id, pin), ClaimSpent)
    challenge = world.settle()
    assert isinstance(challenge, ChallengeIssued)
    assert (challenge.via, challenge.claim_id, challenge.owner) == ("claim", claim_id, "alice")
    assert device.state.lifecycle == "claiming"
    assert isinstance(device.confirm(challenge.nonce), ChallengePassed)
    assert device.state.lifecycle == "activating"
    issue = issued(world)
    assert (issue.public_key, issue.owner, issue.model) == (device.key.public, "alice", "cam-2")
    assert (issue.purpose, issue.previous_serial, issue.key_mode) == ("registration", None, "csr")
    assert isinstance(device.certified(issue), CertificateRecorded)
    assert isinstance(device.activate(), DeviceActivated)
    state = device.state
    assert (state.lifecycle, state.owner, state.serial, state.session) == ("operational", "alice", "5e01", None)
    assert state.public_key == device.key.public
    assert len(world.ledger) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("owner", [None, "alice"])
def test_a_pre_registered_device_needs_no_claim(world: World, kind: str, owner: str | None) -> None:
    device = Actor(world, key=key(kind))
    known = pre_register(world, device, owner)
    assert isinstance(known, DevicePreRegistered)
    assert known.key_algorithm == {"ec": "EC P-256", "ed25519": "Ed25519", "rsa": "RSA 2048"}[kind]
    device.open()
    challenge = device.prove()
    assert isinstance(challenge, ChallengeIssued)
    assert (challenge.via, challenge.claim_id, challenge.owner) == ("pre_registration", None, owner)
    device.confirm(challenge.nonce)
    assert issued(world).owner == owner
    device.certified(issued(world))
    device.activate()
    assert device.state.lifecycle == "operational"


def test_the_server_makes_the_key_where_it_is_asked_to(world: World) -> None:
    device, made = Actor(world), key("ec", 5)
    device.open()
    device.spend(claim(world))
    passed = device.confirm(world.settle().nonce, key_mode="server", csr=None)  # type: ignore[attr-defined]
    assert isinstance(passed, ChallengePassed)
    assert (issued(world).key_mode, issued(world).public_key) == ("server", device.key.public)
    device.certified(issued(world), certificate=certificate(made), sealed_key=b"sealed")
    device.activate()
    assert device.state.public_key == made.public
    device.key = made
    assert isinstance(device.renew("5e01"), RenewalRequested)


def test_a_renewal(world: World, operational: Actor) -> None:
    asked = operational.renew("5e01")
    assert isinstance(asked, RenewalRequested)
    issue = issued(world)
    assert (issue.purpose, issue.previous_serial, issue.session_id) == ("renewal", "5e01", asked.session_id)
    assert (issue.public_key, issue.owner, issue.model) == (operational.key.public, "alice", "cam-2")
    operational.certified(issue, "5e02")
    assert (operational.state.serial, operational.state.lifecycle) == ("5e02", "operational")
    assert operational.state.renewal is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_rotation_brings_in_a_key_that_the_present_one_vouches_for(world: World, operational: Actor, kind: str) -> None:
    new = key(kind, 3)
    assert isinstance(operational.renew("5e01", new), RenewalRequested)
    assert issued(world).public_key == new.public
    assert operational.state.public_key == operational.key.public
    operational.certified(issued(world), "5e02")
    assert operational.state.public_key == new.public


@pytest.mark.parametrize("purpose", ["registration", "renewal"])
def test_a_failure_of_the_authority_ends_what_waits_for_it(world: World, purpose: str) -> None:
    device = Actor(world)
    claim_id = claim(world)
    if purpose == "registration":
        device.open()
        device.spend(claim_id)
        device.confirm(world.settle().nonce)  # type: ignore[attr-defined]
    else:
        device.register(claim_id)
        device.renew("5e01")
    waiting = issued(world)
    about = world.about("ledger")
    command = RecordCertificateFailure(
        **about, hardware_id="SN-1", session_id=waiting.session_id, purpose=waiting.purpose, detail="no"
    )
    assert isinstance(world.give(command), CertificateFailed)
    assert device.state.lifecycle == ("error" if purpose == "registration" else "operational")
    assert device.state.session is None
    assert device.state.renewal is None
    if purpose == "registration":
        assert isinstance(device.open(ident("again")), SessionOpened)
        assert device.state.lifecycle == "network_ready"


def test_a_reset_device_may_be_anybodys(world: World, operational: Actor) -> None:
    before = operational.state.device_id
    gone = reset(world)
    assert isinstance(gone, DeviceReset)
    assert (gone.device_id, gone.serial) == (before, "5e01")
    revoke = world.ledger[-1]
    assert isinstance(revoke, RevokeCertificate)
    assert (revoke.serial, revoke.reason) == ("5e01", "cessation_of_operation")
    withdrawn = revoked(world, "5e01", "cessation_of_operation")
    assert isinstance(withdrawn, CertificateWithdrawn)
    assert withdrawn.device_id == before
    other = Actor(world, key=key("ec", 2), fingerprint=b"g" * 32, session=ident("other"))
    other.register(claim(world, 2, "bob"), "5e09")
    assert (other.state.owner, other.state.lifecycle) == ("bob", "operational")
    assert other.state.device_id != before


def test_a_device_that_lost_its_certificate_registers_anew_and_the_lost_one_is_revoked(world: World) -> None:
    device = Actor(world)
    device.open()
    device.spend(claim(world))
    device.confirm(world.settle().nonce)  # type: ignore[attr-defined]
    device.certified(issued(world))
    before = device.state
    device.open(ident("session", 2))
    assert (device.state.serial, device.state.lifecycle) == ("5e01", "activating")  # nothing is proved yet
    device.spend(claim(world, 2))
    device.confirm(world.settle().nonce)  # type: ignore[attr-defined]
    revoke = world.ledger[-1]
    assert isinstance(revoke, RevokeCertificate)
    assert (revoke.serial, revoke.reason) == ("5e01", "superseded")
    assert isinstance(revoked(world, "5e01", "superseded"), CertificateWithdrawn)
    device.certified(issued(world), "5e02")
    device.activate()
    assert (device.state.serial, device.state.device_id) == ("5e02", before.device_id)


def test_a_device_stays_its_owners_when_it_registers_anew_by_its_key(world: World) -> None:
    """It is pre-registered for nobody, so a user could claim it; after that it is the user's."""
    device = Actor(world)
    pre_register(world, device)
    device.register(claim(world))
    device.report("setup_mode")
    device.open(ident("session", 2))
    challenge = device.prove()
    assert isinstance(challenge, ChallengeIssued)
    assert challenge.owner == "alice"
    device.confirm(challenge.nonce)
    assert (device.state.owner, issued(world).owner) == ("alice", "alice")


def test_a_device_that_was_reset_by_hand_registers_anew_for_its_owner_only(world: World, operational: Actor) -> None:
    operational.report("setup_mode")
    assert isinstance(operational.open(ident("session", 2)), SessionOpened)
    operational.spend(claim(world, 2, "bob"))
    refused = world.settle()
    assert isinstance(refused, CommandRefused)
    assert refused.code == "NOT_OWNER"
    operational.spend(claim(world, 3, "alice"))
    assert isinstance(world.settle(), ChallengeIssued)


def test_a_late_certificate_of_a_session_that_is_superseded_is_refused_and_revoked(world: World) -> None:
    device = Actor(world)
    device.open()
    device.spend(claim(world))
    device.confirm(world.settle().nonce)  # type: ignore[attr-defined]
    issue = issued(world)
    device.open(ident("session", 2))
    refused = device.certified(issue)
    assert isinstance(refused, CommandRefused)
    assert (refused.code, refused.serial) == ("SESSION_UNKNOWN", "5e01")
    revoke: Any = world.ledger[-1]
    assert (revoke.serial, revoke.reason) == ("5e01", "superseded")
    assert device.state.serial is None


def test_the_active_certificate_again_is_recorded_again_and_not_revoked(world: World, operational: Actor) -> None:
    before = operational.state
    assert isinstance(operational.certified(issued(world)), CertificateRecorded)
    assert operational.state == before
    assert len(world.ledger) == 1


def test_the_active_certificate_is_not_revoked_for_coming_under_another_session(world: World, operational: Actor) -> None:
    refused = operational.certified(issued(world), session_id=ident("none"))
    assert isinstance(refused, CommandRefused)
    assert refused.serial is None
    assert len(world.ledger) == 1


def test_a_lost_answer_to_a_proof_is_given_again(world: World) -> None:
    device = Actor(world)
    pre_register(world, device)
    device.open()
    first, again = device.prove(), device.prove()
    assert isinstance(first, ChallengeIssued)
    assert isinstance(again, ChallengeIssued)
    assert first.nonce == again.nonce
    assert isinstance(device.confirm(first.nonce), ChallengePassed)


def test_a_lost_answer_to_a_claim_is_given_again(world: World) -> None:
    device = Actor(world)
    claim_id = claim(world)
    device.open()
    device.spend(claim_id)
    first = world.settle()
    assert isinstance(first, ChallengeIssued)
    world.now += 400_000_000  # after the claim's end, within the session's
    spent = device.spend(claim_id, "123456")
    assert isinstance(spent, ClaimSpent)
    assert spent.nonce == first.nonce
    again = world.settle()
    assert isinstance(again, ChallengeIssued)
    assert again.nonce == first.nonce


def test_a_withdrawn_certificate_can_not_be_renewed(world: World, operational: Actor) -> None:
    assert isinstance(revoked(world, "5e01", "privilege_withdrawn"), CertificateWithdrawn)
    refused = operational.renew("5e01")
    assert isinstance(refused, CommandRefused)
    assert refused.code == "CERTIFICATE_REVOKED"
    again = operational.open(ident("session", 2))
    assert isinstance(again, CommandRefused)
    assert again.code == "REG-003"


def test_a_compromised_key_never_comes_back(world: World, operational: Actor) -> None:
    revoked(world, "5e01", "key_compromise")
    reset(world)
    for event in (operational.open(ident("session", 2)), pre_register(world, operational)):
        assert isinstance(event, CommandRefused)
        assert event.code == "BAD_PUBLIC_KEY"
    operational.key = key("ec", 2)
    assert isinstance(operational.open(ident("session", 3)), SessionOpened)
