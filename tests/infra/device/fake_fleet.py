"""A server in memory, as a device sees it: registration with real keys and certificates, refusals on request."""

import base64
import datetime
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from connectors import keys
from infra.device.calls import Answer, Call, Unreachable
from schemas import proofs
from schemas.registration_errors import ERRORS
from schemas.transparency import merkle, notes

NAMED_UNIT = "urn:fleetlog:device:"


class Authority:
    """A root that signs devices' certificates itself."""

    def __init__(self, name: str = "test root") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.name, self.key.public_key(), x509.BasicConstraints(True, None), None)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, public: Any, device_id: str, days: float = 90.0) -> x509.Certificate:
        uri = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(NAMED_UNIT + device_id)])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, device_id)])
        return self._signed(subject, public, x509.BasicConstraints(False, None), uri, days)

    def _signed(self, subject: x509.Name, public: Any, constraints: Any, names: Any, days: float = 90.0) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=1))
        made = made.not_valid_after(now + datetime.timedelta(days=days)).add_extension(constraints, True)
        if names is not None:
            made = made.add_extension(names, False)
        return made.sign(self.key, hashes.SHA256())


class Ledger:
    """A transparency ledger of certificates."""

    def __init__(self) -> None:
        self.signer = notes.Signer("test/ledger", notes.LOG, ed25519.Ed25519PrivateKey.generate())
        self.tree = merkle.Tree()
        self.entries: dict[str, bytes] = {}

    def enter(self, certificate: x509.Certificate) -> dict[str, Any]:
        """Enter a certificate; what is stapled to its bundle."""
        der = certificate.public_bytes(Encoding.DER)
        entry = json.dumps({"certificate": text(der), "type": "CertificateIssued"}).encode()
        self.entries[f"{certificate.serial_number:x}"] = entry
        index = self.tree.append(merkle.leaf_hash(entry))
        size = self.tree.size
        return {
            "leaf_index": index,
            "tree_size": size,
            "inclusion_proof": [text(one) for one in self.tree.inclusion(index, size)],
            "checkpoint": self.signer.checkpoint(size, self.tree.root()),
        }


@dataclass
class FakeFleet:
    """`lose(number)`: the request was done, its answer is lost; `refuse(number)`: an answer in place of the work."""

    tokens: set[str] = field(default_factory=set)
    lose: Callable[[int], bool] = lambda _: False
    refuse: Callable[[int], Answer | None] = lambda _: None
    requests: list[Call] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    issued: list[str] = field(default_factory=list)
    ca: Authority = field(default_factory=Authority)
    ledger: Ledger = field(default_factory=Ledger)

    def send(self, call: Call) -> Answer:
        self.requests.append(call)
        number = len(self.requests)
        instead = self.refuse(number)
        if instead is not None:
            return instead
        if call.key not in self.answers:
            self.answers[call.key] = self._work(call.path, json.loads(call.body))
        if self.lose(number):
            raise Unreachable("lost on purpose")
        return self.answers[call.key]

    def _work(self, path: str, body: dict[str, Any]) -> Answer:
        step = path.rsplit("/", 1)[1]
        work = {"initiate": self._initiate, "validate": self._validate, "confirm": self._confirm}
        return work[step](body)

    def _initiate(self, body: dict[str, Any]) -> Answer:
        session = str(uuid4())
        self.sessions[session] = {**body, "device_id": f"dev-{body['hardware_id']}"}
        return answer({"session_id": session, "device_id": f"dev-{body['hardware_id']}"}, 201)

    def _validate(self, body: dict[str, Any]) -> Answer:
        session = self.sessions.get(body["session_id"])
        if session is None:
            return refusal("SESSION_UNKNOWN")
        public = keys.load(session["public_key"].encode())
        if "proof" in body:
            if not keys.verifies(public, base64.b64decode(body["proof"]), proofs.opening(body["hardware_id"])):
                return refusal("NOT_PRE_REGISTERED")
        elif body.get("claim_token", body.get("pin")) in self.tokens:
            self.tokens.discard(body.get("claim_token", body.get("pin")))
        else:
            return refusal("CLAIM_SPENT")
        nonce = os.urandom(32)
        mark = proofs.fingerprint(body["hardware_fingerprint"], body["hardware_id"])
        session["challenge"] = proofs.challenge(body["session_id"], nonce, keys.der(public), mark)
        return answer({"nonce": text(nonce), "challenge": text(session["challenge"])})

    def _confirm(self, body: dict[str, Any]) -> Answer:
        session = self.sessions.get(body["session_id"])
        if session is None:
            return refusal("SESSION_UNKNOWN")
        public = keys.load(session["public_key"].encode())
        if not keys.verifies(public, base64.b64decode(body["signature"]), session["challenge"]):
            return refusal("REG-004")
        request = x509.load_pem_x509_csr(body["csr"].encode())
        if not request.is_signature_valid or keys.der(request.public_key()) != keys.der(public):
            return refusal("BAD_CSR")
        device_id = session["device_id"]
        self.issued.append(device_id)
        return answer(self.bundle(device_id, self.ca.issue(request.public_key(), device_id)))

    def bundle(self, device_id: str, certificate: x509.Certificate) -> dict[str, Any]:
        return bundle(self.ca, device_id, certificate) | {"ledger": self.ledger.enter(certificate)}


def bundle(ca: Authority, device_id: str, certificate: x509.Certificate) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "device_certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "ca_certificate": ca.pem,
        "serial": f"{certificate.serial_number:x}",
        "ledger": {"leaf_index": 0, "tree_size": 1, "inclusion_proof": [], "checkpoint": ""},
        "api_endpoints": {"heartbeat": f"/v1/devices/{device_id}/heartbeat"},
        "initial_config": {},
        "registration_complete": True,
    }


def answer(value: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


def refusal(code: str, retry_after: float = 0.0, status: int = 0) -> Answer:
    known = ERRORS[code]
    told = {"code": code, "detail": known.message, "user_action": known.action}
    return Answer(status or known.status, json.dumps(told).encode(), retry_after)


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()
