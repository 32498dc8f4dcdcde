"""What somebody who wants a certificate tries, at the decider: with everything that goes over the wire, but without the
device's key or the owner's token."""

from collections import Counter
from typing import Any

import pytest

from connectors.csr import MOST_BYTES
from schemas import proofs
from schemas.certificate_messages import IssueCertificate
from schemas.registration_events import (
    ChallengeFailed,
    ChallengeIssued,
    ChallengePassed,
    ClaimAttemptFailed,
    ClaimLocked,
    ClaimSpent,
    CommandRefused,
    CommandRepeated,
    SessionOpened,
)
from streams.aggregates import Aggregates
from streams.machine import Keyed
from streams.registration.definition import REGISTRATION
from tests.streams.registration.actors import SECOND, Actor, World, claim, ident, pin_hash, pre_register, token_hash
from tests.streams.registration.keyring import key

KINDS = ("ec", "ed25519", "rsa")


def challenged(world: World, kind: str = "ec") -> tuple[Actor, bytes]:
    device = Actor(world, key=key(kind))
    device.open()
    device.spend(claim(world))
    return device, world.settle().nonce  # type: ignore[attr-defined]


def code(event: Any) -> str:
    assert isinstance(event, CommandRefused)
    return event.code


def asked(world: World) -> list[Any]:
    return [message for message in world.ledger if isinstance(message, IssueCertificate)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["session", "nonce", "key", "fingerprint", "purpose", "another's key", "noise", "one bit"])
def test_a_signature_over_anything_else_fails(kind: str, what: str) -> None:
    world = World()
    device, nonce = challenged(world, kind)
    session, public, fingerprint = device.session, device.key.public, device.fingerprint
    signed = proofs.challenge(session, nonce, public, fingerprint)
    good = device.key.sign(signed)
    signature = {
        "session": lambda: device.key.sign(proofs.challenge(ident("other"), nonce, public, fingerprint)),
        "nonce": lambda: device.key.sign(proofs.challenge(session, b"n" * 32, public, fingerprint)),
        "key": lambda: device.key.sign(proofs.challenge(session, nonce, key(kind, 3).public, fingerprint)),
        "fingerprint": lambda: device.key.sign(proofs.challenge(session, nonce, public, b"g" * 32)),
        "purpose": lambda: device.key.sign(signed[len(proofs.CHALLENGE) :]),
        "another's key": lambda: key("ec", 3).sign(signed),
        "noise": lambda: b"\0" * len(good),
        "one bit": lambda: good[:-1] + bytes([good[-1] ^ 1]),
    }[what]()
    failed = device.confirm(nonce, signature=signature)
    assert isinstance(failed, ChallengeFailed)
    assert failed.attempts_left == 2
    assert asked(world) == []


def test_a_challenge_bears_three_attempts() -> None:
    world = World()
    device, nonce = challenged(world)
    lefts = [device.confirm(b"n" * 32).attempts_left for _ in range(3)]  # type: ignore[attr-defined]
    assert lefts == [2, 1, 0]
    assert device.state.lifecycle == "network_ready"
    assert code(device.confirm(nonce)) == "SESSION_UNKNOWN"
    assert asked(world) == []


def test_a_nonce_is_worthless_after_it_was_signed() -> None:
    world = World()
    device, nonce = challenged(world)
    assert isinstance(device.confirm(nonce), ChallengePassed)
    assert code(device.confirm(nonce)) == "REG-004"  # the very same signature and request
    assert len(asked(world)) == 1
    device.certified(asked(world)[0])
    assert code(device.confirm(nonce)) == "SESSION_UNKNOWN"


def test_an_answer_that_was_heard_is_worthless_in_a_session_of_ones_own() -> None:
    """A thief opens a session with the device's public key, replays its opening proof and then what the device answered."""
    world = World()
    device = Actor(world)
    pre_register(world, device)
    device.open()
    proof = device.key.sign(proofs.opening(device.hardware_id))
    heard = device.key.sign(proofs.challenge(device.session, device.prove().nonce, device.key.public, device.fingerprint))  # type: ignore[attr-defined]
    device.open(ident("thief"))
    nonce = device.prove(proof=proof).nonce  # type: ignore[attr-defined]
    assert isinstance(device.confirm(nonce, signature=heard), ChallengeFailed)
    assert asked(world) == []


@pytest.mark.parametrize(
    ("csr", "says"),
    [
        (key("ec", 3).csr(), "another key"),
        (key().csr(san="fleet.example.com"), "extensions"),
        (key().csr("SN-2"), "common name"),
        (key().csr() + bytes(MOST_BYTES), str(MOST_BYTES)),
        (b"0" * 1_000_000, str(MOST_BYTES)),
        (b"", "PKCS#10"),
    ],
    ids=["another key", "SAN", "another's name", "padded", "huge", "empty"],
)
def test_a_request_for_more_than_the_devices_own_certificate(csr: bytes, says: str) -> None:
    world = World()
    device, nonce = challenged(world)
    refused = device.confirm(nonce, csr=csr)
    assert code(refused) == "BAD_CSR"
    assert says in refused.detail  # type: ignore[attr-defined]
    assert isinstance(device.confirm(nonce, csr=key().csr("SN-1")), ChallengePassed)  # it may still send the right one


