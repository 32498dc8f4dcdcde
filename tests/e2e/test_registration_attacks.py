"""Attacks on registration at a real stack: whoever may not be registered isn't, once and for all, and it is recorded."""

import asyncio
import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from infra.device.calls import Refused
from infra.device.keystore import PrivateKey, public_der, sign
from infra.device.registration import CONFIRM, INITIATE, VALIDATE, Token, csr
from infra.settings import Settings
from infra.stack.harness import Stack
from schemas import proofs
from tests.e2e.registering import Door, claim, counted, events, fresh, parts_of, pem, user
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
PARTS = ("broker", "redis", "registry", "topics", "schemas", "authority", "ingress", "workers")
EVENTS, LEDGER, SECURITY = "fleet.registration.events", "fleet.certificates", "fleet.security-events"
CLAIMS = 1_000
KILLS = 3


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    views = "device_state,registrations,certificates"  # those in Redis
    settings = Settings(limit_registrations=0, limit_heartbeats=0, limit_uploads=0, views=views)
    with shared_stack.lend(tmp_path_factory.mktemp("attacks"), only=PARTS, settings=settings) as running:
        yield running


def session(hardware_id: str, key: PrivateKey, parts: Any = None) -> dict[str, Any]:
    return {
        "hardware_id": hardware_id,
        "public_key": pem(key),
        "hardware_fingerprint": parts or parts_of(hardware_id),
        "device_info": {"model": "test", "firmware_version": "1", "capabilities": []},
    }


def shown(hardware_id: str, session_id: str, **credential: str) -> dict[str, Any]:
    return {
        "hardware_id": hardware_id,
        "session_id": session_id,
        "hardware_fingerprint": parts_of(hardware_id),
        **credential,
    }


async def opened(door: Door, hardware_id: str, key: PrivateKey, parts: Any = None) -> tuple[int, dict[str, Any]]:
    return await door.ask(INITIATE, session(hardware_id, key, parts), str(uuid4()))


def confirmation(hardware_id: str, key: PrivateKey, admitted: dict[str, Any], request: str = "") -> dict[str, Any]:
    signature = base64.b64encode(sign(key, base64.b64decode(admitted["challenge"]))).decode()
    return {
        "hardware_id": hardware_id,
        "session_id": admitted["session_id"],
        "signature": signature,
        "csr": request or csr(key),
    }


async def admitted(stack: Stack, hardware_id: str, key: PrivateKey) -> tuple[Door, dict[str, Any]]:
    """A device that has come as far as its challenge."""
    door = Door(stack, 10)
    _, begun = await opened(door, hardware_id, key)
    token = claim(stack)["claim_token"]
    status, said = await door.ask(VALIDATE, shown(hardware_id, begun["session_id"], claim_token=token))
    assert status == 200, said
    return door, said


# --- one token, a thousand claims


def test_of_a_thousand_claims_on_one_token_one_wins_while_deciders_die(stack: Stack) -> None:
    """Exactly one certificate, and the same answer after the deciders' state was thrown away and made anew."""
    token = claim(stack)
    ids = [f"crowd-{number:04}" for number in range(CLAIMS)]
    keys = {hardware_id: fresh() for hardware_id in ids}
    outcomes = asyncio.run(_crowd(stack, token["claim_token"], keys))
    assert Counter(status for status, _ in outcomes.values()) == {200: 1, 409: CLAIMS - 1}
    assert {said["code"] for status, said in outcomes.values() if status != 200} == {"CLAIM_SPENT"}
    (winner,) = [hardware_id for hardware_id, (status, _) in outcomes.items() if status == 200]
    spent = [one for one in events(stack, EVENTS, "ClaimSpent") if one["claim_id"] == token["claim_id"]]
    assert [one["hardware_id"] for one in spent] == [winner]

    async def finish() -> tuple[int, dict[str, Any]]:
        return await Door(stack).ask(CONFIRM, confirmation(winner, keys[winner], outcomes[winner][1]), str(uuid4()))

    status, _ = asyncio.run(finish())
    assert status == 200
    crowd = set(ids)
    issued = [one["hardware_id"] for one in events(stack, LEDGER, "CertificateIssued") if one["hardware_id"] in crowd]
    assert issued == [winner]
    _rebuilt(stack)
    loser = next(hardware_id for hardware_id in ids if hardware_id != winner)
    status, said = asyncio.run(_again(stack, token["claim_token"], loser, keys[loser]))
    assert (status, said["code"]) == (409, "CLAIM_SPENT")
    status, said = asyncio.run(opened(Door(stack), winner, keys[winner], parts_of("another machine")))
    assert (status, said["code"]) == (422, "REG-001")


