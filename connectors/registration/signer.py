"""Signing configurations with a key of the server (port Signer)."""

from joserfc import jws
from joserfc.jwk import ECKey


class EcSigner:
    """Signs with one P-256 key; `kid` in the header is its RFC 7638 thumbprint, by which the published keys name it."""

    def __init__(self, key: ECKey) -> None:
        self._key = key
        self._header = {"alg": "ES256", "kid": key.thumbprint()}

    def detached(self, payload: bytes) -> str:
        header, _, signature = jws.serialize_compact(self._header, payload, self._key, ["ES256"]).split(".")
        return f"{header}..{signature}"
