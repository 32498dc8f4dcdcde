"""What the certificate ledger says of a device, and what a device asks of it: certificates, renewals, revocations.

No certificate stays valid that no device gets: one that comes for a session or renewal that is not waiting for it any
more is refused, and the refusal has it revoked.
"""

from connectors import keys
from connectors.csr import BadCsr, checked_csr, requested_key
from schemas import proofs
from schemas.registration_commands import RecordCertificate, RecordCertificateFailure, RecordRevocation, RequestRenewal
from schemas.registration_events import CertificateFailed, CertificateRecorded, CertificateWithdrawn, RenewalRequested
from streams.identities import headers
from streams.registration.lifecycle import IN_SERVICE
from streams.registration.refusal import Refusal, device_id_of
from streams.registration.state import Device


def waits_for(device: Device, session_id: str, purpose: str) -> bool:
    """Whether a certificate of this purpose, for this session or renewal, is under way."""
    if purpose == "registration":
        session = device.session
        return session is not None and session.passed is not None and session.session_id == session_id
    renewal = device.renewal
    return renewal is not None and (renewal.session_id, renewal.purpose) == (session_id, purpose)


def record(device: Device, command: RecordCertificate) -> CertificateRecorded:
    """The certificate becomes the device's active one. The active one again changes nothing."""
    active = (device.serial, device.certified) == (command.serial, command.session_id)
    if not active and not waits_for(device, command.session_id, command.purpose):
        raise Refusal(
            "SESSION_UNKNOWN",
            f"session_id: nothing waits for certificate {command.serial} of {command.session_id}",
            serial=None if command.serial == device.serial else command.serial,
        )
    if not active and command.purpose == "registration" and device.session and device.session.passed == "server":
        try:
            keys.certified(command.certificate)
        except keys.BadKey as error:
            raise Refusal("REG-008", f"certificate: {error}", serial=command.serial) from None
    return CertificateRecorded(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        device_id=device_id_of(device, command.hardware_id),
        session_id=command.session_id,
        purpose=command.purpose,
        serial=command.serial,
        not_before=command.not_before,
        not_after=command.not_after,
        certificate=command.certificate,
        chain=command.chain,
        leaf_index=command.leaf_index,
        tree_size=command.tree_size,
        inclusion_proof=command.inclusion_proof,
        checkpoint=command.checkpoint,
        sealed_key=command.sealed_key,
    )


def record_failure(device: Device, command: RecordCertificateFailure) -> CertificateFailed:
    """The registration or renewal is over without a certificate."""
    if not waits_for(device, command.session_id, command.purpose):
        raise Refusal("SESSION_UNKNOWN", f"session_id: nothing waits for a certificate of {command.session_id}")
    return CertificateFailed(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        device_id=device_id_of(device, command.hardware_id),
        session_id=command.session_id,
        purpose=command.purpose,
        detail=command.detail,
    )


def record_revocation(device: Device, command: RecordRevocation) -> CertificateWithdrawn:
    """Of the active certificate, or of the one that was given up last; the others were replaced or never the device's."""
    device_id = device.device_id if command.serial == device.serial else None
    if device.given_up is not None and command.serial == device.given_up.serial:
        device_id = device.given_up.device_id
    if device_id is None:
        raise Refusal("CERTIFICATE_UNKNOWN", f"serial: {command.serial} is not the active certificate of the device")
    return CertificateWithdrawn(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        device_id=device_id,
        serial=command.serial,
        reason=command.reason,
    )


def request_renewal(device: Device, command: RequestRenewal) -> RenewalRequested:
    """A device in service (or about to be) asks, with its active certificate. Whether it is time to is the ledger's to
    say. A request takes the place of one that is under way."""
    if device.device_id != command.device_id:
        raise Refusal("DEVICE_UNKNOWN", f"device_id: {command.device_id} is not the id of {command.hardware_id}")
    if device.serial is None or device.public_key is None:
        code = "CERTIFICATE_UNKNOWN" if device.certified is None else "CERTIFICATE_REVOKED"
        raise Refusal(code, f"hardware_id: {command.hardware_id} has no certificate")
    if device.serial != command.serial:
        raise Refusal("CERTIFICATE_UNKNOWN", f"serial: {command.serial} is not the active certificate of the device")
    if device.lifecycle not in IN_SERVICE and device.lifecycle != "activating":
        raise Refusal("ILLEGAL_TRANSITION", f"hardware_id: no renewal for a device that is {device.lifecycle}")
    if command.purpose == "registration":
        raise Refusal("REG-007", "purpose: a device that has a certificate renews it or rotates its key")
    _check_request(device, device.public_key, command)
    return RenewalRequested(
        **headers(command, 0),
        hardware_id=command.hardware_id,
        device_id=command.device_id,
        session_id=command.session_id,
        purpose=command.purpose,
        serial=command.serial,
        csr=command.csr,
    )


def _check_request(device: Device, present_key: bytes, command: RequestRenewal) -> None:
    """A renewal is for the present key; a rotation for a new one that the present one vouches for."""
    if device.barred is not None and device.barred == keys.key_hash(present_key):
        raise Refusal("BAD_PUBLIC_KEY", "serial: of a key whose other certificate was revoked as the key was compromised")
    expected = present_key if command.purpose == "renewal" else None
    try:
        checked_csr(command.csr, expected, (command.device_id, command.hardware_id))
        requested = requested_key(command.csr)
    except BadCsr as error:
        raise Refusal("BAD_CSR", f"csr: {error}") from None
    if command.purpose == "renewal":
        return
    if requested == present_key:
        raise Refusal("BAD_CSR", "csr: for the present key; a rotation brings in a new one")
    if device.barred == keys.key_hash(requested):
        raise Refusal("BAD_PUBLIC_KEY", "csr: for a key whose certificate was revoked as the key was compromised")
    message = proofs.rotation(command.session_id, requested)
    if command.signature is None or not keys.verifies(keys.load(present_key), command.signature, message):
        raise Refusal("REG-004", "signature: not the present key's over this session and the new key")