async def _crowd(stack: Stack, token: str, keys: dict[str, PrivateKey]) -> dict[str, tuple[int, dict[str, Any]]]:
    door = Door(stack)
    begun = dict(zip(keys, await door.all([lambda i=i, k=k: opened(door, i, k) for i, k in keys.items()]), strict=True))
    assert {status for status, _ in begun.values()} == {200}

    def validate(hardware_id: str, session_id: str) -> Any:
        return lambda: door.ask(VALIDATE, shown(hardware_id, session_id, claim_token=token), str(uuid4()))

    killer = threading.Thread(target=_kill, args=(stack,))
    killer.start()
    try:
        answers = await door.all([validate(i, said["session_id"]) for i, (_, said) in begun.items()])
    finally:
        await asyncio.to_thread(killer.join)
    return dict(zip(keys, answers, strict=True))


def _kill(stack: Stack) -> None:
    for _ in range(KILLS):
        time.sleep(0.4)
        stack.kill("worker-0")
        stack.wait_healthy("worker-0")


def _rebuilt(stack: Stack) -> None:
    """The worker starts without any snapshot or view: all of it is folded from the log."""
    import redis

    stack.stop("worker-0")
    client = redis.Redis.from_url(stack.settings.redis)
    client.flushall()
    client.close()
    stack.start("worker-0")


async def _again(stack: Stack, token: str, hardware_id: str, key: PrivateKey) -> tuple[int, dict[str, Any]]:
    door = Door(stack)
    _, begun = await opened(door, hardware_id, key)
    return await door.ask(VALIDATE, shown(hardware_id, begun["session_id"], claim_token=token), str(uuid4()))


# --- credentials


def test_guessing_a_pin_locks_the_claim(stack: Stack) -> None:
    made = claim(stack)

    async def guess() -> list[tuple[int, dict[str, Any]]]:
        door, key = Door(stack), fresh()
        _, begun = await opened(door, "guesser", key)
        wrong = [f"{number:06}" for number in range(8) if f"{number:06}" != made["fallback_pin"]][:6]
        said = []
        for pin in [*wrong, made["fallback_pin"]]:
            credential = {"claim_id": made["claim_id"], "pin": pin}
            said.append(await door.ask(VALIDATE, shown("guesser", begun["session_id"], **credential), str(uuid4())))
        return said

    answers = asyncio.run(guess())
    assert [said["code"] for _, said in answers] == ["CLAIM_WRONG"] * 4 + ["CLAIM_LOCKED"] * 3
    locked = [one for one in events(stack, EVENTS, "ClaimLocked") if one["claim_id"] == made["claim_id"]]
    assert len(locked) == 1
    assert made["claim_id"] in {one["subject"] for one in events(stack, SECURITY)}


def test_a_hardware_id_that_is_taken_is_no_other_machine_s(stack: Stack) -> None:
    key = fresh()
    bundle = asyncio.run(Door(stack).register("taken", key, Token(claim(stack)["claim_token"])))
    status, said = asyncio.run(opened(Door(stack), "taken", fresh(), parts_of("another machine")))
    assert (status, said["code"]) == (422, "REG-001")
    assert bundle.device_id not in json.dumps(said)
    refused = [one for one in events(stack, EVENTS, "CommandRefused") if one["hardware_id"] == "taken"]
    assert [one["code"] for one in refused] == ["REG-001"], "it is recorded"
    assert counted(events(stack, LEDGER, "CertificateIssued"), "hardware_id")["taken"] == 1


# --- challenge


def test_a_nonce_is_good_once(stack: Stack) -> None:
    async def play() -> list[tuple[int, dict[str, Any]]]:
        key = fresh()
        door, said = await admitted(stack, "once", key)
        body = confirmation("once", key, said)
        return [await door.ask(CONFIRM, body, str(uuid4())) for _ in range(2)]

    (first, _), (second, said) = asyncio.run(play())
    assert (first, second, said["code"]) == (200, 404, "SESSION_UNKNOWN"), said
    assert refusals(stack, "once") == ["SESSION_UNKNOWN"], "it is recorded"
    assert counted(events(stack, LEDGER, "CertificateIssued"), "hardware_id")["once"] == 1


