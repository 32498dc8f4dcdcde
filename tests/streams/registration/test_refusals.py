"""Every way to be refused: the code, and that the detail names the place."""

from collections.abc import Callable
from typing import Any

import pytest

from schemas.registration_errors import ERRORS
from schemas.registration_events import CommandRefused
from tests.streams.registration.actors import SECOND, Actor, World, claim, ident, pre_register, reset, revoked, token_hash
from tests.streams.registration.keyring import key

OTHER = b"g" * 32
OPENING, OTHERS = b"register:SN-1", b"register:SN-2"
MINUTE = 60 * SECOND


class Stage:
    """A device on its way, as far as a test wants it."""

    def __init__(self) -> None:
        self.world = World()
        self.device = Actor(self.world)
        self.claim_id = claim(self.world)

    def opened(self) -> Actor:
        self.device.open()
        return self.device

    def challenged(self) -> bytes:
        """The nonce."""
        self.opened().spend(self.claim_id)
        nonce: bytes = self.world.settle().nonce  # type: ignore[attr-defined]
        return nonce

    def passed(self) -> Any:
        """What the ledger is asked for."""
        self.device.confirm(self.challenged())
        return self.world.ledger[-1]

    def certified(self) -> Actor:
        self.device.certified(self.passed())
        return self.device

    def operational(self) -> Actor:
        self.certified().activate()
        return self.device

    def claimed_by(self, owner: str) -> Any:
        self.device.spend(claim(self.world, owner, owner))
        return self.world.settle()

    def later(self, micros: int) -> "Stage":
        self.world.now += micros
        return self

    def known(self, owner: str | None = None, of: Any = None) -> "Stage":
        pre_register(self.world, Actor(self.world, key=of or self.device.key), owner)
        return self


