"""What follows from an event: commands to other aggregates and to the certificate ledger.

A command that follows has an id derived from the event's command, so the same event yields the same command however often
it is looked at, and its receiver knows it again.
"""

from collections.abc import Sequence
from typing import NamedTuple

from connectors.csr import requested_key
from schemas.certificate_messages import IssueCertificate, RevokeCertificate
from schemas.message_values import RevocationReason
from schemas.messages import Event
from schemas.registration_commands import AdmitClaim
from schemas.registration_events import ChallengePassed, ClaimSpent, CommandRefused, DeviceReset, RenewalRequested
from streams.identities import follow_up_headers
from streams.machine import Addressed
from streams.registration.state import Device, State

REGISTRATION_COMMANDS = "fleet.registration.commands"
CERTIFICATE_COMMANDS = "fleet.certificates.commands"
LEDGER_KEY = "ledger"


class _Subject(NamedTuple):
    public_key: bytes
    owner: str | None
    model: str | None


def react(state: State | None, event: Event) -> Sequence[Addressed]:
    """The commands that follow from `event`; `state` is the one after it, or, when they are sent again, a later one.

    Nothing follows from a passed challenge that the device has left behind (a reset, another session): what would is for
    a key that the state does not hold any more, and would be refused and revoked if it were made.
    """
    match event:
        case ClaimSpent():
            return (_admit(event),)
        case ChallengePassed():
            return _issue(state, event)
        case RenewalRequested():
            return (_renew(state, event),)
        case DeviceReset(serial=str(serial)):
            return (_revoke(event, serial, "cessation_of_operation", "the device was reset"),)
        case CommandRefused(serial=str(serial)):
            return (_revoke(event, serial, "superseded", "it came when nothing waited for it any more"),)
        case _:
            return ()


def _admit(event: ClaimSpent) -> Addressed:
    command = AdmitClaim(
        **follow_up_headers(event, AdmitClaim.__name__),
        hardware_id=event.hardware_id,
        session_id=event.session_id,
        claim_id=event.claim_id,
        owner=event.owner,
        fingerprint=event.fingerprint,
        nonce=event.nonce,
    )
    return Addressed(REGISTRATION_COMMANDS, event.hardware_id, command)


def _subject(state: State | None, session_id: str) -> _Subject | None:
    if not isinstance(state, Device):
        return None
    session = state.session
    if session is not None and session.session_id == session_id:
        return _Subject(session.public_key, state.owner, session.model)
    if state.certified == session_id and state.public_key is not None:
        return _Subject(state.public_key, state.owner, state.model)
    return None


def _issue(state: State | None, event: ChallengePassed) -> Sequence[Addressed]:
    subject = _subject(state, event.session_id)
    if subject is None:
        return ()
    command = IssueCertificate(
        **follow_up_headers(event, IssueCertificate.__name__),
        hardware_id=event.hardware_id,
        device_id=event.device_id,
        session_id=event.session_id,
        purpose="registration",
        previous_serial=None,
        public_key=subject.public_key,
        key_mode=event.key_mode,
        csr=event.csr,
        owner=subject.owner,
        model=subject.model,
    )
    issue = Addressed(CERTIFICATE_COMMANDS, LEDGER_KEY, command)
    given_up = state.given_up if isinstance(state, Device) else None
    if given_up is None:
        return (issue,)
    return (issue, _revoke(event, given_up.serial, "superseded", "the device registered anew"))


def _renew(state: State | None, event: RenewalRequested) -> Addressed:
    device = state if isinstance(state, Device) else Device()
    command = IssueCertificate(
        **follow_up_headers(event, IssueCertificate.__name__),
        hardware_id=event.hardware_id,
        device_id=event.device_id,
        session_id=event.session_id,
        purpose=event.purpose,
        previous_serial=event.serial,
        public_key=requested_key(event.csr),
        key_mode="csr",
        csr=event.csr,
        owner=device.owner,
        model=device.model,
    )
    return Addressed(CERTIFICATE_COMMANDS, LEDGER_KEY, command)


def _revoke(event: Event, serial: str, reason: RevocationReason, detail: str) -> Addressed:
    about = follow_up_headers(event, RevokeCertificate.__name__)
    return Addressed(
        CERTIFICATE_COMMANDS, LEDGER_KEY, RevokeCertificate(**about, serial=serial, reason=reason, detail=detail)
    )
