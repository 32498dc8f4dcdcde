"""Access tokens: for an hour a JWT (RFC 7519) speaks for a device's certificate, and only for the one it was given to
(RFC 8705, 3: the claim `cnf` holds the certificate's SHA-256)."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from connectors.http.peer import DeviceIdentity
from connectors.ingress.base64url import base64url
from connectors.signing_keys import ALGORITHM, Signer, random_id

KIND = "at+jwt"  # RFC 9068, 2.1
LONGEST = 2_048  # characters
AUDIENCE = "fleetlog"


class BadToken(ValueError):
    """No token of ours, or none any more; the text says why, without repeating the token."""


@dataclass(frozen=True, slots=True)
class Issued:
    """What `POST /v1/devices/{id}/token` answers (RFC 6749, 5.1)."""

    access_token: str
    token_type: str
    expires_in: int


def looks_like_token(text: bytes | None) -> bool:
    """Whether a bearer's text has the shape of a JWT: API keys have no dots."""
    return text is not None and text.count(b".") == 2 and text.startswith(b"eyJ")


class AccessTokens:
    """`seconds`: how long a token is good; `issuer`: who gives it, in its claims."""

    def __init__(self, signer: Signer, seconds: int, issuer: str, clock: Callable[[], float] = time.time) -> None:
        self._signer, self._seconds, self._issuer, self._clock = signer, seconds, issuer, clock
        required = {"essential": True}
        self._claims = {"sub": required, "exp": required, "iat": required, "serial": required, "cnf": required}

    def issue(self, identity: DeviceIdentity) -> Issued:
        """A token for a device that has shown its certificate; good no longer than the certificate."""
        now = int(self._clock())
        seconds = min(self._seconds, identity.not_after // 1_000_000 - now)
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": identity.device_id,
            "iat": now,
            "exp": now + seconds,
            "jti": random_id(),
            "serial": identity.serial,
            "cnf": {"x5t#S256": base64url(identity.thumbprint)},
        }
        return Issued(self._signer.sign(msgspec.json.encode(claims), KIND), "Bearer", seconds)

    def claimed(self, token: bytes) -> dict[str, object]:
        """The claims of a good token.

        Raises:
            BadToken: it was made by somebody else, changed, is for something else, or has expired.
        """
        if len(token) > LONGEST:
            raise BadToken("it is too long")
        try:
            decoded = jwt.decode(token, self._signer.public_keys(), algorithms=[ALGORITHM])
            if decoded.header.get("typ") != KIND:
                raise BadToken("it is signed for something else")
            rules = {"iss": {"essential": True, "value": self._issuer}, "aud": {"essential": True, "value": AUDIENCE}}
            jwt.JWTClaimsRegistry(now=int(self._clock()), **rules, **self._claims).validate(decoded.claims)  # type: ignore[arg-type]
        except (JoseError, ValueError) as error:
            raise BadToken(str(error) or type(error).__name__) from None
        return decoded.claims

    def bound(self, token: bytes, identity: DeviceIdentity) -> None:
        """Check a token that comes beside a certificate.

        Raises:
            BadToken: it is not good, or was given to another certificate.
        """
        claims = self.claimed(token)
        if claims["sub"] != identity.device_id or _thumbprint(claims) != base64url(identity.thumbprint):
            raise BadToken("it was given to another certificate")

    def identity(self, token: bytes) -> DeviceIdentity:
        """The device that a token stands for, where no certificate comes with it.

        Raises:
            BadToken: it is not good.
        """
        claims = self.claimed(token)
        exp = claims["exp"]
        assert isinstance(exp, int)
        return DeviceIdentity(str(claims["sub"]), str(claims["serial"]), exp * 1_000_000, b"", b"", "token")

    def key_set(self) -> KeySet:
        return self._signer.public_keys()


def _thumbprint(claims: dict[str, object]) -> object:
    confirmation = claims["cnf"]
    return confirmation.get("x5t#S256") if isinstance(confirmation, dict) else None
