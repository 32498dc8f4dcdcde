"""A roll-over of the issuing authority on a running stack, and the forecast of expiry."""

import json
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra import pki
from infra.cli.main import parser
from infra.stack.harness import Stack
from schemas.certificate_messages import AuthorityAdded
from schemas.registration_commands import RecordCertificate
from streams.ledger.machine import EVENTS, REGISTRATION
from tests.connectors.authority.test_openssl import openssl
from tests.infra.authority.fleet import Fleet

pytestmark = pytest.mark.stack


def issued(fleet: Fleet, device: int) -> RecordCertificate:
    fleet.send(fleet.issue(device))
    until = time.monotonic() + 30
    while True:
        for _, message in fleet.messages(REGISTRATION):
            if isinstance(message, RecordCertificate) and message.hardware_id == f"SN-{device}":
                return message
        assert time.monotonic() < until
        time.sleep(0.1)


def test_certificates_of_both_authorities_are_good(stack: Stack, fleet: Fleet, tmp_path: Path) -> None:
    old = issued(fleet, 71)
    known = len(fleet.wait_for(EVENTS, 1, AuthorityAdded))
    options = parser().parse_args(["ca", "roll"])
    assert options.run(options, stack.settings) == 0
    added = fleet.wait_for(EVENTS, known + 1, AuthorityAdded)[-1]
    rolled = list(pki.at(stack.settings).issuing().values())[-1]
    assert isinstance(added, AuthorityAdded)
    assert x509.load_der_x509_certificate(added.certificate) == rolled
    new = issued(fleet, 72)
    made = x509.load_der_x509_certificate(new.certificate)
    made.verify_directly_issued_by(rolled)
    (tmp_path / "ca.pem").write_bytes(fleet.http.get("/pki/ca.pem").raise_for_status().content)
    for record in (old, new):
        certificate = x509.load_der_x509_certificate(record.certificate)
        (tmp_path / "device.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        assert "OK" in openssl(tmp_path, "verify -x509_strict -purpose sslclient -CAfile ca.pem device.pem")
    for suffix in (".crt", ".crl", "-delta.crl"):
        fleet.http.get(f"/pki/{added.key_id}{suffix}").raise_for_status()


def test_the_forecast_tells_what_is_in_use(stack: Stack, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    record = issued(fleet, 73)
    options = parser().parse_args(["ca", "forecast", "--json", "--next", "1000"])
    assert options.run(options, stack.settings) == 0
    within = {bucket["within_days"]: bucket for bucket in json.loads(capsys.readouterr().out)}
    assert list(within) == [0, 1, 7, 30, 60, 90, None]
    assert {"serial": record.serial, "device_id": "dev-73", "not_after": record.not_after} in within[90]["next"]
    options = parser().parse_args(["ca", "forecast"])
    assert options.run(options, stack.settings) == 0
    assert "dev-73" in capsys.readouterr().out
