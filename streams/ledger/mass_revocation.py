"""Revocation of many certificates: asked for, confirmed, and carried out in pieces that a transaction holds with ease."""

from connectors.authority.port import Refused
from schemas.certificate_messages import (
    ConfirmMassRevocation,
    ContinueMassRevocation,
    MassRevocationConfirmed,
    MassRevocationRequested,
    RequestMassRevocation,
)
from streams.identities import headers
from streams.ledger.building import Builder, Decided
from streams.ledger.state import LedgerState, MassRevocation

CONFIRM_MICROS = 10 * 60 * 1_000_000  # a mass revocation has to be confirmed within ten minutes
AT_ONCE = 5_000  # revoked by one command; each is two records, and 200,000 in a transaction took longer than it may


def request(state: LedgerState, command: RequestMassRevocation) -> Decided:
    if state.revocations.get(command.revocation_id) is not None:
        raise Refused("REVOCATION_UNKNOWN", f"revocation {command.revocation_id} was asked for before")
    if (command.selector == "all") != (command.value is None):
        raise Refused("BAD_SELECTOR", "an owner or a model has a value, all has none")
    expires_at = command.issued_at + CONFIRM_MICROS
    asked = MassRevocation(command.selector, command.value, command.reason, 0, expires_at)
    event = MassRevocationRequested(
        **headers(command, 0),
        leaf_index=state.tree.size,
        revocation_id=command.revocation_id,
        selector=command.selector,
        value=command.value,
        reason=command.reason,
        certificates=len(_concerned(state, asked, command.issued_at)),
        expires_at=expires_at,
    )
    state.enter(event)
    return Decided((event,))


def _concerned(state: LedgerState, asked: MassRevocation, now: int) -> list[str]:
    """The serial numbers of the valid certificates that a mass revocation is about, as they were entered."""
    return [serial for serial, known in state.certificates.items() if known.valid(now) and asked.concerns(known)]


def confirm(state: LedgerState, command: ConfirmMassRevocation) -> Decided:
    """All that are valid now are revoked, those too that came after the request: what is to be cut off is not to get away
    by renewing."""
    asked = state.revocations.get(command.revocation_id)
    if asked is None or asked.confirmed:
        was = "was confirmed before" if asked else "was not asked for"
        raise Refused("REVOCATION_UNKNOWN", f"revocation {command.revocation_id} {was}")
    if command.issued_at > asked.expires_at:
        raise Refused("REVOCATION_EXPIRED", f"revocation {command.revocation_id} was to be confirmed in ten minutes")
    if command.expected != asked.certificates:
        raise Refused("COUNT_DIFFERS", f"{asked.certificates} certificates were told of, {command.expected} are confirmed")
    serials = _concerned(state, asked, command.issued_at)
    builder = Builder(state, command)
    event = MassRevocationConfirmed(
        **headers(command, 0),
        leaf_index=state.tree.size,
        revocation_id=command.revocation_id,
        certificates=len(serials),
    )
    builder.enter(event)
    return _revoke(builder, serials, asked, command.revocation_id)


def go_on(state: LedgerState, command: ContinueMassRevocation) -> Decided:
    """The next ones. Those who got a certificate since the confirmation are among them: nobody gets away by renewing."""
    asked = state.revocations.get(command.revocation_id)
    if asked is None or not asked.confirmed:
        raise Refused("REVOCATION_UNKNOWN", f"revocation {command.revocation_id} was not confirmed")
    serials = _concerned(state, asked, command.issued_at)
    if not serials:
        raise Refused("DONE_ALREADY", f"revocation {command.revocation_id} has nothing left to revoke")
    return _revoke(Builder(state, command), serials, asked, command.revocation_id)


def _revoke(builder: Builder, serials: list[str], asked: MassRevocation, revocation_id: str) -> Decided:
    for serial in serials[:AT_ONCE]:
        builder.revoke(serial, asked.reason, None, revocation_id)
    return Decided(tuple(builder.leaves), goes_on=revocation_id if len(serials) > AT_ONCE else None)
