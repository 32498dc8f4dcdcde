"""Attacks with certificates at a real stack: the data listener is for who is in the ledger, himself, and not revoked."""

import asyncio
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography import x509

from infra.device.calls import Refused
from infra.device.keystore import PrivateKey
from infra.device.registration import Bundle, Token
from infra.settings import Settings
from infra.stack.harness import Stack
from tests.e2e.registering import Door, claim, data_url, events, fresh, parts_of, showing, user
from tests.infra.device.fake_fleet import Authority, bundle
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
PARTS = ("broker", "redis", "registry", "topics", "schemas", "authority", "ingress", "workers")
SECURITY, EVENTS = "fleet.security-events", "fleet.registration.events"
SOON = 2.0  # seconds within which a revoked certificate opens nothing any more
PATIENCE = 30.0


@dataclass(frozen=True)
class Member:
    """A device of the fleet."""

    hardware_id: str
    key: PrivateKey
    bundle: Bundle
    tls: ssl.SSLContext

    def upload(self, stack: Stack, device_id: str = "", client: httpx.Client | None = None) -> httpx.Response:
        """A telemetry upload with this device's certificate, by default as itself."""
        fields = {"occurred_at": time.time_ns() // 1000, "boot_id": str(uuid4()), "sequence": 0, "readings": [READING]}
        path = f"{data_url(stack)}/v1/devices/{device_id or self.bundle.device_id}/telemetry"
        if client is not None:
            return client.post(path, json=fields)
        with httpx.Client(verify=self.tls, timeout=30) as own:
            return own.post(path, json=fields)


READING = {"metric": "t", "at": 1_700_000_000_000_000, "value": 1.0, "unit": "Cel"}


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    views = "device_state,registrations,certificates"  # those in Redis
    settings = Settings(limit_registrations=0, limit_heartbeats=0, limit_uploads=0, views=views)
    with shared_stack.lend(tmp_path_factory.mktemp("certificates"), only=PARTS, settings=settings) as running:
        yield running


def member(stack: Stack, folder: Path, hardware_id: str) -> Member:
    key = fresh()
    made = asyncio.run(Door(stack).register(hardware_id, key, Token(claim(stack)["claim_token"])))
    folder.mkdir(parents=True, exist_ok=True)
    joined = Member(hardware_id, key, made, showing(stack, folder, made.certificate, made.chain, key))
    until(lambda: joined.upload(stack).status_code == 200)
    return joined


def until(condition: Any) -> float:
    """Seconds until it comes true."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + PATIENCE, "did not come true in time"
        time.sleep(0.02)
    return time.monotonic() - began


def seen(stack: Stack, kind: str) -> list[dict[str, Any]]:
    return [one for one in events(stack, SECURITY) if one["kind"] == kind]


def test_a_device_is_itself_and_no_other(stack: Stack, tmp_path: Path) -> None:
    one, other = (member(stack, tmp_path / name, name) for name in ("self", "other"))
    answer = one.upload(stack, other.bundle.device_id)
    assert (answer.status_code, answer.json()["code"]) == (403, "WRONG_DEVICE")
    until(lambda: seen(stack, "wrong_device"))
    assert seen(stack, "wrong_device")[-1]["device_id"] == one.bundle.device_id
    assert one.upload(stack).status_code == 200


def test_a_certificate_of_a_foreign_authority_opens_nothing(stack: Stack, tmp_path: Path) -> None:
    real, foreign, key = member(stack, tmp_path / "real", "real"), Authority("foreign"), fresh()
    forged = foreign.issue(key.public_key(), real.bundle.device_id)
    made = bundle(foreign, real.bundle.device_id, forged)
    forger = Member("real", key, real.bundle, showing(stack, tmp_path, made["device_certificate"], "", key))
    with pytest.raises(httpx.TransportError):
        forger.upload(stack)
    with pytest.raises(httpx.TransportError), httpx.Client(verify=plain(stack)) as nobody:
        real.upload(stack, client=nobody)
    until(lambda: seen(stack, "unknown_certificate"))


def plain(stack: Stack) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(stack.settings.data / "pki" / "ca.pem"))


def test_a_revoked_certificate_opens_nothing_two_seconds_later(stack: Stack, tmp_path: Path) -> None:
    """Also over a connection that was open before."""
    device = member(stack, tmp_path / "revoked", "revoked")
    with httpx.Client(verify=device.tls, timeout=30) as client:
        assert device.upload(stack, client=client).status_code == 200
        answer = user(stack, f"/v1/certificates/{device.bundle.serial}/revoke", {"reason": "key_compromise"})
        assert answer.status_code == 200, answer.text
        took = until(lambda: device.upload(stack, client=client).status_code == 403)
        refused = device.upload(stack, client=client)
    print(f"a revoked certificate was refused {took:.2f} s after its revocation was acknowledged")
    assert took < SOON
    assert refused.json()["code"] == "CERTIFICATE_REVOKED"
    until(lambda: seen(stack, "revoked_certificate"))


def test_who_is_in_service_is_not_registered_again(stack: Stack, tmp_path: Path) -> None:
    """Not by another machine, not by another key, and a stranger is not told whose it is."""
    device = member(stack, tmp_path / "service", "service")
    with httpx.Client(verify=device.tls, timeout=30) as client:
        path = f"{data_url(stack)}/v1/devices/{device.bundle.device_id}/heartbeat"
        body = json.dumps(heartbeat()).encode()
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
    until(lambda: [one for one in events(stack, EVENTS, "DeviceActivated") if one["hardware_id"] == "service"])
    with pytest.raises(Refused) as refused:
        asyncio.run(Door(stack).register("service", fresh(), Token(claim(stack)["claim_token"])))
    assert refused.value.code == "REG-003"
    assert device.bundle.device_id not in str(refused.value)
    assert parts_of("service")["board_serial"] == "service"
    assert device.upload(stack).status_code == 200


def heartbeat() -> dict[str, Any]:
    from infra.device.local import figures

    return {"occurred_at": time.time_ns() // 1000, "boot_id": str(uuid4()), "sequence": 0, **figures()}


def test_every_certificate_is_short_lived_and_for_clients_only(stack: Stack, tmp_path: Path) -> None:
    made = x509.load_pem_x509_certificate(member(stack, tmp_path / "profile", "profile").bundle.certificate.encode())
    days = (made.not_valid_after_utc - made.not_valid_before_utc).days
    uses = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert days <= 90
    assert list(uses) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
