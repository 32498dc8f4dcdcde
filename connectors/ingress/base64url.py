"""Base 64 for URLs, without padding (RFC 7515, 2)."""

import base64


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
