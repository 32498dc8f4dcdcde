"""A device after an event."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from connectors import keys
from connectors.csr import requested_key
from schemas import registration_events as events
from schemas.message_values import DeviceState
from schemas.messages import Event
from streams.registration.lifecycle import FIRST
from streams.registration.state import Challenge, Device, GivenUp, PreRegistration, Renewal, Session


def evolve_device(state: Device | None, event: Event) -> Device | None:
    """The device after an event; unchanged by a refusal, a repeat and by what is no event of a device.

    Raises:
        BadKey, BadCsr: the event holds a certificate or request that no decision has let pass.
    """
    follow = FOLLOWS.get(type(event))
    return state if follow is None else follow(Device() if state is None else state, event)


def _pre_registered(device: Device, event: events.DevicePreRegistered) -> Device:
    """A session that is open goes on only if its key is the one that the device is known by now."""
    known = PreRegistration(keys.key_hash(event.public_key), event.owner, event.model)
    session = device.session
    if session is None or (session.challenge is None and keys.key_hash(session.public_key) == known.key_hash):
        return replace(device, known=known)
    return replace(device, known=known, session=None, lifecycle=_unclaimed(device))


def _session_opened(device: Device, event: events.SessionOpened) -> Device:
    """As long as a device has a certificate, nothing unproven moves its state."""
    session = Session(event.session_id, event.public_key, event.fingerprint, event.model, event.expires_at)
    lifecycle: DeviceState = "network_ready" if device.serial is None else device.lifecycle
    return replace(device, device_id=event.device_id, session=session, lifecycle=lifecycle)


def _challenge_issued(device: Device, event: events.ChallengeIssued) -> Device:
    session = device.session
    if session is None:
        return device
    challenge = session.challenge or Challenge(event.via, event.claim_id, event.owner, event.nonce)
    lifecycle: DeviceState = "claiming" if device.serial is None else device.lifecycle
    return replace(device, session=replace(session, challenge=challenge), lifecycle=lifecycle)


def _challenge_failed(device: Device, event: events.ChallengeFailed) -> Device:
    session = device.session
    if session is None or session.challenge is None:
        return device
    if event.attempts_left == 0:
        return replace(device, session=None, lifecycle=_unclaimed(device))
    challenge = replace(session.challenge, attempts_left=event.attempts_left)
    return replace(device, session=replace(session, challenge=challenge))


def _unclaimed(device: Device) -> DeviceState:
    return "network_ready" if device.lifecycle == "claiming" else device.lifecycle


def _challenge_passed(device: Device, event: events.ChallengePassed) -> Device:
    """The device is bound; a certificate that it had before is given up."""
    session = device.session
    if session is None:
        return device
    owner = device.owner if session.challenge is None else session.challenge.owner
    return replace(
        _without_certificate(device),
        lifecycle="activating",
        owner=owner,
        fingerprint=session.fingerprint,
        model=session.model,
        session=replace(session, challenge=None, passed=event.key_mode),
    )


def _without_certificate(device: Device) -> Device:
    given_up = device.given_up
    if device.serial is not None and device.public_key is not None:
        given_up = GivenUp(device.serial, device.device_id or "", keys.key_hash(device.public_key))
    return replace(device, serial=None, public_key=None, certified=None, renewal=None, given_up=given_up)


def _recorded(device: Device, event: events.CertificateRecorded) -> Device:
    session, renewal = device.session, device.renewal
    if device.serial == event.serial:
        return device
    if event.purpose == "registration":
        if session is None:
            return device
        key: bytes | None = keys.certified(event.certificate) if session.passed == "server" else session.public_key
        session = None
    else:
        key = device.public_key if renewal is None else renewal.public_key
    return replace(
        _without_certificate(device), serial=event.serial, public_key=key, certified=event.session_id, session=session
    )


def _failed(device: Device, event: events.CertificateFailed) -> Device:
    if event.purpose == "registration":
        return replace(device, session=None, lifecycle=_after_failure(device))
    return replace(device, renewal=None)


def _after_failure(device: Device) -> DeviceState:
    return "error" if device.lifecycle == "activating" else device.lifecycle


def _withdrawn(device: Device, event: events.CertificateWithdrawn) -> Device:
    """A key that was compromised is barred, with the session that uses it."""
    key_hash = None
    if event.serial == device.serial:
        key_hash = None if device.public_key is None else keys.key_hash(device.public_key)
        replaced = event.reason == "superseded" and device.renewal is not None  # what takes its place is on its way
        gone = replace(device, serial=None, public_key=None)
        device = gone if replaced else replace(gone, renewal=None, lifecycle=_after_failure(device))
    elif device.given_up is not None and event.serial == device.given_up.serial:
        key_hash, device = device.given_up.key_hash, replace(device, given_up=None)
    if event.reason != "key_compromise" or key_hash is None:
        return device
    session = device.session
    if session is None or keys.key_hash(session.public_key) != key_hash:
        return replace(device, barred=key_hash)
    lifecycle = _unclaimed(device) if session.passed is None else _after_failure(device)
    return replace(device, barred=key_hash, session=None, lifecycle=lifecycle)


def _renewal_requested(device: Device, event: events.RenewalRequested) -> Device:
    return replace(device, renewal=Renewal(event.session_id, event.purpose, requested_key(event.csr)))


def _activated(device: Device, event: events.DeviceActivated) -> Device:
    return replace(device, lifecycle="operational", session=None)


def _state_changed(device: Device, event: events.DeviceStateChanged) -> Device:
    return replace(device, lifecycle=event.state)


def _reset(device: Device, event: events.DeviceReset) -> Device:
    """What an administrator said stays, and what key is barred; the rest is forgotten."""
    gone = _without_certificate(device)
    lifecycle: DeviceState = FIRST if device.lifecycle == FIRST else "setup_mode"
    return Device(lifecycle=lifecycle, known=gone.known, given_up=gone.given_up, barred=gone.barred)


FOLLOWS: dict[type[Event], Callable[[Device, Any], Device]] = {
    events.DevicePreRegistered: _pre_registered,
    events.SessionOpened: _session_opened,
    events.ChallengeIssued: _challenge_issued,
    events.ChallengeFailed: _challenge_failed,
    events.ChallengePassed: _challenge_passed,
    events.CertificateRecorded: _recorded,
    events.CertificateFailed: _failed,
    events.CertificateWithdrawn: _withdrawn,
    events.RenewalRequested: _renewal_requested,
    events.DeviceActivated: _activated,
    events.DeviceStateChanged: _state_changed,
    events.DeviceReset: _reset,
}
