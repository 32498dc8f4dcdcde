"""What a registration costs in cryptography alone: every key, signature, request and certificate that the server handles,
with the same functions, but no HTTP, no log and no deciding."""

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from connectors import csr as requests
from connectors import keys
from infra import pki
from infra.device.keystore import generate, public_der, sign
from infra.device.registration import csr, public_pem
from infra.settings import Settings
from schemas import proofs
from schemas.certificate_messages import CertificateIssued, IssueCertificate
from schemas.transparency import entries, merkle, notes

NONCE = b"n" * 32


@dataclass(frozen=True, slots=True)
class _Sent:
    """What a device sends, made before the clock runs."""

    hardware_id: str
    session_id: str
    public_key: str
    parts: dict[str, str | list[str] | None]
    token: bytes
    signature: bytes
    csr: bytes


def _sent(number: int) -> _Sent:
    key, session = generate(), str(uuid4())
    hardware_id = f"bare-{number:06}"
    parts: dict[str, str | list[str] | None] = {"cpu_id": "bench", "board_serial": hardware_id}
    message = proofs.challenge(session, NONCE, public_der(key), proofs.fingerprint(parts, hardware_id))
    request = x509.load_pem_x509_csr(csr(key).encode()).public_bytes(Encoding.DER)
    token = base64.urlsafe_b64encode(hashlib.sha256(hardware_id.encode()).digest())
    return _Sent(hardware_id, session, public_pem(key), parts, token, sign(key, message), request)


def rate(settings: Settings, seconds: float, devices: int = 300) -> float:
    """Registrations/s of one thread; `devices` are taken in turn."""
    authority = pki.authority(settings)
    signer = notes.Signer(settings.ledger_origin, notes.LOG, pki.ledger_key(settings))
    tree = merkle.Tree()
    sent = [_sent(number) for number in range(devices)]
    done, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        one = sent[done % devices]
        _admit(one)
        command = _passed(one)
        issued = authority.issue(command)
        event = _event(command, issued.certificate, issued.serial, tree.size)
        index = tree.append(merkle.leaf_hash(entries.canonical(event)))
        signer.checkpoint(tree.size, tree.root())
        tree.inclusion(index, tree.size)
        done += 1
    return done / took


def _admit(one: _Sent) -> None:
    """initiate and validate: the key, both fingerprints, the token."""
    keys.load(one.public_key.encode())
    for _ in range(2):
        proofs.fingerprint(one.parts, one.hardware_id)
    digest = hashlib.sha256(one.token).digest()
    if not hmac.compare_digest(digest, hashlib.sha256(one.token).digest()):
        raise RuntimeError("a token differs from itself")


def _passed(one: _Sent) -> IssueCertificate:
    """confirm: the signature over the challenge, and the request."""
    key = keys.load(one.public_key.encode())
    public = keys.der(key)
    message = proofs.challenge(one.session_id, NONCE, public, proofs.fingerprint(one.parts, one.hardware_id))
    if not keys.verifies(key, one.signature, message):
        raise RuntimeError("a good signature is refused")
    requests.checked_csr(one.csr, public)
    return IssueCertificate(
        command_id=str(uuid4()),
        correlation_id=one.session_id,
        actor="bench",
        issued_at=time.time_ns() // 1000,
        hardware_id=one.hardware_id,
        device_id=one.hardware_id,
        session_id=one.session_id,
        purpose="registration",
        previous_serial=None,
        public_key=public,
        key_mode="csr",
        csr=one.csr,
        owner="bench",
        model="bench",
    )


def _event(command: IssueCertificate, certificate: bytes, serial: str, leaf_index: int) -> CertificateIssued:
    return CertificateIssued(
        event_id=command.command_id,
        command_id=command.command_id,
        correlation_id=command.correlation_id,
        actor=command.actor,
        occurred_at=command.issued_at,
        received_at=command.issued_at,
        leaf_index=leaf_index,
        serial=serial,
        device_id=command.device_id,
        hardware_id=command.hardware_id,
        session_id=command.session_id,
        purpose=command.purpose,
        previous_serial=None,
        not_before=0,
        not_after=0,
        key_algorithm="EC P-256",
        key_hash=keys.key_hash(command.public_key),
        issuer_key_id="",
        owner=command.owner,
        model=command.model,
        certificate=certificate,
    )
