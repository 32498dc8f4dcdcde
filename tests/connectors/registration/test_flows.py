"""The ways of registration from end to end, with the real deciders."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from connectors import keys
from schemas import proofs
from tests.connectors.ingress.served import key_of
from tests.connectors.registration.devices import FINGERPRINT, Sender, text
from tests.connectors.registration.world import World, world
from tests.streams.registration.keyring import Key, key


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def alice(running: World) -> Iterator[httpx.Client]:
    headers = {"X-API-Key": key_of("alice")}
    with httpx.Client(base_url=running.served.client.base_url, headers=headers, timeout=20) as made:
        yield made


def nobody(running: World) -> httpx.Client:
    return httpx.Client(base_url=running.served.client.base_url, timeout=20)


@pytest.fixture
def anonymous(running: World) -> Iterator[httpx.Client]:
    with nobody(running) as made:
        yield made


def claim(client: httpx.Client, **asked: Any) -> dict[str, Any]:
    answer = client.post("/v1/devices/claim-token", json=asked)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_a_claim_from_token_to_first_heartbeat(running: World, alice: httpx.Client, anonymous: httpx.Client) -> None:
    made = claim(alice)
    status = lambda: alice.get(made["status_url"]).json()  # noqa: E731
    assert (status()["status"], status()["progress"]) == ("pending", 0)
    device = Sender(anonymous, "SN-1")
    opened = device.initiate().json()
    assert opened["validation_endpoint"] == "/v1/devices/register/validate"
    admitted = device.validate(claim_token=made["claim_token"]).json()
    mark = proofs.fingerprint(FINGERPRINT, "SN-1")
    nonce = base64.b64decode(admitted["nonce"])
    assert base64.b64decode(admitted["challenge"]) == proofs.challenge(device.session, nonce, device.key.public, mark)
    assert (status()["status"], status()["progress"]) == ("claiming", 60)
    bundle = device.confirm(admitted["challenge"]).json()
    assert bundle["registration_complete"] is True
    assert bundle["device_id"] == device.device_id
    assert bundle["ledger"]["tree_size"] > bundle["ledger"]["leaf_index"] >= 0
    assert bundle["api_endpoints"]["heartbeat"].endswith(f"/v1/devices/{device.device_id}/heartbeat")
    assert bundle["initial_config"]["camera"]["frame_rate"] == 30
    assert bundle["sealed_key"] is None
    assert (status()["status"], status()["progress"], status()["device_id"]) == ("success", 90, device.device_id)


def test_claim_in_one_request(running: World, alice: httpx.Client, anonymous: httpx.Client) -> None:
    made = claim(alice, registration_type="qr_code")
    assert made["fallback_pin"] is None
    device = Sender(anonymous, "SN-2")
    answer = device.post("claim", device.opening() | {"claim_token": made["claim_token"]})
    assert answer.status_code == 200, answer.text
    device.session = answer.json()["session_id"]
    assert device.confirm(answer.json()["challenge"]).status_code == 200


def test_a_pin_and_five_wrong_ones(running: World, alice: httpx.Client, anonymous: httpx.Client) -> None:
    made = claim(alice, registration_type="pin_code")
    assert made["qr_code_url"] is None
    wrong = f"{(int(made['fallback_pin']) + 1) % 10**6:06d}"
    device = Sender(anonymous, "SN-3")
    device.initiate()
    left = [device.validate(claim_id=made["claim_id"], pin=wrong).json() for _ in range(4)]
    assert [answer["attempts_left"] for answer in left] == [4, 3, 2, 1]
    assert {answer["code"] for answer in left} == {"CLAIM_WRONG"}
    assert alice.get(made["status_url"]).json()["status"] == "scanning"
    locked = device.validate(claim_id=made["claim_id"], pin=wrong)
    assert (locked.status_code, locked.json()["code"]) == (423, "CLAIM_LOCKED")
    assert device.validate(claim_id=made["claim_id"], pin=made["fallback_pin"]).status_code == 423
    assert alice.get(made["status_url"]).json()["status"] == "locked"
    good = claim(alice)
    assert device.validate(claim_id=good["claim_id"], pin=good["fallback_pin"]).status_code == 200


def test_a_pre_registered_device(running: World, anonymous: httpx.Client) -> None:
    for number, kind in enumerate(("ec", "ed25519", "rsa")):
        own = key(kind)
        device = Sender(anonymous, f"PRE-{number}")
        device.key = own
        body = {"serial_number": device.hardware_id, "public_key": text(own.public), "owner": "alice", "model": "M1"}
        known = running.served.client.post("/v1/devices/pre-registrations", json=body)
        assert (known.status_code, known.json()["key_algorithm"]) == (201, keys.algorithm(own.private.public_key()))
        device.initiate()
        admitted = device.validate(proof=device.proof())
        assert admitted.status_code == 200, admitted.text
        assert device.confirm(admitted.json()["challenge"]).status_code == 200
    stranger = Sender(anonymous, "PRE-9")
    stranger.initiate()
    refused = stranger.validate(proof=stranger.proof())
    assert (refused.status_code, refused.json()["code"]) == (403, "NOT_PRE_REGISTERED")


def test_a_token_is_good_once(running: World, alice: httpx.Client, anonymous: httpx.Client) -> None:
    made = claim(alice)
    Sender(anonymous, "SN-4").registered(made["claim_token"])
    other = Sender(anonymous, "SN-5")
    other.initiate()
    refused = other.validate(claim_token=made["claim_token"])
    assert (refused.status_code, refused.json()["code"]) == (409, "CLAIM_SPENT")


def test_a_wrong_token_and_an_unknown_claim_are_the_same_to_a_stranger(
    running: World, alice: httpx.Client, anonymous: httpx.Client
) -> None:
    made = claim(alice)
    device = Sender(anonymous, "SN-6")
    device.initiate()
    wrong = made["claim_token"][:-5] + "AAAAA"
    unknown = made["claim_token"].replace(made["claim_token"][8:14], "000000")
    answers = [device.validate(claim_token=token).json() for token in (wrong, unknown)]
    for answer in answers:
        del answer["correlation_id"]
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "CLAIM_WRONG"


def test_wrong_signatures_end_the_session(running: World, alice: httpx.Client, anonymous: httpx.Client) -> None:
    device = Sender(anonymous, "SN-7")
    device.initiate()
    challenge = device.validate(claim_token=claim(alice)["claim_token"]).json()["challenge"]
    other = Key(key("ed25519", 7).private)
    left = [device.confirm(challenge, other).json() for _ in range(3)]
    assert [(one["code"], one["attempts_left"]) for one in left] == [("REG-004", 2), ("REG-004", 1), ("REG-004", 0)]
    over = device.confirm(challenge)
    assert (over.status_code, over.json()["code"]) == (404, "SESSION_UNKNOWN")


def test_a_registered_device_is_told_to_its_owner_only(running: World, alice: httpx.Client, anonymous: httpx.Client) -> None:
    device = Sender(anonymous, "SN-8")
    bundle = device.registered(claim(alice)["claim_token"])
    beat = anonymous.post(
        f"/v1/devices/{device.device_id}/state", json={"state": "operational"}, headers=device.headers(bundle["serial"])
    )
    assert beat.json()["code"] == "ILLEGAL_TRANSITION"
    activated(running, device, bundle["serial"])
    strangers = Sender(anonymous, "SN-8").initiate()
    owners = Sender(alice, "SN-8").initiate()
    with httpx.Client(base_url=anonymous.base_url, headers={"X-API-Key": key_of("bob")}) as bob:
        bobs = Sender(bob, "SN-8").initiate()
    for answer in (strangers, owners, bobs):
        assert (answer.status_code, answer.json()["code"]) == (409, "REG-003")
    assert "owner" not in strangers.json()
    assert "device_id" not in strangers.json()
    assert "alice" not in strangers.text + bobs.text
    assert device.device_id not in strangers.text + bobs.text
    assert (owners.json()["owner"], owners.json()["device_id"]) == ("alice", device.device_id)


def test_one_key_is_of_one_device(running: World, alice: httpx.Client, anonymous: httpx.Client) -> None:
    Sender(anonymous, "SN-10").registered(claim(alice)["claim_token"])
    other = Sender(anonymous, "SN-11")
    other.key = Sender(anonymous, "SN-10").key
    other.initiate()
    challenge = other.validate(claim_token=claim(alice)["claim_token"]).json()["challenge"]
    refused = other.confirm(challenge)
    assert (refused.status_code, refused.json()["code"]) == (409, "KEY_IN_USE")


def activated(running: World, device: Sender, serial: str) -> None:
    """The device's first heartbeat, and what follows from it."""
    from tests.connectors.ingress.uploads import heartbeat

    path = f"/v1/devices/{device.device_id}/heartbeat"
    before = running.names().count("DeviceActivated")
    for sequence in range(3):
        answer = device.client.post(path, json=heartbeat(sequence=sequence), headers=device.headers(serial))
        assert answer.status_code == 200, answer.text
    for _ in range(200):
        if running.names().count("DeviceActivated") > before:
            break
        running.served.client.get("/health/live")
    assert running.names().count("DeviceActivated") == before + 1
