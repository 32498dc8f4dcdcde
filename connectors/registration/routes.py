"""The registration's operations: every path, its handler, its OpenAPI description."""

from collections.abc import Mapping
from typing import Any

from connectors.http.peer import ON_DATA, ON_PLAIN, ON_REGISTRATION
from connectors.http.request import Answering, Route
from connectors.ingress.openapi import IDEMPOTENCY_KEY, path_parameter, ref
from connectors.registration.certificates import Certificates
from connectors.registration.claims import Claims
from connectors.registration.devices import Devices
from connectors.registration.faults import registration_problem
from connectors.registration.pre_registrations import PreRegistrations
from connectors.registration.sessions import Sessions

FAULTS = {
    400: "The body is not JSON, or the path or a header is malformed.",
    401: "No API key, or a wrong one.",
    403: "Not for this caller; or a credential, proof or challenge is wrong.",
    404: "There is no such claim, session, or device of the caller's.",
    409: "Not from the state in which it is.",
    410: "Expired.",
    413: "The body is too large.",
    415: "A media type or encoding that is not taken.",
    422: "The body is not what it must be; `errors` names the place.",
    423: "Locked after too many wrong PINs.",
    429: "Too many requests, or more is on its way than can be held: again after Retry-After seconds.",
    500: "No certificate could be made.",
    503: "What is needed is away: again after Retry-After seconds.",
    504: "Nothing was decided in time: again after Retry-After seconds, with the same Idempotency-Key.",
}
ID = {"type": "string", "maxLength": 128}
PARTS = {"{id}": "Of the device, the claim or the revocation.", "{serial}": "Of the certificate, in hexadecimal digits."}
CONFIGURATION_HEADERS = ("ETag", "X-Config-Signature", "X-Config-HMAC-SHA256")
TAG = "registration"
Schema = dict[str, Any]

WORDS: Mapping[str, tuple[str, str]] = {
    "issue_claim_token": ("Ask for a claim token", "For one device, for a few minutes: as a QR code, as a PIN, or both."),
    "claim_status": ("How far a claim is", "Of the caller's own claims; an administrator's are all."),
    "claim_device": ("Claim with a token", "Begins a session and shows the claim token; `confirm` follows."),
    "initiate_registration": ("Begin to register", "A session of 15 minutes, bound to the key and the fingerprint."),
    "validate_registration": (
        "Be admitted",
        "By a claim's token or PIN, or as pre-registered. Answers what is to be signed.",
    ),
    "confirm_registration": ("Prove the key, get a certificate", "Three wrong signatures end the session."),
    "device_configuration": (
        "The device's configuration",
        "Signed as it is: X-Config-Signature is a detached JWS (ES256, RFC 7515 appendix F) of the body.",
    ),
    "report_state": ("Report a step of the device's life", "A step that is none is refused, and recorded."),
    "reset_device": ("Give a device back", "Its certificate is revoked; it may be registered anew."),
    "renew_certificate": ("Renew the certificate", "Of the same key, from two thirds of its life on."),
    "rotate_certificate": ("Change the key", "The present key signs for the new one."),
    "pre_register": (
        "Make devices known",
        "One as JSON; many as CSV or as lines of JSON: every bad row is told with its line, the others are kept.",
    ),
    "device_certificate": (
        "Get the device's newest certificate",
        "For a device that has not heard the answer to a renewal or rotation, and has lost its Idempotency-Key.",
    ),
    "revoke_certificate": ("Revoke a certificate", "It is worthless from then on."),
    "grant_exception": ("Let an expired certificate be renewed", "Until a moment, for a reason that is recorded."),
    "request_revocations": ("Revoke many certificates, first step", "They are counted; nothing is revoked yet."),
    "confirm_revocations": ("Revoke many certificates, second step", "With their number, as the first step has told it."),
}


ANSWERED = {
    "issue_claim_token": ("ClaimTokenRequest", 201, "ClaimTokenAnswer"),
    "claim_status": ("", 200, "ClaimStatus"),
    "claim_device": ("ClaimRequest", 200, "ChallengeAnswer"),
    "initiate_registration": ("InitiateRequest", 201, "SessionAnswer"),
    "validate_registration": ("ValidateRequest", 200, "ChallengeAnswer"),
    "confirm_registration": ("ConfirmRequest", 200, "CertificateAnswer"),
    "device_configuration": ("", 200, "Configuration"),
    "device_certificate": ("", 200, "CertificateAnswer"),
    "report_state": ("StateReport", 200, "StateAnswer"),
    "reset_device": ("ResetRequest", 200, "ResetAnswer"),
    "renew_certificate": ("RenewRequest", 200, "CertificateAnswer"),
    "rotate_certificate": ("RotateRequest", 200, "CertificateAnswer"),
    "pre_register": ("PreRegistration", 201, "PreRegistered"),
    "revoke_certificate": ("RevokeRequest", 200, "RevokedAnswer"),
    "grant_exception": ("ExceptionRequest", 200, "ExceptionAnswer"),
    "request_revocations": ("MassRevocationRequest", 201, "MassRevocationAnswer"),
    "confirm_revocations": ("ConfirmRevocation", 200, "MassRevocationAnswer"),
}
"""Of each operation the document that it takes, the status and the document that it answers with."""
LIMITED = frozenset({"issue_claim_token", "claim_device", "initiate_registration"})
"""Where a registration begins: what the rate limit of registrations counts."""


