"""The Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header), and what makes a request the same request."""

import re
from hashlib import blake2b

from connectors.http.request import Fault, Request

HEADER = b"idempotency-key"
LONGEST = 255
FINGERPRINT_BYTES = NAME_BYTES = 16
_QUOTED = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])*)"')  # a structured field's string (RFC 8941, 3.3.3), no parameters
_BARE = re.compile(rb"[!#-+\--\[\]-~]+")  # visible, but no quotes, backslash, or comma (as of two headers in one)
_ESCAPED = re.compile(rb"\\(.)")


def idempotency_key(request: Request) -> str | None:
    """The key that a request has, without quotes; None if it has none. `"abc"` and `abc` are the same key.

    Raises:
        Fault: 400 it is no key.
    """
    given = request.headers.get(HEADER)
    if given is None:
        return None
    text = given.strip(b" \t")
    quoted = _QUOTED.fullmatch(text)
    key = _ESCAPED.sub(rb"\1", quoted[1]) if quoted else text
    if not 1 <= len(key) <= LONGEST or not (quoted or _BARE.fullmatch(key)):
        message = f'a key is 1 to {LONGEST} visible ASCII characters, in quotes ("…") if a quote or comma is among them'
        raise Fault(400, "INVALID_IDEMPOTENCY_KEY", f"Idempotency-Key: {message}", [("header Idempotency-Key", message)])
    return key.decode("ascii")


def fingerprint(request: Request, body: bytes) -> bytes:
    """What a retry has in common with the first request: method, path, query, content type, and the body as inflated."""
    digest = blake2b(digest_size=FINGERPRINT_BYTES)
    for part in (request.method.encode(), request.raw_path, request.raw_query, request.content_type.lower(), body):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def request_name(principal: str, key: str) -> str:
    """The key under which a request is known; a principal's name holds no slash."""
    return f"{principal}/{key}"


def name_digest(name: str) -> bytes:
    """A request's name in as few bytes as tell it from all others."""
    return blake2b(name.encode(), digest_size=NAME_BYTES).digest()
