"""A device keeps only what is its own: certificates of others, foreign authorities and forged ledgers are each told."""

import base64
import datetime
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from infra.device.keystore import generate, public_der
from infra.device.registration import Bundle, NotTrusted
from infra.device.verification import Trust, check, renewal_due
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