def test_a_signature_over_something_else_is_refused_and_after_three_the_session_ends(stack: Stack) -> None:
    async def play() -> list[dict[str, Any]]:
        key = fresh()
        door, said = await admitted(stack, "forger", key)
        other = proofs.challenge(said["session_id"], b"n" * 32, public_der(key), b"f" * 32)
        forged = confirmation("forger", key, {**said, "challenge": base64.b64encode(other).decode()})
        answers = [(await door.ask(CONFIRM, forged, str(uuid4())))[1] for _ in range(3)]
        answers.append((await door.ask(CONFIRM, confirmation("forger", key, said), str(uuid4())))[1])
        return answers

    codes = [said["code"] for said in asyncio.run(play())]
    assert codes[:3] == ["REG-004"] * 3
    assert codes[3] in ("REG-004", "SESSION_UNKNOWN")
    assert counted(events(stack, LEDGER, "CertificateIssued"), "hardware_id")["forger"] == 0
    assert counted(events(stack, EVENTS, "ChallengeFailed"), "hardware_id")["forger"] == 3


def refusals(stack: Stack, hardware_id: str) -> list[str]:
    """The codes of the refusals that the log holds of a device."""
    return [one["code"] for one in events(stack, EVENTS, "CommandRefused") if one["hardware_id"] == hardware_id]


# --- certification requests


def _request(key: PrivateKey, *extensions: Any, name: str = "") -> str:
    names = [x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else []
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    for extension in extensions:
        made = made.add_extension(extension, False)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()  # type: ignore[arg-type]


def _names(*uris: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])


@pytest.mark.parametrize(
    ("hardware_id", "make"),
    [
        ("csr-san", lambda key: _request(key, _names("urn:fleetlog:device:dev-another"))),
        ("csr-ca", lambda key: _request(key, x509.BasicConstraints(True, None))),
        ("csr-name", lambda key: _request(key, name="dev-another")),
        ("csr-key", lambda key: csr(fresh())),
        ("csr-huge", lambda key: _request(key, _names(*(f"urn:x:{n}" + "y" * 90 for n in range(120))))),
        ("csr-none", lambda key: base64.b64encode(b"0" * 500).decode()),
    ],
)
def test_a_request_that_asks_for_more_than_its_key_is_refused(stack: Stack, hardware_id: str, make: Any) -> None:
    async def play() -> tuple[tuple[int, dict[str, Any]], tuple[int, dict[str, Any]]]:
        key = fresh()
        door, said = await admitted(stack, hardware_id, key)
        bad = await door.ask(CONFIRM, confirmation(hardware_id, key, said, make(key)), str(uuid4()))
        return bad, await door.ask(CONFIRM, confirmation(hardware_id, key, said), str(uuid4()))

    (status, refusal), (after, _) = asyncio.run(play())
    assert (status, refusal["code"]) in {(422, "BAD_CSR"), (422, "INVALID_BODY"), (413, "BODY_TOO_LARGE")}
    assert after == 200, "the challenge was not spent by a request that was refused"
    if refusal["code"] == "BAD_CSR":  # it had the form of a request: who made it knew what was asked for
        assert refusals(stack, hardware_id) == ["BAD_CSR"], "it is recorded"
        assert ("bad_csr", hardware_id) in {(one["kind"], one["subject"]) for one in events(stack, SECURITY)}
    (issued,) = [one for one in events(stack, LEDGER, "CertificateIssued") if one["hardware_id"] == hardware_id]
    made = x509.load_der_x509_certificate(issued["certificate"])
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:fleetlog:device:{issued['device_id']}"]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_who_is_not_pre_registered_is_not_admitted_by_a_proof(stack: Stack) -> None:
    known, stranger = fresh(), fresh()
    row = {"serial_number": "known", "public_key": pem(known)}
    assert user(stack, "/v1/devices/pre-registrations", row).status_code == 201

    async def play(hardware_id: str, key: PrivateKey) -> dict[str, Any]:
        door = Door(stack)
        status, begun = await opened(door, hardware_id, key)
        if status != 200:
            return begun
        proof = base64.b64encode(sign(key, proofs.opening(hardware_id))).decode()
        return (await door.ask(VALIDATE, shown(hardware_id, begun["session_id"], proof=proof)))[1]

    assert asyncio.run(play("known", stranger))["code"] == "NOT_PRE_REGISTERED"
    assert asyncio.run(play("unknown", stranger))["code"] == "NOT_PRE_REGISTERED"
    for hardware_id in ("known", "unknown"):
        assert refusals(stack, hardware_id) == ["NOT_PRE_REGISTERED"], "it is recorded"
    assert "challenge" in asyncio.run(play("known", known))


def test_a_token_is_no_good_for_a_second_device(stack: Stack) -> None:
    token = Token(claim(stack)["claim_token"])
    asyncio.run(Door(stack).register("first", fresh(), token))
    with pytest.raises(Refused, match="CLAIM_SPENT"):
        asyncio.run(Door(stack).register("second", fresh(), token))
    spent = [one for one in events(stack, EVENTS, "CommandRefused") if one["code"] == "CLAIM_SPENT"]
    assert "second" in {one["hardware_id"] for one in spent}, "it is recorded"
