"""How many registrations one decider decides; beside the signatures that it can't do without."""

import hashlib
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from connectors import keys
from infra.bench.report import Figures
from infra.device.keystore import generate, public_der, sign
from infra.device.registration import csr
from schemas import proofs
from schemas.messages import Command
from schemas.registration_commands import (
    ActivateDevice,
    AdmitClaim,
    ConfirmChallenge,
    IssueClaimToken,
    OpenSession,
    RecordCertificate,
    SpendClaim,
)
from streams.registration.definition import REGISTRATION
from streams.registration.state import State

KINDS = ("p256", "ed25519", "rsa")
MINUTES = 60_000_000
NONCE, FINGERPRINT = b"n" * 32, b"f" * 32

ABOUT = """\
One thread decides all seven commands of a device that is claimed and registered, folds their events and works out what
follows, in memory; a device has a P-256 key. `bare` verifies the two signatures of a registration (challenge and
certification request) and nothing else. The figures of other keys are below."""


def run(seconds: float) -> dict[str, Any]:
    """Measure for about `seconds`, all kinds of keys and their bare cost in turns."""
    calls: dict[str, Callable[[], object]] = {}
    for kind in KINDS:
        commands, signed = _registration(kind)
        calls[kind] = lambda commands=commands: _decide(commands)  # type: ignore[misc]
        calls[f"{kind} bare"] = lambda signed=signed: _verify(*signed)  # type: ignore[misc]
    took, turns = dict.fromkeys(calls, 0.0), 0
    until = time.perf_counter() + seconds
    while turns == 0 or time.perf_counter() < until:
        turns += 1
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(50):
                call()
            took[name] += time.perf_counter() - start
    rates = {name: 50 * turns / one for name, one in took.items()}
    return Figures(
        bench="decider",
        ours=rates["p256"],
        limits={"bare": rates["p256 bare"]},
        unit="registrations/s",
        targets={"bare": 1 / 3},
        about=ABOUT,
        detail={"microseconds": {name: round(1e6 / rate, 1) for name, rate in rates.items()}},
    ).result()


def _decide(commands: list[tuple[str, Command]]) -> dict[str, State | None]:
    states: dict[str, State | None] = {}
    for key, command in commands:
        state = states.get(key)
        for event in REGISTRATION.decide(state, command):
            state = REGISTRATION.evolve(state, event)
            REGISTRATION.react(state, event)
        states[key] = state
    return states


def _verify(public_key: bytes, signature: bytes, message: bytes, request: bytes) -> None:
    signed = keys.verifies(keys.load(public_key), signature, message)
    if not (signed and x509.load_der_x509_csr(request).is_signature_valid):
        raise AssertionError("a good signature is refused")


def _registration(kind: str) -> tuple[list[tuple[str, Command]], tuple[bytes, bytes, bytes, bytes]]:
    """The commands of a registration with their keys, and what is signed in it."""
    key, now, device, session = generate(kind), 1_800_000_000 * 1_000_000, "bench", str(uuid4())
    claim, public_key = f"claim-{uuid4()}", public_der(key)
    message = proofs.challenge(session, NONCE, public_key, FINGERPRINT)
    signature = sign(key, message)
    request = x509.load_pem_x509_csr(csr(key).encode()).public_bytes(Encoding.DER)
    token = hashlib.sha256(b"token").digest()
    bound = {"hardware_id": device, "session_id": session, "fingerprint": FINGERPRINT}
    commands: list[tuple[type[Command], dict[str, Any]]] = [
        (IssueClaimToken, {"claim_id": claim, "owner": "alice", "registration_type": "qr_code", "token_hash": token}),
        (OpenSession, {**bound, "device_id": device, "public_key": public_key, "model": "m", "firmware_version": "1"}),
        (SpendClaim, {**bound, "claim_id": claim, "credential": "token", "credential_hash": token, "nonce": NONCE}),
        (AdmitClaim, {**bound, "claim_id": claim, "owner": "alice", "nonce": NONCE}),
        (ConfirmChallenge, {**bound, "signature": signature, "key_mode": "csr", "csr": request}),
        (RecordCertificate, {**bound, "purpose": "registration", "serial": "5e01", "checkpoint": "c"}),
        (ActivateDevice, {**bound, "device_id": device}),
    ]
    rest = {"expires_at": now + 5 * MINUTES, "not_before": now, "not_after": now, "leaf_index": 0, "tree_size": 1}
    lists = {"capabilities": (), "chain": (), "inclusion_proof": (), "certificate": b"0" * 600}
    made = [(_made(name, now, {**rest, **lists, **fields})) for name, fields in commands]
    where = [claim if isinstance(command, IssueClaimToken | SpendClaim) else device for command in made]
    states = _decide(list(zip(where, made, strict=True)))
    if getattr(states[device], "lifecycle", None) != "operational":
        raise RuntimeError(f"the device did not register: {states[device]}")
    return list(zip(where, made, strict=True)), (public_key, signature, message, request)


def _made(name: type[Command], now: int, fields: dict[str, Any]) -> Command:
    identity = str(uuid4())
    about = {"command_id": identity, "correlation_id": identity, "actor": "bench", "issued_at": now}
    given = {field: fields.get(field) for field in name.__struct_fields__}
    return msgspec.convert({**given, **about}, name)
