"""Reading what a request holds: strictly, within small bounds, with the place of what is wrong."""

import base64
import binascii
import re
from typing import TypeVar

import msgspec

from connectors import keys
from connectors.http.body import BodyReader, too_deep
from connectors.http.request import Fault, Request
from connectors.ingress.device_api import malformed
from connectors.registration.bodies import REGISTRATION_BODIES, Body, ClaimTokenRequest, Fingerprint
from connectors.registration.faults import RegistrationFault
from schemas import proofs

MOST_BYTES = 65_536
MOST_DEPTH = 8
MOST_CSR = 8_192
FINGERPRINT = "hardware_fingerprint"
PEM = "-----BEGIN"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
B = TypeVar("B", bound=Body)


class Reader:
    """Reads the bodies of requests."""

    def __init__(self, bodies: BodyReader) -> None:
        self._bodies = bodies
        self._decoders: dict[type[Body], msgspec.json.Decoder[Body]] = {
            made: msgspec.json.Decoder(made) for made in REGISTRATION_BODIES
        }

    async def read(self, request: Request, made: type[B]) -> B:
        """The document in a request.

        Raises:
            Fault: 400 no JSON, 413 too large, 415 no JSON by its media type, 422 not what it must be.
        """
        return self.parsed(await self.bytes_of(request), made)

    async def bytes_of(self, request: Request) -> bytes:
        content_type = media_type(request)
        if content_type not in (b"", b"application/json"):
            detail = "the body must be application/json"
            raise Fault(415, "UNSUPPORTED_MEDIA_TYPE", detail, [("header Content-Type", detail)])
        if int(request.content_length or 0) > MOST_BYTES:
            raise _too_large()
        body = await self._bodies.read(request)
        if len(body) > MOST_BYTES:
            raise _too_large()
        return body

    def parsed(self, body: bytes, made: type[B]) -> B:
        """The document in a text; as `read`."""
        if too_deep(body, MOST_DEPTH):
            detail = f"the body nests deeper than {MOST_DEPTH} levels"
            raise Fault(400, "TOO_DEEP", detail, [("$", detail)])
        try:
            found = self._decoders[made].decode(body)
        except msgspec.ValidationError as error:
            raise _violation(str(error), made) from None
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise malformed(body, str(error)) from None
        assert isinstance(found, made)
        return found


def media_type(request: Request) -> bytes:
    """A request's media type, without parameters."""
    return request.content_type.partition(b";")[0].strip().lower()


def invalid(path: str, message: str) -> Fault:
    """The answer to a field that is not what it must be."""
    return Fault(422, "INVALID_BODY", f"{path}: {message}", [(path, message)])


def bad_path(name: str, message: str) -> Fault:
    """The answer to a variable part of the path that is not what it must be."""
    return Fault(400, "INVALID_PATH", f"{name} {message}", [(f"{{{name}}}", message)])


def binary(path: str, text: str) -> bytes:
    """The bytes in Base64.

    Raises:
        Fault: 422 it is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(path, "is no Base64") from None


def public_key(text: str) -> bytes:
    """The SubjectPublicKeyInfo (DER) in PEM or in Base64 of DER, if it is of a key that the fleet takes.

    Raises:
        RegistrationFault: 422 BAD_PUBLIC_KEY.
    """
    try:
        given = text.encode() if text.lstrip().startswith(PEM) else base64.b64decode(text, validate=True)
        return keys.der(keys.load(given))
    except (keys.BadKey, binascii.Error, ValueError) as error:
        path = "$.public_key"
        raise RegistrationFault("BAD_PUBLIC_KEY", f"{path}: {error}", [(path, str(error))]) from None


def csr(text: str) -> bytes:
    """The bytes of a certification request in PEM or in Base64 of DER; what they say is the decider's to judge.

    Raises:
        RegistrationFault: 422 BAD_CSR.
    """
    lines = text.strip().splitlines()
    if text.lstrip().startswith(PEM):
        text = "".join(line.strip() for line in lines[1:-1])
    try:
        made = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        made = b""
    if not 1 <= len(made) <= MOST_CSR:
        message = f"is neither PEM nor Base64 of 1 to {MOST_CSR} bytes"
        raise RegistrationFault("BAD_CSR", f"$.csr {message}", [("$.csr", message)])
    return made


def fingerprint(given: Fingerprint, hardware_id: str) -> bytes:
    """The hash of a fingerprint.

    Raises:
        RegistrationFault: 422 REG-001 it tells nothing.
    """
    parts = given.parts()
    if not any(parts.values()):
        message = "no part is told: one at least must be"
        raise RegistrationFault("REG-001", f"$.{FINGERPRINT}: {message}", [(f"$.{FINGERPRINT}", message)])
    return proofs.fingerprint(parts, hardware_id)


def _too_large() -> Fault:
    detail = f"a body of this operation may have {MOST_BYTES} bytes"
    return Fault(413, "BODY_TOO_LARGE", detail, [("$", detail)])


def _violation(error: str, made: type[Body]) -> Fault:
    message, _, place = error.partition(" - at `")
    path = place.rstrip("`") or "$"
    if path.startswith(f"$.{FINGERPRINT}") or f"`{FINGERPRINT}`" in message:
        return RegistrationFault("REG-001", f"{path}: {message}", [(path, message)])
    if made is ClaimTokenRequest:
        return RegistrationFault("REG-007", f"{path}: {message}", [(path, message)])
    return invalid(path, message)
