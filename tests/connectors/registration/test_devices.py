"""A registered device, its owner and administrators: state, configuration, certificates, reset."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from schemas import proofs
from tests.connectors.ingress.served import key_of
from tests.connectors.ingress.uploads import heartbeat
from tests.connectors.registration.devices import Sender, text
from tests.connectors.registration.world import World, world
from tests.streams.registration.keyring import key


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def alice(running: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.served.client.base_url, headers={"X-API-Key": key_of("alice")}, timeout=20) as made:
        yield made


@pytest.fixture
def bob(running: World) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.served.client.base_url, headers={"X-API-Key": key_of("bob")}, timeout=20) as made:
        yield made


def registered(alice: httpx.Client, hardware_id: str) -> tuple[Sender, str]:
    """A device of alice's, and its certificate's serial number."""
    token = alice.post("/v1/devices/claim-token", json={}).json()["claim_token"]
    device = Sender(alice, hardware_id)
    return device, device.registered(token)["serial"]


def own(device: Sender, serial: str, path: str, body: Any, **headers: str) -> httpx.Response:
    """What the device sends with its certificate, and without any key."""
    named = device.headers(serial) | {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx.Client(base_url=device.client.base_url, timeout=20) as client:
        return client.post(f"/v1/devices/{device.device_id}/{path}", json=body, headers=named)


def test_the_first_heartbeat_activates_once(running: World, alice: httpx.Client) -> None:
    device, serial = registered(alice, "DEV-1")
    for sequence in range(4):
        assert own(device, serial, "heartbeat", heartbeat(sequence=sequence)).status_code == 200
    settled(running)
    for sequence in range(4, 6):
        assert own(device, serial, "heartbeat", heartbeat(sequence=sequence)).status_code == 200
    settled(running)
    of_device = [event for event in running.events() if getattr(event, "hardware_id", None) == "DEV-1"]
    assert [type(event).__name__ for event in of_device].count("DeviceActivated") == 1
    assert "CommandRefused" not in {type(event).__name__ for event in of_device}
    reported = own(device, serial, "state", {"state": "updating", "detail": "1.1"})
    assert reported.json() == {"device_id": "dev-DEV-1", "previous": "operational", "state": "updating"}
    illegal = own(device, serial, "state", {"state": "claiming"})
    assert (illegal.status_code, illegal.json()["code"]) == (409, "ILLEGAL_TRANSITION")
    assert "updating" in illegal.json()["detail"]


def settled(running: World) -> None:
    """Nothing is under way beside the answers."""
    assert running.served.ingress.registration is not None
    while running.served.ingress.registration.activations._under_way:
        pass


def test_whose_a_device_is(running: World, alice: httpx.Client, bob: httpx.Client) -> None:
    device, serial = registered(alice, "DEV-2")
    path = f"/v1/devices/config/{device.device_id}"
    assert alice.get(path).status_code == 200
    assert running.served.client.get(path).status_code == 200
    others = bob.get(path)
    unknown = bob.get("/v1/devices/config/dev-NONE")
    assert (others.status_code, others.json()["code"]) == (404, "DEVICE_UNKNOWN")
    assert {**others.json(), "correlation_id": ""} == {**unknown.json(), "correlation_id": ""}
    assert bob.post(f"/v1/devices/{device.device_id}/reset", json={}).status_code == 404
    assert own(device, serial, "state", {"state": "claiming"}).status_code == 409


def test_a_configuration_and_its_tag(running: World, alice: httpx.Client) -> None:
    device, _ = registered(alice, "DEV-3")
    path = f"/v1/devices/config/{device.device_id}"
    answer = alice.get(path)
    assert answer.json()["config"]["device"]["device_id"] == device.device_id
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    assert answer.headers["x-config-signature"].count(".") == 2
    assert len(base64.b64decode(answer.headers["x-config-hmac-sha256"])) == 32
    again = alice.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_renewal_that_comes_too_early_and_one_of_another_key(running: World, alice: httpx.Client) -> None:
    device, serial = registered(alice, "DEV-4")
    early = own(device, serial, "certificate/renew", {"csr": text(device.key.csr())}, Idempotency_Key="r")
    assert (early.status_code, early.json()["code"]) == (409, "RENEWAL_EARLY")
    again = own(device, serial, "certificate/renew", {"csr": text(device.key.csr())}, Idempotency_Key="r")
    assert (again.status_code, again.json()["code"]) == (409, "RENEWAL_EARLY")
    other = own(device, serial, "certificate/renew", {"csr": text(key("ec", 4).csr())})
    assert (other.status_code, other.json()["code"]) == (422, "BAD_CSR")


def test_a_key_is_changed(running: World, alice: httpx.Client) -> None:
    device, serial = registered(alice, "DEV-5")
    fresh, session = key("ec", 5), str(uuid4())
    signature = text(device.key.sign(proofs.rotation(session, fresh.public)))
    body = {"csr": text(fresh.csr()), "signature": signature, "session_id": session}
    answer = own(device, serial, "certificate/rotate", body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["serial"] != serial
    forged = own(device, serial, "certificate/rotate", body | {"session_id": str(uuid4())})
    assert forged.status_code in (403, 409)
    assert forged.json()["code"]
    # The answer was lost, and the idempotency key: the certificate before it is superseded, not revoked, and opens the door.
    again = newest(device, serial)
    assert again.status_code == 200, again.text
    one, other = answer.json(), again.json()
    assert {name: other[name] for name in KEPT} == {name: one[name] for name in KEPT}
    assert alice.get(f"/v1/devices/{device.device_id}/certificate").json()["serial"] == one["serial"]


KEPT = ("serial", "device_certificate", "ca_certificate", "not_after", "ledger", "sealed_key")


def newest(device: Sender, serial: str) -> httpx.Response:
    """What the device gets that asks for its newest certificate with another of its own."""
    with httpx.Client(base_url=device.client.base_url, timeout=20) as client:
        return client.get(f"/v1/devices/{device.device_id}/certificate", headers=device.headers(serial))


def test_the_newest_certificate_is_for_its_device_and_its_owner(
    running: World, alice: httpx.Client, bob: httpx.Client
) -> None:
    device, serial = registered(alice, "DEV-10")
    path = f"/v1/devices/{device.device_id}/certificate"
    assert newest(device, serial).json()["serial"] == serial
    assert running.served.client.get(path).json()["serial"] == serial
    for stranger in (bob.get(path), alice.get("/v1/devices/dev-NOBODY/certificate")):
        assert (stranger.status_code, stranger.json()["code"]) == (404, "DEVICE_UNKNOWN")
    begun = Sender(alice, "DEV-11")
    assert begun.initiate().status_code == 201
    none = running.served.client.get(f"/v1/devices/{begun.device_id}/certificate")
    assert (none.status_code, none.json()["code"]) == (403, "CERTIFICATE_UNKNOWN")


def test_a_device_is_given_back_and_registered_anew(running: World, alice: httpx.Client) -> None:
    device, serial = registered(alice, "DEV-6")
    answer = alice.post(f"/v1/devices/{device.device_id}/reset", json={"detail": "sold"})
    assert answer.json() == {"device_id": "dev-DEV-6", "hardware_id": "DEV-6", "serial": serial}
    token = alice.post("/v1/devices/claim-token", json={}).json()["claim_token"]
    again = Sender(alice, "DEV-6")
    assert again.registered(token)["serial"] != serial


def test_a_certificate_is_revoked(running: World, alice: httpx.Client) -> None:
    device, serial = registered(alice, "DEV-7")
    answer = running.served.client.post(f"/v1/certificates/{serial}/revoke", json={"reason": "key_compromise"})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["serial"], answer.json()["device_id"]) == (serial, device.device_id)
    again = running.served.client.post(f"/v1/certificates/{serial}/revoke", json={"reason": "key_compromise"})
    assert again.json() == answer.json()


def test_many_certificates_are_revoked_in_two_steps(running: World, alice: httpx.Client) -> None:
    admin = running.served.client
    for number in range(3):
        registered(alice, f"MANY-{number}")
    body = {"selector": "owner", "value": "alice", "reason": "privilege_withdrawn"}
    asked = admin.post("/v1/certificates/revocations", json=body)
    assert asked.status_code == 201, asked.text
    path = f"/v1/certificates/revocations/{asked.json()['revocation_id']}/confirm"
    count = asked.json()["certificates"]
    assert count >= 3
    wrong = admin.post(path, json={"certificates": count + 1})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "COUNT_DIFFERS")
    done = admin.post(path, json={"certificates": count})
    assert done.status_code == 200, done.text
    assert running.names("fleet.certificates").count("CertificateRevoked") >= count


def test_an_exception_is_granted(running: World, alice: httpx.Client) -> None:
    _, serial = registered(alice, "DEV-8")
    body = {"until": "2090-01-01T00:00:00+01:00", "detail": "was in a drawer"}
    answer = running.served.client.post(f"/v1/certificates/{serial}/exception", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["until"] == "2089-12-31T23:00:00.000Z"


def test_a_key_that_the_server_makes(running: World, alice: httpx.Client) -> None:
    token = alice.post("/v1/devices/claim-token", json={}).json()["claim_token"]
    device = Sender(alice, "DEV-9")
    device.initiate()
    challenge = device.validate(claim_token=token).json()["challenge"]
    signature = text(device.key.sign(base64.b64decode(challenge)))
    body = device.named() | {"session_id": device.session, "signature": signature, "server_side_key": True}
    answer = device.post("register/confirm", body)
    assert answer.status_code == 200, answer.text
    assert base64.b64decode(answer.json()["sealed_key"])
    assert json.dumps(answer.json()).count("PRIVATE") == 0
