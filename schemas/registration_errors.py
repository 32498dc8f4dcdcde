"""What a registration can fail of: the codes of the third source document (section 10.8) and those beside them.

A CommandRefused carries the code; HTTP answers say status, message and what the user may do about it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RegistrationError:
    """`status` is of HTTP; `message` may be shown to anybody, `action` tells the user what to do."""

    code: str
    status: int
    message: str
    action: str


ERRORS = {
    error.code: error
    for error in (
        RegistrationError("REG-001", 422, "Invalid device fingerprint", "Check that the hardware is compatible"),
        RegistrationError("REG-002", 410, "Registration token expired", "Start the registration again"),
        RegistrationError("REG-003", 409, "Device already registered", "Use the existing device"),
        RegistrationError("REG-004", 403, "Challenge verification failed", "Try to register again"),
        RegistrationError("REG-005", 504, "Network timeout", "Check the connection; it is tried again, ever more slowly"),
        RegistrationError("REG-006", 429, "Rate limit exceeded", "Wait and try again"),
        RegistrationError("REG-007", 422, "Invalid configuration", "Use the default configuration"),
        RegistrationError("REG-008", 500, "Certificate generation failed", "Contact support"),
        RegistrationError("REG-009", 503, "Database error", "Try again later"),
        RegistrationError("REG-010", 503, "Queue processing failed", "It is tried again automatically"),
        RegistrationError("SESSION_UNKNOWN", 404, "No such registration session", "Start the registration again"),
        RegistrationError("CLAIM_UNKNOWN", 404, "No such claim", "Ask for a new claim token"),
        RegistrationError("CLAIM_SPENT", 409, "The claim was used already", "Ask for a new claim token"),
        RegistrationError("CLAIM_LOCKED", 423, "The claim is locked after too many wrong PINs", "Ask for a new claim token"),
        RegistrationError("CLAIM_WRONG", 403, "Wrong claim token or PIN", "Check the token or PIN and try again"),
        RegistrationError(
            "NOT_PRE_REGISTERED", 403, "The device is not pre-registered with this key", "Claim it with a token"
        ),
        RegistrationError("DEVICE_UNKNOWN", 404, "No such device", "Check the device's id"),
        RegistrationError(
            "ILLEGAL_TRANSITION", 409, "The device can't come to that state from where it is", "Report the state between"
        ),
        RegistrationError(
            "BAD_CSR", 422, "The certification request is not acceptable", "Send one of the device's own key, without names"
        ),
        RegistrationError(
            "BAD_PUBLIC_KEY", 422, "The public key is not acceptable", "Use EC P-256, Ed25519 or RSA of 2048 bits or more"
        ),
        RegistrationError("BAD_HARDWARE_ID", 422, "The hardware id is not acceptable", "Send the device's serial number"),
        RegistrationError("NOT_OWNER", 403, "The device is not yours", "Ask its owner"),
        RegistrationError(
            "RENEWAL_EARLY", 409, "The certificate is not yet due for renewal", "Renew after two thirds of its life"
        ),
        RegistrationError(
            "CERTIFICATE_EXPIRED", 403, "The certificate has expired", "Ask an administrator for an exception"
        ),
        RegistrationError("CERTIFICATE_REVOKED", 403, "The certificate was revoked", "Register the device again"),
        RegistrationError("CERTIFICATE_UNKNOWN", 403, "The certificate is not in the ledger", "Register the device"),
        RegistrationError("KEY_IN_USE", 409, "The key was certified for another device", "Make a key of the device's own"),
        RegistrationError("KEY_REPLACED", 409, "The device has a newer key", "Renew the certificate of the newer key"),
        RegistrationError("BAD_EXCEPTION", 422, "An exception is for a time to come", "Name a later time"),
        RegistrationError("BAD_SELECTOR", 422, "It is not said what is to be revoked", "Name an owner or a model, or all"),
        RegistrationError("REVOCATION_UNKNOWN", 404, "No such revocation waits to be confirmed", "Ask for it anew"),
        RegistrationError("REVOCATION_EXPIRED", 410, "The revocation was not confirmed in time", "Ask for it anew"),
        RegistrationError("COUNT_DIFFERS", 409, "Another number of certificates is concerned", "Confirm the number told"),
        RegistrationError("DONE_ALREADY", 409, "The same was done a moment ago", "Nothing needs to be done"),
    )
}
