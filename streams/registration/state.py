"""What is remembered of a claim and of a device: what a later command is decided by, and nothing else.

A device with P-256 keys takes some 400 bytes while it registers and 300 afterwards; with RSA of 2048 bits 600 and 500, and
850 while it rotates.
"""

from typing import Literal

import msgspec

from schemas.message_values import Admission, DeviceState, KeyMode, Purpose
from streams.registration.lifecycle import FIRST

PIN_ATTEMPTS = 5
CHALLENGE_ATTEMPTS = 3


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """By which device, in which session a claim was used up."""

    hardware_id: str
    session_id: str
    fingerprint: bytes
    nonce: bytes


class Claim(msgspec.Struct, frozen=True, array_like=True, tag="claim"):
    """A user's word that one device is to be theirs. Locked when no attempt is left."""

    owner: str
    token_hash: bytes
    pin_hash: bytes | None
    expires_at: int
    attempts_left: int = PIN_ATTEMPTS
    spent: Spent | None = None


class Challenge(msgspec.Struct, frozen=True, array_like=True):
    """A session was admitted, by a claim of `owner` or as pre-registered, and has to sign the nonce."""

    via: Admission
    claim_id: str | None
    owner: str | None
    nonce: bytes
    attempts_left: int = CHALLENGE_ATTEMPTS


class Session(msgspec.Struct, frozen=True, array_like=True):
    """A registration under way, bound to one key and one fingerprint. `passed`: how the key of the certificate that it
    waits for is made; None before its challenge is passed."""

    session_id: str
    public_key: bytes
    fingerprint: bytes
    model: str
    expires_at: int
    challenge: Challenge | None = None
    passed: KeyMode | None = None


class Renewal(msgspec.Struct, frozen=True, array_like=True):
    """A new certificate is under way. `public_key`: the key that it is for."""

    session_id: str
    purpose: Purpose
    public_key: bytes


class PreRegistration(msgspec.Struct, frozen=True, array_like=True):
    """An administrator's word which key a device has and, maybe, whose it is."""

    key_hash: bytes
    owner: str | None
    model: str | None


class GivenUp(msgspec.Struct, frozen=True, array_like=True):
    """The certificate that the device had before: before a renewal, another passed challenge or a reset. After the last two
    the ledger's word that it is revoked is on its way."""

    serial: str
    device_id: str
    key_hash: bytes


class Device(msgspec.Struct, frozen=True, array_like=True, tag="device"):
    """`owner`, `fingerprint` and `model` are those of the last session that passed its challenge, and stay until a reset;
    `serial` and `public_key` are the active certificate's; `certified` is the session or renewal that it came from."""

    lifecycle: DeviceState = FIRST
    device_id: str | None = None
    owner: str | None = None
    fingerprint: bytes | None = None
    model: str | None = None
    serial: str | None = None
    public_key: bytes | None = None
    certified: str | None = None
    session: Session | None = None
    renewal: Renewal | None = None
    known: PreRegistration | None = None
    given_up: GivenUp | None = None
    barred: bytes | None = None
    """SHA-256 of the last key that was compromised: it is not taken again, not even after a reset."""


State = Claim | Device
Kind = Literal["claim", "device"]
