"""Refusals in the form and with the numbers of Confluent's Schema Registry: `{"error_code", "message"}`."""

import msgspec

from connectors.http.request import Answer, Fault, Request
from connectors.registry_front.media import DEFAULT, negotiated

SUBJECT_NOT_FOUND, VERSION_NOT_FOUND, SCHEMA_NOT_FOUND = 40401, 40402, 40403
NO_LEVEL_OF_ITS_OWN = 40408
INCOMPATIBLE = 409
INVALID_SCHEMA, INVALID_VERSION, INVALID_LEVEL, INVALID_MODE, NOT_PERMITTED = 42201, 42202, 42203, 42204, 42205
INVALID_SUBJECT, SCHEMA_TOO_LARGE = 42208, 42209
STORE, TIMED_OUT, AWAY = 50001, 50002, 50003
RETRY_SECONDS = 2
_SHORT = 1_000  # error codes below are HTTP statuses


class RegistryError(msgspec.Struct):
    """What went wrong. `error_code` begins with the HTTP status, but for 50002 and 50003: those come with 503."""

    error_code: int
    message: str


def refusal(code: int, message: str) -> Fault:
    """A fault with one of Confluent's numbers, or an HTTP status. A registry that is away may be asked again soon."""
    if code in (TIMED_OUT, AWAY):
        return Fault(503, str(code), message, retry_after=RETRY_SECONDS)
    return Fault(code if code < _SHORT else code // 100, str(code), message)


def registry_error(fault: Fault, request: Request) -> Answer:
    """A fault as an answer."""
    code = int(fault.code) if fault.code.isdecimal() else fault.status
    media = negotiated(request.accept) or DEFAULT
    return Answer(msgspec.json.encode(RegistryError(code, fault.detail)), fault.status, media, fault.headers)
