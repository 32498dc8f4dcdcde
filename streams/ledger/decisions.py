"""The decisions of the certificate ledger: what a command comes to, given all that is entered. Pure but for the authority
that signs certificates.
"""

from connectors.authority.port import Authority, Issued, Refused
from connectors.keys import key_hash
from schemas.certificate_messages import (
    AddAuthority,
    AuthorityAdded,
    CertificateIssued,
    CertificateRefused,
    CertificateRenewed,
    ConfirmMassRevocation,
    ContinueMassRevocation,
    ExceptionGranted,
    GrantException,
    IssueCertificate,
    RequestMassRevocation,
    RevokeCertificate,
    SignTreeHead,
)
from schemas.messages import Command
from schemas.transparency.entries import Certified
from streams.identities import headers
from streams.ledger.building import Builder, Decided
from streams.ledger.mass_revocation import confirm, go_on, request
from streams.ledger.renewals import check_renewal
from streams.ledger.state import Certificate, LedgerState


def decide(state: LedgerState, command: Command, authority: Authority) -> Decided:
    """What comes of a command; its leaves are entered into `state`.

    Raises:
        connectors.ports.Away: the authority does not answer.
    """
    try:
        if isinstance(command, IssueCertificate):
            return _issue(state, command, authority)
        if isinstance(command, RevokeCertificate):
            return _revoke(state, command)
        if isinstance(command, RequestMassRevocation):
            return request(state, command)
        if isinstance(command, ConfirmMassRevocation):
            return confirm(state, command)
        if isinstance(command, ContinueMassRevocation):
            return go_on(state, command)
        if isinstance(command, GrantException):
            return _except(state, command)
        if isinstance(command, AddAuthority):
            return _add_authority(state, command, authority)
    except Refused as refused:
        return Decided(refusal=_refusal(command, refused))
    if not isinstance(command, SignTreeHead):
        raise TypeError(f"{type(command).__name__} is no command of the ledger")
    return Decided()  # the head alone


def _refusal(command: Command, refused: Refused) -> CertificateRefused:
    return CertificateRefused(
        **headers(command, 0),
        command=type(command).__name__,
        code=refused.code,
        detail=str(refused)[:1000],
        hardware_id=getattr(command, "hardware_id", None),
        serial=getattr(command, "serial", None) or getattr(command, "previous_serial", None),
    )


def _issue(state: LedgerState, command: IssueCertificate, authority: Authority) -> Decided:
    known = state.sessions.get(command.session_id)
    if known is not None:
        return Decided(again=_of_session(state, known, command))
    if command.purpose != "registration":
        check_renewal(state, command)
    if command.key_mode == "csr":
        _check_key(state, key_hash(command.public_key), command)
    made = authority.issue(command, state.authorities.keys() or None)
    if command.key_mode == "csr" and made.key_hash != key_hash(command.public_key):
        raise ValueError(f"the authority certified another key than that of command {command.command_id}")
    _check_key(state, made.key_hash, command)
    if state.certificates.get(made.serial) is not None:
        raise Refused("REG-008", f"serial number {made.serial} is taken")
    superseded = _to_supersede(state, command, made.key_hash)
    builder = Builder(state, command)
    builder.enter(_certified(state, command, made))
    for serial in superseded:
        builder.revoke(serial, "superseded")
    return Decided(tuple(builder.leaves), made=made)


def _of_session(state: LedgerState, serial: str, command: IssueCertificate) -> int:
    """The leaf of a session's certificate, if it is the command's device's."""
    known = state.certificates.get(serial)
    if known is None or known.hardware_id != command.hardware_id:
        raise Refused("SESSION_UNKNOWN", f"session {command.session_id} is another device's")
    return known.leaf


def _check_key(state: LedgerState, hashed: bytes, command: IssueCertificate) -> None:
    owner = state.keys.get(hashed)
    if owner not in (None, command.hardware_id):
        raise Refused("KEY_IN_USE", "the key was certified for another device")


def _to_supersede(state: LedgerState, command: IssueCertificate, hashed: bytes) -> list[str]:
    """The valid certificates that end with this one: all of a device that registers anew, those of another key else."""
    ended = []
    for serial in state.held.get(command.hardware_id) or ():
        held = state.certificates.get(serial)
        if held is None or not held.valid(command.issued_at):
            continue
        if command.purpose == "registration" or held.key_hash != hashed:
            ended.append(serial)
    return ended


def _certified(state: LedgerState, command: IssueCertificate, made: Issued) -> Certified:
    kind = CertificateIssued if command.purpose == "registration" else CertificateRenewed
    return kind(
        **headers(command, 0),
        leaf_index=state.tree.size,
        serial=made.serial,
        device_id=command.device_id,
        hardware_id=command.hardware_id,
        session_id=command.session_id,
        purpose=command.purpose,
        previous_serial=command.previous_serial,
        not_before=made.not_before,
        not_after=made.not_after,
        key_algorithm=made.key_algorithm,
        key_hash=made.key_hash,
        issuer_key_id=made.issuer_key_id,
        owner=command.owner,
        model=command.model,
        certificate=made.certificate,
    )


def _revoke(state: LedgerState, command: RevokeCertificate) -> Decided:
    known = _entered(state, command.serial)
    if known.revoked_leaf is not None:
        return Decided(again=known.revoked_leaf)
    builder = Builder(state, command)
    builder.revoke(command.serial, command.reason, command.detail)
    return Decided(tuple(builder.leaves))


def _entered(state: LedgerState, serial: str) -> Certificate:
    known = state.certificates.get(serial)
    if known is None:
        raise Refused("CERTIFICATE_UNKNOWN", f"the ledger shows no certificate {serial}")
    return known


def _except(state: LedgerState, command: GrantException) -> Decided:
    known = _entered(state, command.serial)
    if known.revoked_leaf is not None:
        raise Refused("CERTIFICATE_REVOKED", f"certificate {command.serial} was revoked: {known.reason}")
    if command.until <= command.issued_at:
        raise Refused("BAD_EXCEPTION", "an exception is for a time to come")
    event = ExceptionGranted(
        **headers(command, 0),
        leaf_index=state.tree.size,
        serial=command.serial,
        device_id=known.device_id,
        hardware_id=known.hardware_id,
        until=command.until,
        detail=command.detail,
    )
    state.enter(event)
    return Decided((event,))


def _add_authority(state: LedgerState, command: AddAuthority, authority: Authority) -> Decided:
    issuer = authority.check_issuer(command.certificate)
    leaf = state.authorities.get(issuer.key_id)
    if leaf is not None:
        return Decided(again=leaf)
    event = AuthorityAdded(
        **headers(command, 0),
        leaf_index=state.tree.size,
        key_id=issuer.key_id,
        not_before=issuer.not_before,
        not_after=issuer.not_after,
        certificate=issuer.certificate,
    )
    state.enter(event)
    return Decided((event,))
