"""What a registration can fail of, as answers: problem details with the code's message and what the user may do.

Nothing is told that only some may know: the reason that a decider gives stays in the log where it could help a stranger, and
who has a device is told to its owner and to administrators.
"""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from connectors.http.problems import PROBLEM_JSON, Violated, violated
from connectors.http.request import Answer, Fault, Request
from schemas.certificate_messages import CertificateRefused
from schemas.registration_errors import ERRORS
from schemas.registration_events import CommandRefused

RETRY_AFTER = 2  # seconds
TELLING = frozenset({"REG-001", "REG-007", "ILLEGAL_TRANSITION", "BAD_CSR", "BAD_PUBLIC_KEY", "RENEWAL_EARLY"})
"""Codes whose detail is about what the asker itself has sent."""
SAME_TO_STRANGERS = {"CLAIM_UNKNOWN": "CLAIM_WRONG"}
"""A device that presents a claim is not told whether there is such a claim."""
OTHER_ACTION = {
    400: "Correct the request",
    401: "Send an API key",
    403: "Ask an administrator for the right",
    413: "Send less",
    415: "Send what the operation takes",
    422: "Correct the request",
    429: "Wait and try again",
    503: "Try again later",
}


class RegistrationProblem(msgspec.Struct, omit_defaults=True):
    """A problem (RFC 9457). `code` names it for programs, `user_action` says what a person may do about it. `owner` and
    `device_id` are told of a device that is registered already, to its owner and to administrators; `attempts_left` of a
    PIN or a challenge that was wrong."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    correlation_id: str
    errors: list[Violated]
    user_action: str
    owner: str | None = None
    device_id: str | None = None
    attempts_left: int | None = None


class RegistrationFault(Fault):
    """A fault with one of the registration's codes."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        errors: Sequence[tuple[str, str]] = (),
        retry_after: int | None = None,
        attempts_left: int | None = None,
    ) -> None:
        known = ERRORS[code]
        super().__init__(known.status, code, detail or known.message, errors, retry_after)
        self.attempts_left = attempts_left
        self.owner: str | None = None
        self.device_id: str | None = None


class Refusal(Exception):
    """A command was refused."""

    def __init__(self, event: CommandRefused | CertificateRefused) -> None:
        super().__init__(event.detail)
        self.event = event

    def fault(self, told: bool) -> Fault:
        """The answer; `told`: the asker may know whose the device is."""
        event = self.event
        made = refused(event.code, event.detail)
        if told and isinstance(event, CommandRefused) and isinstance(made, RegistrationFault):
            made.owner, made.device_id = event.owner, event.device_id
        return made

    def for_administrators(self) -> Fault:
        """The answer to an administrator, who is told all of it."""
        event = self.event
        if event.code == "CERTIFICATE_UNKNOWN":  # for its device it is forbidden, for an administrator not there
            return Fault(404, event.code, event.detail)
        if event.code in ERRORS:
            return RegistrationFault(event.code, f"{ERRORS[event.code].message}: {event.detail}")
        return Fault(409, event.code, event.detail)


def refused(code: str, detail: str) -> Fault:
    """The answer to a refusal by a decider."""
    if code not in ERRORS:
        return Fault(409, code, "the request was refused")
    return RegistrationFault(code, f"{ERRORS[code].message}: {detail}" if code in TELLING else "")


def failed(detail: str) -> Fault:
    """The answer when no certificate was made. Where the ledger had a reason with a code, the detail begins with it."""
    code, _, rest = detail.partition(":")
    return refused(code, rest.strip()) if code in ERRORS else RegistrationFault("REG-008")


def queue_away(reason: str) -> RegistrationFault:
    """Commands can't be sent, or their answers not be read."""
    return RegistrationFault("REG-010", f"{ERRORS['REG-010'].message}: {reason}", retry_after=RETRY_AFTER)


def store_away(reason: str) -> RegistrationFault:
    """A view can't be read."""
    return RegistrationFault("REG-009", f"{ERRORS['REG-009'].message}: {reason}", retry_after=RETRY_AFTER)


def no_answer(seconds: float) -> RegistrationFault:
    """The deadline has passed; what became of the command is found out with the same Idempotency-Key."""
    detail = f"nothing was decided within {seconds:g} s; with the same Idempotency-Key the request may be sent again"
    return RegistrationFault("REG-005", detail, retry_after=RETRY_AFTER)


def overloaded(reason: str) -> Fault:
    return Fault(429, "OVERLOADED", f"the request was not taken: {reason}", retry_after=RETRY_AFTER)


def registration_problem(fault: Fault, request: Request) -> Answer:
    """A fault of these operations as an answer."""
    known = ERRORS.get(fault.code)
    told = RegistrationProblem(
        type="about:blank",
        title=known.message if known else HTTPStatus(fault.status).phrase,
        status=fault.status,
        detail=fault.detail,
        code=fault.code,
        correlation_id=request.correlation_id,
        errors=violated(fault.errors),
        user_action=known.action if known else OTHER_ACTION.get(fault.status, "Contact support"),
    )
    if isinstance(fault, RegistrationFault):
        told.owner, told.device_id, told.attempts_left = fault.owner, fault.device_id, fault.attempts_left
    return Answer(msgspec.json.encode(told), fault.status, PROBLEM_JSON, fault.headers)
