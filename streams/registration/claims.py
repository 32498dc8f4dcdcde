"""Claims: a user's token, good for one device, for a few minutes.

A claim is used up once, by one session of one device. The same session that presents it again (its answer was lost and the
command came under another id) is let through again with the first nonce, so that whichever answer it hears is good;
anybody else is refused.

Tokens have 256 random bits and can't be guessed, so a wrong one is refused and no more. PINs have six digits: the fifth
wrong one locks the claim, for its token as well.
"""

import hmac
from typing import assert_never

from schemas.messages import Event
from schemas.registration_commands import IssueClaimToken, SpendClaim
from schemas.registration_events import ClaimAttemptFailed, ClaimLocked, ClaimSpent, ClaimTokenIssued
from streams.identities import headers
from streams.registration.refusal import CLAIM_PREFIX, Refusal, check_hardware_id
from streams.registration.state import Claim, Spent

ClaimCommand = IssueClaimToken | SpendClaim
ClaimEvent = ClaimTokenIssued | ClaimSpent | ClaimAttemptFailed | ClaimLocked
MOST_LIFE = 3_600_000_000  # microseconds
HASH_BYTES = 32
NONCE_BYTES = 32


def decide_claim(state: Claim | None, command: ClaimCommand) -> Event:
    """The one event that answers a command.

    Raises:
        Refusal: it may not be.
    """
    if not command.claim_id.startswith(CLAIM_PREFIX):
        raise Refusal("CLAIM_UNKNOWN", f"claim_id: {command.claim_id} does not begin with {CLAIM_PREFIX}")
    match command:
        case IssueClaimToken():
            return _issue(state, command)
        case SpendClaim():
            return _spend(state, command)
    assert_never(command)


def evolve_claim(state: Claim | None, event: ClaimEvent) -> Claim | None:
    """The claim after an event."""
    if isinstance(event, ClaimTokenIssued):
        return Claim(event.owner, event.token_hash, event.pin_hash, event.expires_at)
    if state is None:
        return None
    attempts, spent = state.attempts_left, state.spent
    match event:
        case ClaimSpent():
            spent = Spent(event.hardware_id, event.session_id, event.fingerprint, event.nonce)
        case ClaimAttemptFailed():
            attempts = event.attempts_left
        case ClaimLocked():
            attempts = 0
    return Claim(state.owner, state.token_hash, state.pin_hash, state.expires_at, attempts, spent)


def _issue(state: Claim | None, command: IssueClaimToken) -> ClaimTokenIssued:
    if state is not None:
        raise Refusal("CLAIM_SPENT", f"claim_id: {command.claim_id} was issued before")
    if not command.issued_at < command.expires_at <= command.issued_at + MOST_LIFE:
        raise Refusal("REG-007", "expires_at: a claim lives at most an hour, and longer than not at all")
    if len(command.token_hash) != HASH_BYTES or len(command.pin_hash or bytes(HASH_BYTES)) != HASH_BYTES:
        raise Refusal("REG-007", f"token_hash, pin_hash: hashes of {HASH_BYTES} bytes")
    if command.registration_type != "qr_code" and command.pin_hash is None:
        raise Refusal("REG-007", f"pin_hash: {command.registration_type} needs a PIN")
    return ClaimTokenIssued(
        **headers(command, 0),
        claim_id=command.claim_id,
        owner=command.owner,
        registration_type=command.registration_type,
        token_hash=command.token_hash,
        pin_hash=command.pin_hash,
        device_type=command.device_type,
        expires_at=command.expires_at,
        latitude=command.latitude,
        longitude=command.longitude,
    )


def _spend(state: Claim | None, command: SpendClaim) -> Event:
    check_hardware_id(command.hardware_id)
    if state is None:
        raise Refusal("CLAIM_UNKNOWN", f"claim_id: there is no claim {command.claim_id}")
    if len(command.nonce) != NONCE_BYTES:
        raise Refusal("REG-007", f"nonce: {len(command.nonce)} bytes instead of {NONCE_BYTES}")
    right = _matches(state, command)
    if state.spent is not None:
        bearer = (command.hardware_id, command.session_id, command.fingerprint)
        if right and bearer == (state.spent.hardware_id, state.spent.session_id, state.spent.fingerprint):
            return _spent(state, command, state.spent.nonce)
        raise Refusal("CLAIM_SPENT", f"claim_id: {command.claim_id} was used already")
    if state.attempts_left == 0:
        raise Refusal("CLAIM_LOCKED", f"claim_id: {command.claim_id} is locked after too many wrong PINs")
    if command.issued_at > state.expires_at:
        raise Refusal("REG-002", f"claim_id: {command.claim_id} has expired")
    if right:
        return _spent(state, command, command.nonce)
    if command.credential == "token" or state.pin_hash is None:
        raise Refusal("CLAIM_WRONG", f"credential: not the {command.credential} of {command.claim_id}")
    return _wrong_pin(state.attempts_left - 1, command)


def _matches(state: Claim, command: SpendClaim) -> bool:
    """Whether the right token or PIN is presented, in a time that does not tell how much of it is right."""
    expected = state.token_hash if command.credential == "token" else state.pin_hash
    return expected is not None and hmac.compare_digest(expected, command.credential_hash)


def _spent(state: Claim, command: SpendClaim, nonce: bytes) -> ClaimSpent:
    return ClaimSpent(
        **headers(command, 0),
        claim_id=command.claim_id,
        hardware_id=command.hardware_id,
        session_id=command.session_id,
        owner=state.owner,
        credential=command.credential,
        fingerprint=command.fingerprint,
        nonce=nonce,
    )


def _wrong_pin(attempts_left: int, command: SpendClaim) -> ClaimAttemptFailed | ClaimLocked:
    about = headers(command, 0)
    if attempts_left == 0:
        return ClaimLocked(**about, claim_id=command.claim_id, hardware_id=command.hardware_id)
    return ClaimAttemptFailed(
        **about,
        claim_id=command.claim_id,
        hardware_id=command.hardware_id,
        credential=command.credential,
        attempts_left=attempts_left,
    )
