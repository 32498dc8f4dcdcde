"""What is only met by two things at once: keys that are barred, answers that cross, attempts that might come back."""

from typing import Any

import msgspec
import pytest

from schemas.certificate_messages import IssueCertificate
from schemas.registration_events import (
    CertificateRecorded,
    CertificateWithdrawn,
    ChallengeFailed,
    ChallengePassed,
    CommandRefused,
    RenewalRequested,
)
from streams.registration.definition import REGISTRATION
from tests.streams.registration.actors import Actor, World, claim, ident, pre_register, reset, revoked
from tests.streams.registration.keyring import key


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def operational(world: World) -> Actor:
    device = Actor(world)
    device.register(claim(world))
    return device


def code(event: Any) -> str:
    assert isinstance(event, CommandRefused)
    return event.code


def issued(world: World) -> IssueCertificate:
    return next(message for message in reversed(world.ledger) if isinstance(message, IssueCertificate))


def test_a_key_that_was_compromised_under_an_earlier_certificate_renews_and_vouches_for_nothing(
    world: World, operational: Actor
) -> None:
    operational.renew("5e01")
    operational.certified(issued(world), "5e02")
    assert isinstance(revoked(world, "5e01", "key_compromise"), CertificateWithdrawn)
    assert code(operational.renew("5e02")) == "BAD_PUBLIC_KEY"
    assert code(operational.renew("5e02", key("ec", 3))) == "BAD_PUBLIC_KEY"


def test_no_way_leads_back_to_a_compromised_key(world: World, operational: Actor) -> None:
    operational.renew("5e01", key("ec", 3))
    operational.certified(issued(world), "5e02")
    revoked(world, "5e01", "key_compromise")
    before, operational.key = operational.key, key("ec", 3)
    assert code(operational.renew("5e02", before)) == "BAD_PUBLIC_KEY"
    assert isinstance(operational.renew("5e02", key("ec", 4)), RenewalRequested)


def test_the_old_certificate_may_be_withdrawn_before_the_new_one_comes(world: World, operational: Actor) -> None:
    operational.renew("5e01", key("ec", 3))
    issue = issued(world)
    assert isinstance(revoked(world, "5e01", "superseded"), CertificateWithdrawn)
    assert isinstance(operational.certified(issue, "5e02"), CertificateRecorded)
    assert (operational.state.serial, operational.state.public_key) == ("5e02", key("ec", 3).public)
    assert operational.state.lifecycle == "operational"


def test_a_renewal_that_is_recorded_twice_is_recorded_once(world: World, operational: Actor) -> None:
    operational.renew("5e01")
    issue = issued(world)
    operational.certified(issue, "5e02")
    before = operational.state
    assert isinstance(operational.certified(issue, "5e02"), CertificateRecorded)
    assert operational.state == before


def test_attempts_do_not_come_back_by_asking_for_the_challenge_again(world: World) -> None:
    device = Actor(world)
    pre_register(world, device)
    device.open()
    for left in (2, 1, 0):
        device.prove()
        failed = device.confirm(b"n" * 32)
        assert isinstance(failed, ChallengeFailed)
        assert failed.attempts_left == left
    assert device.state.session is None


@pytest.mark.parametrize("known", [key("ec", 3), key()])
def test_an_administrators_word_ends_what_was_admitted_without_it(world: World, known: Any) -> None:
    """A claim was let through while nobody knew the device; now it may be known as somebody else's."""
    device = Actor(world)
    device.open()
    device.spend(claim(world))
    nonce = world.settle().nonce  # type: ignore[attr-defined]
    pre_register(world, Actor(world, key=known), "bob")
    assert device.state.lifecycle == "network_ready"
    assert code(device.confirm(nonce)) == "SESSION_UNKNOWN"


def test_what_follows_from_a_passed_challenge_is_the_same_when_it_is_sent_again(world: World, operational: Actor) -> None:
    passed = next(event for _, event in world.log if isinstance(event, ChallengePassed))
    [again] = REGISTRATION.react(operational.state, passed)
    assert again.message == issued(world)


def test_nothing_follows_again_from_a_challenge_that_was_left_behind(world: World, operational: Actor) -> None:
    passed = next(event for _, event in world.log if isinstance(event, ChallengePassed))
    reset(world)
    assert REGISTRATION.react(operational.state, passed) == ()
    assert REGISTRATION.react(None, passed) == ()


def test_a_compromise_ends_the_session_that_the_key_has_open(world: World, operational: Actor) -> None:
    operational.report("setup_mode")
    operational.open(ident("session", 2))
    operational.spend(claim(world, 2))
    nonce = world.settle().nonce  # type: ignore[attr-defined]
    operational.confirm(nonce)
    issue = issued(world)
    assert isinstance(revoked(world, "5e01", "key_compromise"), CertificateWithdrawn)
    assert operational.state.lifecycle == "error"
    refused = operational.certified(issue, "5e02")
    assert isinstance(refused, CommandRefused)
    assert refused.serial == "5e02"


@pytest.mark.parametrize("kind", ["ec", "ed25519", "rsa"])
def test_a_state_is_small_at_its_largest(world: World, kind: str) -> None:
    """Pre-registered, with a certificate, and in the midst of a rotation to the largest of the usual keys."""
    device = Actor(world, key=key(kind))
    pre_register(world, device, "alice")
    device.register(claim(world))
    device.renew("5e01", key("rsa", 3))
    assert len(msgspec.msgpack.encode(device.state)) < 1024
