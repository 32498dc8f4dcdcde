"""Becoming a member of the fleet: initiate, validate, confirm. A flow (infra.device.calls), so it knows no network.

Each request is noted before it is sent, in the words and with the Idempotency-Key in which it will be sent again: after a
crash or a lost answer the same command reaches the server and gets the same answer, and no claim is spent twice.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra.device.calls import Call, Flow, Refused, Reply
from infra.device.fingerprint import Parts
from infra.device.keystore import PrivateKey, public_der, sign
from schemas import proofs

INITIATE, VALIDATE, CONFIRM = (f"/v1/devices/register/{name}" for name in ("initiate", "validate", "confirm"))


class NotTrusted(Exception):
    """What the server sent is not what it must be; nothing of it is kept."""


@dataclass(frozen=True)
class Identity:
    """Who registers: `hardware_id` is the serial number, `fingerprint` the machine's parts."""

    hardware_id: str
    fingerprint: Parts
    model: str
    firmware_version: str
    hardware_revision: str = ""
    capabilities: tuple[str, ...] = ()

    @property
    def info(self) -> dict[str, Any]:
        said = {"model": self.model, "firmware_version": self.firmware_version, "capabilities": list(self.capabilities)}
        return said | ({"hardware_revision": self.hardware_revision} if self.hardware_revision else {})


@dataclass(frozen=True)
class Token:
    """A claim token, as scanned from a QR code."""

    token: str


@dataclass(frozen=True)
class Pin:
    """The claim's id and the six digits that its owner types."""

    claim_id: str
    pin: str


@dataclass(frozen=True)
class PreRegistered:
    """Nothing but the key that an administrator made known."""


Credential = Token | Pin | PreRegistered


class Progress(Protocol):
    """Where a flow notes how far it is."""

    def load(self) -> dict[str, Any]: ...
    def save(self, value: dict[str, Any]) -> None: ...
    def clear(self) -> None: ...


@dataclass
class InMemory:
    """Progress that ends with the process."""

    value: dict[str, Any] = field(default_factory=dict)

    def load(self) -> dict[str, Any]:
        return self.value

    def save(self, value: dict[str, Any]) -> None:
        self.value = value

    def clear(self) -> None:
        self.value = {}


@dataclass(frozen=True)
class Bundle:
    """What a confirmed registration or a renewal brought. `chain`: the authorities above, PEM, nearest first."""

    device_id: str
    certificate: str
    chain: str
    serial: str
    ledger: dict[str, Any]
    endpoints: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    sealed_key: str | None = None

    @classmethod
    def read(cls, reply: Reply) -> "Bundle":
        """
        Raises:
            NotTrusted: it lacks what every bundle holds.
        """
        try:
            return cls(
                device_id=reply["device_id"],
                certificate=reply["device_certificate"],
                chain=reply["ca_certificate"],
                serial=reply["serial"],
                ledger=reply["ledger"],
                endpoints=reply.get("api_endpoints") or {},
                config=reply.get("initial_config") or {},
                sealed_key=reply.get("sealed_key"),
            )
        except KeyError as missing:
            raise NotTrusted(f"the server's answer lacks {missing}") from None


class Asking:
    """Asks step by step and remembers each: what was answered is not asked again, what was asked is asked the same."""

    def __init__(self, progress: Progress, what: dict[str, Any]) -> None:
        """`what` tells this flow from others: progress of another is forgotten."""
        self._progress = progress
        noted = progress.load()
        self._noted: dict[str, Any] = noted if noted.get("what") == what else {"what": what}

    def ask(self, step: str, path: str, body: Callable[[], dict[str, Any]]) -> Flow[Reply]:
        """The answer of a step; `body` makes the request if it was not made before."""
        noted = self._noted.get(step)
        if noted is None:
            noted = self._noted[step] = {"key": str(uuid4()), "body": json.dumps(body())}
            self._progress.save(self._noted)
        if (known := noted.get("answer")) is not None:
            return dict(known)
        reply = yield Call("POST", path, noted["body"].encode(), noted["key"])
        noted["answer"] = reply
        self._progress.save(self._noted)
        return reply


@dataclass(frozen=True)
class Registration:
    """One device's registration."""

    who: Identity
    key: PrivateKey
    credential: Credential
    progress: Progress
    server_side_key: bool = False

    def flow(self) -> Flow[Bundle]:
        """
        Raises:
            Refused: by the server, for good (the progress is forgotten: the next flow begins anew) or for now.
            NotTrusted: the server asked for a signature over something else than its challenge.
        """
        try:
            return (yield from self._once())
        except Refused as refused:
            if not refused.later:
                self.progress.clear()
            if refused.code != "SESSION_UNKNOWN":
                raise
        # A session of 15 minutes that was begun before a long power cut: one more.
        return (yield from self._once())

    def _once(self) -> Flow[Bundle]:
        kind = type(self.credential).__name__
        public = public_der(self.key)
        asking = Asking(self.progress, {"flow": "registration", "hardware_id": self.who.hardware_id, "by": kind})
        opened = yield from asking.ask("initiate", INITIATE, self._initiate)
        session = _text(opened, "session_id")
        admitted = yield from asking.ask("validate", VALIDATE, lambda: self._validate(session))
        expected = proofs.challenge(session, _bytes(admitted, "nonce"), public, self._fingerprint())
        if _bytes(admitted, "challenge") != expected:
            raise NotTrusted("the challenge is not made of this session, its nonce, this key and this fingerprint")
        confirmed = yield from asking.ask("confirm", CONFIRM, lambda: self._confirm(session, expected))
        return Bundle.read(confirmed)

    def _fingerprint(self) -> bytes:
        return proofs.fingerprint(self.who.fingerprint, self.who.hardware_id)

    def _initiate(self) -> dict[str, Any]:
        return {
            "hardware_id": self.who.hardware_id,
            "public_key": public_pem(self.key),
            "hardware_fingerprint": self.who.fingerprint,
            "device_info": self.who.info,
        }

    def _validate(self, session: str) -> dict[str, Any]:
        said = {
            "hardware_id": self.who.hardware_id,
            "session_id": session,
            "hardware_fingerprint": self.who.fingerprint,
        }
        match self.credential:
            case Token(token):
                return said | {"claim_token": token}
            case Pin(claim_id, pin):
                return said | {"claim_id": claim_id, "pin": pin}
            case PreRegistered():
                return said | {"proof": encoded(sign(self.key, proofs.opening(self.who.hardware_id)))}

    def _confirm(self, session: str, challenge: bytes) -> dict[str, Any]:
        asked = {"server_side_key": True} if self.server_side_key else {"csr": csr(self.key)}
        said = {"hardware_id": self.who.hardware_id, "session_id": session}
        return said | {"signature": encoded(sign(self.key, challenge))} | asked


def csr(key: PrivateKey) -> str:
    """A certification request of `key`, PEM, without names: the server alone says whose the certificate is."""
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, algorithm)
    return request.public_bytes(Encoding.PEM).decode("ascii")


def public_pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _text(reply: Reply, name: str) -> str:
    value = reply.get(name)
    if not isinstance(value, str):
        raise NotTrusted(f"the server's answer has no {name}")
    return value


def _bytes(reply: Reply, name: str) -> bytes:
    try:
        return base64.b64decode(_text(reply, name), validate=True)
    except binascii.Error:
        raise NotTrusted(f"the server's {name} is not base64") from None
