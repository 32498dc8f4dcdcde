"""What a request is for, as its first line says; and what can't become a request."""

import httptools

LISTED = frozenset({b"idempotency-key", b"client-cert"})


class Refused(Exception):
    """What came can't become a request: HTTP status, code, sentence."""


def split(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target (RFC 9112, 3.2: a path, or a whole URL).

    Raises:
        Refused: it is neither.
    """
    if target.startswith(b"/"):
        path, _, query = target.partition(b"?")
        return path, query
    try:
        if target.startswith((b"http://", b"https://")):
            url = httptools.parse_url(target)
            return url.path or b"/", url.query or b""
    except httptools.HttpParserInvalidURLError:
        pass  # told below
    raise Refused(400, "INVALID_HTTP", "the target of the request is no path")


def add_header(headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """Of a header that comes twice the last counts; of one that is to be refused then, the list of them (RFC 9110, 5.3).

    Raises:
        Refused: it is a second Host, of which a proxy may have looked at the other (RFC 9112, 3.2).
    """
    if name == b"host" and name in headers:
        raise Refused(400, "INVALID_HTTP", "the request names two hosts")
    if name in LISTED and name in headers:
        value = headers[name] + b", " + value
    headers[name] = value


def check_host(headers: dict[bytes, bytes], version: str) -> None:
    """
    Raises:
        Refused: a request of HTTP/1.1 names no host (RFC 9112, 3.2).
    """
    if version == "1.1" and b"host" not in headers:
        raise Refused(400, "INVALID_HTTP", "the request names no host")


def has_body(headers: dict[bytes, bytes]) -> bool:
    """Whether a head announces a body."""
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0").strip(b"0") != b""
