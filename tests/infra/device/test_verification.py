"""A device keeps only what is its own: certificates of others, foreign authorities and forged ledgers are each told."""

import base64
import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors import sealed_key
from infra.device.keystore import generate, public_der
from infra.device.registration import Bundle, NotTrusted
from infra.device.verification import Trust, check, opened_key, renewal_due
from tests.infra.device.fake_fleet import Authority, FakeFleet

KEY = generate()
FLEET = FakeFleet()
for _ in range(5):
    FLEET.ledger.enter(FLEET.ca.issue(generate().public_key(), "another"))
CERTIFICATE = FLEET.ca.issue(KEY.public_key(), "dev-1")
GOOD = Bundle.read(FLEET.bundle("dev-1", CERTIFICATE))
TRUST = Trust([FLEET.ca.certificate], FLEET.ledger.signer.key.text, FLEET.ledger.entries.__getitem__)


def pem(certificate: Any) -> str:
    return str(certificate.public_bytes(Encoding.PEM).decode())


def of_another_authority() -> Bundle:
    foreign = Authority()
    made = foreign.issue(KEY.public_key(), "dev-1")
    return replace(GOOD, certificate=pem(made), chain=foreign.pem, serial=f"{made.serial_number:x}")


def below_a_device() -> Bundle:
    """Signed by a device's own certificate, which is no authority."""
    other = Authority()
    other.key = KEY  # type: ignore[assignment]
    other.name = CERTIFICATE.subject
    made = other.issue(KEY.public_key(), "dev-1")
    return replace(GOOD, certificate=pem(made), chain=pem(CERTIFICATE), serial=f"{made.serial_number:x}")


def of(days: float = 90.0, device_id: str = "dev-1", key: Any = KEY) -> Bundle:
    made = FLEET.ca.issue(key.public_key(), device_id, days)
    return replace(GOOD, certificate=pem(made), serial=f"{made.serial_number:x}")


def test_what_is_right_is_taken() -> None:
    assert check(GOOD, public_der(KEY), TRUST) == CERTIFICATE
    life = CERTIFICATE.not_valid_after_utc - CERTIFICATE.not_valid_before_utc
    assert renewal_due(CERTIFICATE) - CERTIFICATE.not_valid_before_utc == life * 2 / 3


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: of(key=generate()), "another key"),
        (lambda: of(device_id="dev-2"), "names dev-2, not dev-1"),
        (lambda: replace(GOOD, serial="ff"), "serial"),
        (lambda: replace(GOOD, certificate="nonsense"), "not a certificate"),
        (lambda: of(days=-0.0001), "is valid from"),
        (of_another_authority, "does not end at a root"),
        (below_a_device, "does not end at a root"),
    ],
)
def test_another_s_certificate_is_not_taken(made: Callable[[], Bundle], why: str) -> None:
    with pytest.raises(NotTrusted, match=why):
        check(made(), public_der(KEY), replace(TRUST, ledger_key=""))


def test_a_clock_that_is_a_little_behind_is_borne() -> None:
    early = CERTIFICATE.not_valid_before_utc - datetime.timedelta(minutes=4)
    check(GOOD, public_der(KEY), TRUST, early)
    with pytest.raises(NotTrusted, match="is valid from"):
        check(GOOD, public_der(KEY), TRUST, early - datetime.timedelta(minutes=2))


def other_proof(ledger: dict[str, Any]) -> dict[str, Any]:
    proof = list(ledger["inclusion_proof"])
    proof[0] = base64.b64encode(b"x" * 32).decode()
    return ledger | {"inclusion_proof": proof}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (other_proof, "does not lead to"),
        (lambda ledger: ledger | {"leaf_index": 0}, "does not lead to"),
        (lambda ledger: ledger | {"inclusion_proof": []}, "does not lead to"),
        (lambda ledger: ledger | {"tree_size": 5}, "of a tree of 5"),
        (lambda ledger: ledger | {"checkpoint": FakeFleet().ledger.enter(CERTIFICATE)["checkpoint"]}, "not readable"),
        (lambda ledger: ledger | {"checkpoint": "nonsense"}, "not readable"),
        (lambda ledger: {}, "not readable"),
    ],
)
def test_a_certificate_that_the_ledger_does_not_show_is_not_taken(spoil: Any, why: str) -> None:
    with pytest.raises(NotTrusted, match=why):
        check(replace(GOOD, ledger=spoil(GOOD.ledger)), public_der(KEY), TRUST)


def test_the_entry_must_hold_this_very_certificate() -> None:
    other = FLEET.ledger.entries[next(iter(FLEET.ledger.entries))]
    with pytest.raises(NotTrusted, match="holds another certificate"):
        check(GOOD, public_der(KEY), replace(TRUST, entry=lambda serial: other))
    with pytest.raises(NotTrusted, match="no ledger to ask"):
        check(GOOD, public_der(KEY), replace(TRUST, entry=None))
    with pytest.raises(NotTrusted, match="not readable"):
        check(GOOD, public_der(KEY), replace(TRUST, entry=lambda serial: json.dumps([]).encode()))


def sealed(made: Any, registered: Any, authority: Authority = FLEET.ca) -> Bundle:
    """A bundle whose key the server made, sealed for the device's registered one."""
    private = made.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    message = sealed_key.sign(sealed_key.seal(private, registered.public_key()), authority.certificate, authority.key)
    return replace(of(key=made), sealed_key=base64.b64encode(message).decode())


@pytest.mark.parametrize("algorithm", ["p256", "rsa"])
def test_a_key_that_the_server_made_is_opened(algorithm: str) -> None:
    registered, made = generate(algorithm), generate()
    opened = opened_key(sealed(made, registered), registered, TRUST.roots, datetime.datetime.now(datetime.UTC))
    assert public_der(opened) == public_der(made)


def test_a_key_that_another_sealed_or_that_is_for_another_is_not_taken() -> None:
    registered, made, now = generate(), generate(), datetime.datetime.now(datetime.UTC)
    good = sealed(made, registered)
    for bundle, key, why in (
        (good, generate(), "can't be opened"),
        (sealed(made, registered, Authority()), registered, "can't be opened"),
        (replace(good, sealed_key=sealed(generate(), registered).sealed_key), registered, "is not the certificate's"),
        (replace(good, sealed_key="nonsense"), registered, "can't be opened"),
        (good, generate("ed25519"), "nothing can be sealed"),
    ):
        with pytest.raises(NotTrusted, match=why):
            opened_key(bundle, key, TRUST.roots, now)