Case = Callable[[Stage], Any]
CASES: dict[str, tuple[str, str, Case]] = {
    # claims
    "a claim that nobody issued": ("CLAIM_UNKNOWN", "claim_id", lambda s: s.opened().spend(f"claim-{ident('none')}")),
    "a claim id that is none": ("CLAIM_UNKNOWN", "claim_id", lambda s: claim(s.world, 2, claim_id="SN-1")),
    "a claim twice": ("CLAIM_SPENT", "claim_id", lambda s: claim(s.world)),
    "a claim without end": ("REG-007", "expires_at", lambda s: claim(s.world, 2, expires_at=s.world.now + 61 * MINUTE)),
    "a claim without beginning": ("REG-007", "expires_at", lambda s: claim(s.world, 2, expires_at=s.world.now)),
    "a claim with a short hash": ("REG-007", "token_hash", lambda s: claim(s.world, 2, token_hash=b"x")),
    "a PIN code without PIN": (
        "REG-007",
        "pin_hash",
        lambda s: claim(s.world, 2, registration_type="pin_code", pin_hash=None),
    ),
    "a wrong token": ("CLAIM_WRONG", "credential", lambda s: s.opened().spend(s.claim_id, credential_hash=OTHER)),
    "a PIN where there is none": (
        "CLAIM_WRONG",
        "credential",
        lambda s: s.opened().spend(claim(s.world, 2, registration_type="qr_code", pin_hash=None), "123456"),
    ),
    "an expired claim": ("REG-002", "claim_id", lambda s: s.later(5 * MINUTE + 1).opened().spend(s.claim_id)),
    "a claim that another device spent": (
        "CLAIM_SPENT",
        "claim_id",
        lambda s: (s.challenged(), s.device.spend(s.claim_id, hardware_id="SN-2"))[1],
    ),
    "a claim that another session spent": (
        "CLAIM_SPENT",
        "claim_id",
        lambda s: (s.challenged(), s.device.spend(s.claim_id, session_id=ident("session", 2)))[1],
    ),
    "a spent claim with a wrong PIN": (
        "CLAIM_SPENT",
        "claim_id",
        lambda s: (s.challenged(), s.device.spend(s.claim_id, "000000"))[1],
    ),
    "a locked claim": (
        "CLAIM_LOCKED",
        "claim_id",
        lambda s: [s.device.spend(s.claim_id, pin) for pin in ("0", "1", "2", "3", "4", None)][-1],
    ),
    "a short nonce": ("REG-007", "nonce", lambda s: s.opened().spend(s.claim_id, nonce=b"n")),
    # sessions
    "a key that is none": ("BAD_PUBLIC_KEY", "public_key", lambda s: s.device.open(public_key=b"0Y0\x13")),
    "a hardware id like a claim's": ("BAD_HARDWARE_ID", "hardware_id", lambda s: s.device.open(hardware_id="claim-1")),
    "a claim's key for a device": (
        "BAD_HARDWARE_ID",
        "hardware_id",
        lambda s: s.device.open(hardware_id=s.claim_id),
    ),
    "another fingerprint": ("REG-001", "fingerprint", lambda s: (s.passed(), s.device.open(ident(2), fingerprint=OTHER))[1]),
    "a fingerprint that is none": ("REG-001", "fingerprint", lambda s: s.device.open(fingerprint=b"f")),
    "a device in service": ("REG-003", "hardware_id", lambda s: s.operational().open(ident(2))),
    "another key than the known": ("NOT_PRE_REGISTERED", "public_key", lambda s: s.known(None, key("ec", 3)).device.open()),
    "a session that is over at once": ("REG-007", "expires_at", lambda s: s.device.open(expires_at=s.world.now)),
    "a session twice": ("SESSION_UNKNOWN", "session_id", lambda s: s.opened().open()),
    "a compromised key": (
        "BAD_PUBLIC_KEY",
        "public_key",
        lambda s: (s.operational(), revoked(s.world, "5e01", "key_compromise"), reset(s.world), s.device.open(ident(2)))[3],
    ),
    # admission
    "a claim of somebody else's device": (
        "NOT_OWNER",
        "owner",
        lambda s: (s.certified().open(ident(2)), s.claimed_by("bob"))[1],
    ),
    "a claim of a device that is known as another's": (
        "NOT_OWNER",
        "owner",
        lambda s: (s.known("alice").opened(), s.claimed_by("bob"))[1],
    ),
    "a claim for another fingerprint": (
        "REG-001",
        "fingerprint",
        lambda s: (s.opened().spend(s.claim_id, fingerprint=OTHER), s.world.settle())[1],
    ),
    "a claim after the session": (
        "REG-002",
        "session_id",
        lambda s: (s.opened(), s.later(16 * MINUTE).claimed_by("alice"))[1],
    ),
    "a claim for no session": ("SESSION_UNKNOWN", "session_id", lambda s: s.claimed_by("alice")),
    "a second claim of one session": (
        "SESSION_UNKNOWN",
        "session_id",
        lambda s: (s.challenged(), s.claimed_by("alice"))[1],
    ),
    "a proof of a device that is not known": ("NOT_PRE_REGISTERED", "hardware_id", lambda s: s.opened().prove()),
    "a proof of another key": (
        "REG-004",
        "proof",
        lambda s: s.known().opened().prove(proof=key("ec", 3).sign(OPENING)),
    ),
    "a proof for another device": (
        "REG-004",
        "proof",
        lambda s: s.known().opened().prove(proof=key().sign(OTHERS)),
    ),
    "a proof after a claim": ("SESSION_UNKNOWN", "session_id", lambda s: (s.known().challenged(), s.device.prove())[1]),
    "a proof with a short nonce": ("REG-007", "nonce", lambda s: s.known().opened().prove(nonce=b"")),
    "pre-registration of a device that passed": (
        "REG-003",
        "hardware_id",
        lambda s: (s.passed(), pre_register(s.world, s.device))[1],
    ),
    "pre-registration without key": (
        "BAD_PUBLIC_KEY",
        "public_key",
        lambda s: pre_register(s.world, s.device, public_key=b"x"),
    ),
    # challenge
    "an answer before the challenge": ("REG-004", "session_id", lambda s: s.opened().confirm(OTHER)),
    "an answer twice": ("REG-004", "session_id", lambda s: (s.passed(), s.device.confirm(OTHER))[1]),
    "an answer too late": ("REG-002", "session_id", lambda s: s.device.confirm((s.challenged(), s.later(16 * MINUTE))[0])),
    "an answer for another session": (
        "SESSION_UNKNOWN",
        "session_id",
        lambda s: s.device.confirm(s.challenged(), session_id=ident(2)),
    ),
    "no CSR": ("BAD_CSR", "csr", lambda s: s.device.confirm(s.challenged(), csr=None)),
    "a CSR of another key": ("BAD_CSR", "csr", lambda s: s.device.confirm(s.challenged(), csr=key("ec", 3).csr())),
    "a sealed key for a key that only signs": (
        "BAD_PUBLIC_KEY",
        "key_mode",
        lambda s: (
            setattr(s.device, "key", key("ed25519")),
            s.device.confirm(s.challenged(), key_mode="server", csr=None),
        )[1],
    ),
    # certificates
    "a certificate for nobody": (
        "SESSION_UNKNOWN",
        "session_id",
        lambda s: (s.passed(), s.device.certified(s.world.ledger[-1], session_id=ident(2)))[1],
    ),
    "a certificate before the challenge is passed": (
        "SESSION_UNKNOWN",
        "session_id",
        lambda s: (s.passed(), s.device.open(ident(2)), s.device.certified(s.world.ledger[-1], session_id=ident(2)))[2],
    ),
    "a certificate of a renewal that another one took the place of": (
        "SESSION_UNKNOWN",
        "session_id",
        lambda s: (s.operational().renew("5e01"), s.device.renew("5e01"), s.device.certified(s.world.ledger[-2], "5e02"))[2],
    ),
    "a certificate that can't be read": (
        "REG-008",
        "certificate",
        lambda s: (
            s.device.confirm(s.challenged(), key_mode="server", csr=None),
            s.device.certified(s.world.ledger[-1], certificate=b"0"),  # type: ignore[arg-type]
        )[1],
    ),
    "a revocation of another certificate": (
        "CERTIFICATE_UNKNOWN",
        "serial",
        lambda s: (s.operational(), revoked(s.world, "77", "superseded"))[1],
    ),
    "a revocation for a device that nobody knows": (
        "CERTIFICATE_UNKNOWN",
        "serial",
        lambda s: revoked(s.world, "77", "superseded"),
    ),
    "a renewal of another id": (
        "DEVICE_UNKNOWN",
        "device_id",
        lambda s: s.operational().renew("5e01", device_id="dev-2"),
    ),
    "a renewal of another certificate": ("CERTIFICATE_UNKNOWN", "serial", lambda s: s.operational().renew("77")),
    "a renewal without certificate": (
        "CERTIFICATE_UNKNOWN",
        "hardware_id",
        lambda s: (s.passed(), s.device.renew("5e01"))[1],
    ),
    "a renewal of a withdrawn certificate": (
        "CERTIFICATE_REVOKED",
        "hardware_id",
        lambda s: (s.operational(), revoked(s.world, "5e01", "privilege_withdrawn"), s.device.renew("5e01"))[2],
    ),
    "a renewal of a device that was reset by hand": (
        "ILLEGAL_TRANSITION",
        "hardware_id",
        lambda s: (s.operational().report("setup_mode"), s.device.renew("5e01"))[1],
    ),
    "a renewal as a registration": ("REG-007", "purpose", lambda s: s.operational().renew("5e01", purpose="registration")),
    "a renewal with another key": ("BAD_CSR", "csr", lambda s: s.operational().renew("5e01", csr=key("ec", 3).csr())),
    "a rotation to the same key": ("BAD_CSR", "csr", lambda s: s.operational().renew("5e01", key())),
    "a rotation that nobody vouches for": (
        "REG-004",
        "signature",
        lambda s: s.operational().renew("5e01", key("ec", 3), signature=None),
    ),
    "a rotation that the new key vouches for": (
        "REG-004",
        "signature",
        lambda s: s.operational().renew("5e01", key("ec", 3), signature=key("ec", 3).sign(b"")),
    ),
    # states
    "a heartbeat under another id": ("DEVICE_UNKNOWN", "device_id", lambda s: s.certified().activate(device_id="dev-2")),
    "a second first heartbeat": ("ILLEGAL_TRANSITION", "hardware_id", lambda s: s.operational().activate()),
    "a heartbeat before the certificate": (
        "CERTIFICATE_UNKNOWN",
        "hardware_id",
        lambda s: (s.passed(), s.device.activate())[1],
    ),
    "an illegal step": ("ILLEGAL_TRANSITION", "state", lambda s: s.operational().report("claiming")),
    "a step that is the server's": ("ILLEGAL_TRANSITION", "state", lambda s: s.certified().report("operational")),
    "a reset of nothing": ("DEVICE_UNKNOWN", "hardware_id", lambda s: reset(s.world)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_refusal_has_its_code_names_the_place_and_changes_nothing(case: str) -> None:
    code, place, act = CASES[case]
    stage = Stage()
    last = act(stage)
    event = stage.world.log[-1][1] if isinstance(last, str) else last
    assert isinstance(event, CommandRefused)
    assert event.code == code
    assert place in event.detail.split(":")[0].split(", ")
    assert (event.owner is not None) == (event.code == "REG-003")
    assert code in ERRORS


def test_a_device_in_service_is_told_whose_it_is() -> None:
    """For the owner alone: whoever answers the request sees to that."""
    stage = Stage()
    refused = stage.operational().open(ident(2))
    assert isinstance(refused, CommandRefused)
    assert (refused.owner, refused.device_id) == ("alice", stage.device.state.device_id)


def test_a_token_is_known_by_its_hash_alone() -> None:
    stage = Stage()
    stage.challenged()
    assert token_hash(stage.claim_id) != stage.claim_id.encode()
    assert "secret" not in repr(stage.world.log)