def registration_routes(
    claims: Claims, sessions: Sessions, devices: Devices, pre: PreRegistrations, certificates: Certificates
) -> list[Route]:
    """All of them."""
    register, own, of_certificates = "/v1/devices/register", "/v1/devices/{id}", "/v1/certificates"
    return [
        _route("POST /v1/devices/claim-token", claims.issue, "issue_claim_token", ON_REGISTRATION),
        _route("GET /v1/devices/claim-status/{id}", claims.status, "claim_status", ON_REGISTRATION),
        _route("POST /v1/devices/claim", sessions.claim, "claim_device", ON_REGISTRATION, public=True),
        _route(f"POST {register}/initiate", sessions.initiate, "initiate_registration", ON_REGISTRATION, public=True),
        _route(f"POST {register}/validate", sessions.validate, "validate_registration", ON_REGISTRATION, public=True),
        _route(f"POST {register}/confirm", sessions.confirm, "confirm_registration", ON_REGISTRATION, public=True),
        _route("GET /v1/devices/config/{id}", devices.configuration, "device_configuration", ON_DATA),
        _route(f"POST {own}/state", devices.state, "report_state", ON_DATA),
        _route(f"POST {own}/reset", devices.reset, "reset_device", ON_DATA),
        _route(f"GET {own}/certificate", devices.certificate, "device_certificate", ON_DATA),
        _route(f"POST {own}/certificate/renew", devices.renew, "renew_certificate", ON_DATA),
        _route(f"POST {own}/certificate/rotate", devices.rotate, "rotate_certificate", ON_DATA),
        _route("POST /v1/devices/pre-registrations", pre.post, "pre_register", ON_PLAIN),
        _route(f"POST {of_certificates}/{{serial}}/revoke", certificates.revoke, "revoke_certificate", ON_PLAIN),
        _route(f"POST {of_certificates}/{{serial}}/exception", certificates.grant, "grant_exception", ON_PLAIN),
        _route(f"POST {of_certificates}/revocations", certificates.request_many, "request_revocations", ON_PLAIN),
        _route(
            f"POST {of_certificates}/revocations/{{id}}/confirm", certificates.confirm_many, "confirm_revocations", ON_PLAIN
        ),
    ]


def _route(place: str, handler: Answering, name: str, listeners: frozenset[str], public: bool = False) -> Route:
    method, _, path = place.partition(" ")
    limit = "registration" if name in LIMITED else ""
    render = registration_problem
    return Route(method, path, handler, render, _described(name, path, public), public, listeners=listeners, limit=limit)


def _described(name: str, path: str, public: bool) -> Schema:
    taken, status, given = ANSWERED[name]
    summary, description = WORDS[name]
    parameters = [path_parameter(part[1:-1], PARTS[part], ID) for part in path.split("/") if part in PARTS]
    if taken:
        parameters.append(IDEMPOTENCY_KEY)
    described: Schema = {
        "operationId": name,
        "summary": summary,
        "description": description,
        "tags": [TAG],
        "parameters": parameters,
        "responses": _responses(name, status, given, public),
    }
    if taken:
        described["requestBody"] = {"required": True, "content": _content(name, taken)}
    if public:
        described["security"] = []
    return described


def _content(name: str, taken: str) -> Schema:
    content: Schema = {"application/json": {"schema": ref(taken)}}
    if name == "pre_register":
        for media_type in ("text/csv", "application/x-ndjson"):
            content[media_type] = {"schema": {"type": "string"}}
    return content


def _responses(name: str, status: int, given: str, public: bool) -> Schema:
    made: Schema = {str(status): {"description": "Done.", "content": {"application/json": {"schema": ref(given)}}}}
    if name == "pre_register":
        rows = {"application/json": {"schema": ref("BulkAnswer")}}
        made["200"] = {"description": "What became of the rows.", "content": rows}
    if name == "device_configuration":
        made["200"]["headers"] = {header: {"schema": {"type": "string"}} for header in CONFIGURATION_HEADERS}
        made["304"] = {"description": "The configuration is the one that If-None-Match names."}
    problem = {"application/problem+json": {"schema": ref("RegistrationProblem")}}
    for fault, words in FAULTS.items():
        if not (public and fault == 401):
            made[str(fault)] = {"description": words, "content": dict(problem)}
            if name == "pre_register" and fault in (429, 503, 504):
                made[str(fault)]["content"]["application/json"] = {"schema": ref("BulkAnswer")}
    return made