def test_guessing_pins() -> None:
    """Ten thousand guesses get five answers; the right PIN and even the token come too late."""
    world = World()
    device, claim_id = Actor(world), claim(world)
    device.open()
    events = [device.spend(claim_id, f"{guess:06}") for guess in range(200_000, 210_000)]
    assert Counter(type(event) for event in events) == {ClaimAttemptFailed: 4, ClaimLocked: 1, CommandRefused: 9_995}
    assert [event.attempts_left for event in events[:4]] == [4, 3, 2, 1]  # type: ignore[attr-defined]
    for pin in ("123456", None):
        assert code(device.spend(claim_id, pin)) == "CLAIM_LOCKED"


def test_wrong_tokens_do_not_lock_a_claim() -> None:
    world = World()
    device, claim_id = Actor(world), claim(world)
    device.open()
    for _ in range(20):
        assert code(device.spend(claim_id, credential_hash=b"x" * 32)) == "CLAIM_WRONG"
    assert isinstance(device.spend(claim_id), ClaimSpent)


def test_the_hash_of_a_pin_is_no_token_and_that_of_a_token_no_pin() -> None:
    world = World()
    device, claim_id = Actor(world), claim(world)
    assert code(device.spend(claim_id, credential_hash=pin_hash(claim_id))) == "CLAIM_WRONG"
    assert isinstance(device.spend(claim_id, "123456", credential_hash=token_hash(claim_id)), ClaimAttemptFailed)


def test_a_clock_that_goes_back_revives_nothing() -> None:
    world = World()
    device, claim_id = Actor(world), claim(world)
    device.open()
    device.spend(claim_id)
    other = Actor(world, "SN-2")
    other.open()
    world.now -= 120 * SECOND
    assert code(other.spend(claim_id)) == "CLAIM_SPENT"


def test_nobody_takes_a_device_in_service() -> None:
    """Neither with a key nor with a claim of one's own."""
    world = World()
    device = Actor(world)
    device.register(claim(world))
    before = device.state
    thief = Actor(world, key=key("ec", 3), session=ident("thief"))
    assert code(thief.open()) == "REG-003"
    assert isinstance(thief.spend(claim(world, 2, "mallory")), ClaimSpent)
    assert code(world.settle()) == "SESSION_UNKNOWN"
    assert device.state == before


def test_an_unproven_session_takes_nothing_from_a_device_with_a_certificate() -> None:
    world = World()
    device, nonce = challenged(world)
    device.confirm(nonce)
    device.certified(asked(world)[0])
    thief = Actor(world, key=key("ec", 3), session=ident("thief"))
    assert isinstance(thief.open(), SessionOpened)
    thief.spend(claim(world, 2, "mallory"))
    assert code(world.settle()) == "NOT_OWNER"
    assert (device.state.serial, device.state.public_key) == ("5e01", device.key.public)
    device.activate()
    assert (device.state.lifecycle, device.state.owner, device.state.session) == ("operational", "alice", None)


def committed(machine: Aggregates[Any], batch: list[Keyed], log: list[Any]) -> None:
    """The machine's answers to a batch are appended to the log."""
    offsets = []
    for record in machine.work(batch):
        offsets.append(len(log))
        if record.topic == REGISTRATION.events_topic:
            log.append(record.message)
    machine.keep(offsets)


def restored(claim_id: str, log: list[Any]) -> Aggregates[Any]:
    machine = Aggregates(REGISTRATION, lambda first, last: log[first : last + 1])
    for offset, event in enumerate(log):
        machine.fold(claim_id, event, offset)
    return machine


def test_a_thousand_claims_on_one_token() -> None:
    """A thousand devices present one token, in batches; every third time the decider is killed before it commits, and the
    next one starts from the log. One device gets it; the same when all is read again."""
    world = World()
    claim_id = claim(world)
    for number in range(1_000):
        Actor(world, f"SN-{number}", session=ident("session", number)).spend(claim_id)
    commands = [Keyed(claim_id, command) for _, command in world.commands[1:]]
    log: list[Any] = [world.log[0][1]]
    machine = restored(claim_id, log)
    for turn in range(20):
        batch = commands[turn * 50 : turn * 50 + 50]
        if turn % 3 == 0:
            assert machine.work(batch)
            machine = restored(claim_id, log)
        committed(machine, batch, log)
    assert Counter(type(event) for event in log[1:]) == {ClaimSpent: 1, CommandRefused: 999}
    assert {event.code for event in log if isinstance(event, CommandRefused)} == {"CLAIM_SPENT"}
    assert restored(claim_id, log).states == machine.states
    before = len(log)
    committed(machine, commands, log)  # every client asks again, under the same ids
    assert Counter(type(event) for event in log[before:]) == {CommandRepeated: 1_000}


def test_one_device_that_presents_its_token_a_thousand_times_gets_one_challenge_and_one_certificate() -> None:
    world = World()
    device, claim_id = Actor(world), claim(world)
    device.open()
    for _ in range(1_000):
        device.spend(claim_id)
    world.settle()
    nonces = {event.nonce for _, event in world.log if isinstance(event, ChallengeIssued)}
    assert len(nonces) == 1
    for _ in range(10):
        device.confirm(*nonces)
    assert len(asked(world)) == 1
