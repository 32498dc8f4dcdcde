"""A device with its folder, over real TLS: registration, heartbeats, renewal, rotation, and crashes between the steps."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import keys
from connectors.registration.configuration import detached
from connectors.signing_keys import SigningKeys
from infra.device.calls import Answer, Backoff, Refused, Unreachable
from infra.device.device import Device, Places
from infra.device.keystore import ABOUT, CERTIFICATE, CHAIN, KEY, NEXT_KEY, PROGRESS, Keystore, NothingKept, public_der
from infra.device.registration import Identity, NotTrusted, Token
from schemas import proofs
from tests.infra.device.fake_fleet import Authority, FakeFleet, refusal
from tests.infra.device.tls_server import Servers, serving

WHO = Identity("SN-1", {"cpu_id": "c", "board_serial": "", "mac_addresses": [], "disk_uuid": ""}, "m", "1")
NO_WAIT = Backoff(tries=1, base=0.01)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with serving(tmp_path, FakeFleet({"t"})) as made:
        yield made


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(Keystore(tmp_path / "device"), NO_WAIT)


def places(servers: Servers, signed: bool = False) -> Places:
    return Places(servers.registration, servers.data, servers.ledger, servers.fleet.ledger.signer.key.text, signed)


def registered(device: Device, servers: Servers, signed: bool = False) -> Device:
    device.register(WHO, Token("t"), places(servers, signed), servers.roots)
    return device


def test_a_device_registers_and_lives(device: Device, servers: Servers) -> None:
    assert device.status() == {"folder": str(device.store.folder), "key": False, "registered": False}
    registered(device, servers)
    said = device.status()
    assert (said["registered"], said["device_id"], said["due"]) == (True, "dev-SN-1", False)
    assert 89 < said["days_left"] <= 90
    assert device.heartbeat({"uptime": 1})["status"] == "ok"
    assert device.configuration()["config"] == {"path": "/v1/devices/config/dev-SN-1"}
    assert device.token()["path"] == "/v1/devices/dev-SN-1/token"
    assert {name for name, *_ in servers.seen} == {"dev-SN-1"}
    assert not device.store.has(PROGRESS)


def test_a_renewal_is_asked_for_when_it_is_due(device: Device, servers: Servers) -> None:
    registered(device, servers)
    before = device.status()["serial"]
    assert device.renew() is False
    assert device.renew(at_once=True) is True
    after = device.status()
    assert after["serial"] != before
    assert public_der(device.store.key()) == keys.der(keys.checked(device.certificate().public_key()))
    assert device.heartbeat({})["status"] == "ok"


def test_a_rotation_brings_in_a_key_that_the_old_one_vouched_for(device: Device, servers: Servers) -> None:
    registered(device, servers)
    old = device.store.key()
    device.rotate("ed25519")
    assert device.status()["key_algorithm"] == "Ed25519"
    assert not device.store.has(NEXT_KEY)
    *_, (_, _, path, _, body) = servers.seen
    asked = json.loads(body)
    message = proofs.rotation(asked["session_id"], public_der(device.store.key()))
    assert path.endswith("/certificate/rotate")
    assert keys.verifies(old.public_key(), base64.b64decode(asked["signature"]), message)
    assert device.heartbeat({})["status"] == "ok"


def test_a_rotation_that_was_cut_off_before_its_last_step_is_ended(device: Device, servers: Servers) -> None:
    registered(device, servers)
    old = device.store.read(KEY)
    device.rotate()
    new = device.store.read(KEY)
    device.store.write(NEXT_KEY, new)
    device.store.write(KEY, old)
    assert device.heartbeat({})["status"] == "ok"
    assert device.store.read(KEY) == new


def test_a_renewal_whose_answer_got_lost_is_asked_for_in_the_same_words(device: Device, servers: Servers) -> None:
    registered(device, servers)
    servers.instead["renew"] = refusal("REG-005")
    with pytest.raises(Refused, match="REG-005"):
        device.renew(at_once=True)
    assert device.status()["under_way"]["flow"] == "renewal"
    servers.instead.clear()
    device.renew(at_once=True)
    asked = [(headers["Idempotency-Key"], body) for _, _, path, headers, body in servers.seen if path.endswith("renew")]
    assert len(asked) == 3
    assert len(set(asked)) == 1


@pytest.mark.parametrize("change", ["renew", "rotate"])
def test_a_certificate_that_was_lost_is_fetched_by_the_one_before_it(device: Device, servers: Servers, change: str) -> None:
    registered(device, servers)
    assert device.fetch() is False
    names = (KEY, CERTIFICATE, CHAIN, ABOUT)
    before = {name: device.store.read(name) for name in names}
    if change == "renew":
        device.renew(at_once=True)
    else:
        device.rotate()
        before[NEXT_KEY] = device.store.read(KEY)
    serial = device.status()["serial"]
    for name, content in before.items():  # a copy of the folder, of a moment before the answer
        device.store.write(name, content)
    assert device.status()["serial"] != serial
    assert device.fetch() is True
    assert device.status()["serial"] == serial
    assert device.heartbeat({})["status"] == "ok"


def test_a_newest_certificate_of_another_key_is_not_kept(device: Device, servers: Servers) -> None:
    registered(device, servers)
    names = (KEY, CERTIFICATE, CHAIN, ABOUT)
    before = {name: device.store.read(name) for name in names}
    device.rotate()
    for name, content in before.items():
        device.store.write(name, content)
    with pytest.raises(NotTrusted, match="of a key that this device does not have"):
        device.fetch()
    assert device.store.read(CERTIFICATE) == before[CERTIFICATE]


def test_a_refused_renewal_leaves_the_present_certificate(device: Device, servers: Servers) -> None:
    registered(device, servers)
    before = device.store.read(CERTIFICATE)
    servers.instead["renew"] = refusal("RENEWAL_EARLY")
    with pytest.raises(Refused, match="Renew after two thirds"):
        device.renew(at_once=True)
    assert device.store.read(CERTIFICATE) == before
    assert "under_way" not in device.status()


def test_signed_requests_are_signed_over_what_is_sent(device: Device, servers: Servers) -> None:
    registered(device, servers, signed=True).heartbeat({"uptime": 3})
    (_, method, path, headers, body) = servers.seen[0]
    message = proofs.request(method, path, headers["X-Request-Timestamp"], headers["X-Request-Nonce"], body)
    assert keys.verifies(device.store.key().public_key(), base64.b64decode(headers["X-Device-Signature"]), message)


@pytest.mark.parametrize("spoil", ["other device", "other key", "no signature", "token"])
def test_only_a_configuration_that_is_signed_for_the_device_is_taken(device: Device, servers: Servers, spoil: str) -> None:
    registered(device, servers)
    body = json.dumps({"device_id": "dev-2" if spoil == "other device" else "dev-SN-1", "config": {}}).encode()
    signer = SigningKeys() if spoil == "other key" else servers.signer
    made = detached(signer, body) if spoil != "token" else "..".join(signer.sign(body, "at+jwt").split(".")[::2])
    servers.instead["dev-SN-1"] = Answer(200, body, signature="" if spoil == "no signature" else made)
    with pytest.raises(NotTrusted):
        device.configuration()
    assert "config" not in device.about()


def test_a_server_of_another_root_is_not_spoken_to(device: Device, servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_text(Authority("other").pem)
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        device.register(WHO, Token("t"), places(servers), tmp_path / "other.pem")
    assert servers.fleet.requests == []


def test_a_certificate_that_the_ledger_does_not_show_is_not_kept(device: Device, servers: Servers) -> None:
    servers.fleet.ledger.enter = lambda certificate: {"leaf_index": 0}  # type: ignore[method-assign]
    with pytest.raises((NotTrusted, Refused)):
        registered(device, servers)
    assert device.status()["registered"] is False


def test_without_a_registration_there_is_nothing_to_do(device: Device) -> None:
    for attempt in (device.token, device.configuration, device.renew, device.rotate):
        with pytest.raises(NothingKept, match="does not exist"):
            attempt()


def test_files_for_tls_that_are_none_are_told(device: Device, servers: Servers) -> None:
    registered(device, servers).store.write(CERTIFICATE, b"nonsense")
    with pytest.raises(NothingKept):
        device.token()
