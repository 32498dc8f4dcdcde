"""Whether a certificate may be renewed, or its key rotated. Pure."""

from datetime import UTC, datetime

from connectors.authority.port import Refused
from connectors.keys import key_hash
from schemas.certificate_messages import IssueCertificate
from streams.ledger.state import Certificate, LedgerState


def _previous(state: LedgerState, command: IssueCertificate) -> Certificate:
    """The certificate that is to be renewed, if it may be."""
    serial = command.previous_serial
    previous = None if serial is None else state.certificates.get(serial)
    if previous is None or previous.hardware_id != command.hardware_id:
        raise Refused("CERTIFICATE_UNKNOWN", f"the ledger shows no certificate {serial} of this device")
    if previous.revoked_leaf is not None:
        raise Refused("CERTIFICATE_REVOKED", f"certificate {serial} was revoked: {previous.reason}")
    others = (state.certificates.get(held) for held in state.held.get(command.hardware_id) or ())
    if any(other and other.key_hash != previous.key_hash and other.valid(command.issued_at) for other in others):
        raise Refused("KEY_REPLACED", f"the device has another key than that of certificate {serial}")
    return previous


def check_renewal(state: LedgerState, command: IssueCertificate) -> None:
    """A renewal is for the same key, from two thirds of the life on; a rotation for another key, at any time. After
    expiry both need an exception, which allows an early renewal too.

    Raises:
        Refused: it is not to be made.
    """
    previous = _previous(state, command)
    now, excepted = command.issued_at, previous.exception >= command.issued_at
    if now > previous.not_after and not excepted:
        raise Refused("CERTIFICATE_EXPIRED", f"certificate {command.previous_serial} has expired")
    if command.key_mode == "csr":
        same = key_hash(command.public_key) == previous.key_hash
        if same and command.purpose == "rotation":
            raise Refused("BAD_PUBLIC_KEY", "a rotation is to another key than the present one")
        if not same and command.purpose == "renewal":
            raise Refused("BAD_PUBLIC_KEY", "a renewal is for the present key; another one is brought in by a rotation")
    due = previous.not_before + (previous.not_after - previous.not_before) * 2 // 3
    if command.purpose == "renewal" and now < due and not excepted:
        raise Refused("RENEWAL_EARLY", f"certificate {command.previous_serial} is due for renewal {_text(due)}")


def _text(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="seconds")
