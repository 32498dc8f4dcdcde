"""The server's ES256 keys: for access tokens, and whatever else a device is to check without a shared secret.

The newest key signs. When it has served its time another takes its place, and it stays among the public keys until what it
has signed is worthless.
"""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet

from connectors import private_files

log = logging.getLogger(__name__)

ALGORITHM = "ES256"
CURVE = "P-256"
DAY = 86_400.0
KEPT_SECONDS = 2 * DAY  # a key that no longer signs is published; longer than anything it has signed is good


class BadKeys(ValueError):
    """The file holds no keys; the text says why."""


class Signer(Protocol):
    """Signs for the server."""

    def sign(self, payload: bytes, kind: str) -> str:
        """A compact JWS (RFC 7515) of the payload, ES256. `kind` is its header `typ`, which tells what it is good for."""

    def public_keys(self) -> KeySet:
        """The keys that its signatures are checked with, by `kid`."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A key, and since when it signs (seconds since 1970)."""

    key: ECKey
    since: float


class SigningKeys:
    """Port Signer. Without a file the keys last as long as the process. One process writes the file.

    Raises:
        BadKeys: the file holds no keys, or others than its owner can read it.
    """

    def __init__(self, file: Path | None = None, days: float = 90.0, clock: Callable[[], float] = time.time) -> None:
        self._file, self._seconds, self._clock = file, days * DAY, clock
        self._kept = self._read() if file is not None and file.exists() else []
        self._public = KeySet([_public(one.key) for one in self._kept])
        self._newest()

    def sign(self, payload: bytes, kind: str) -> str:
        key = self._newest().key
        header = {"alg": ALGORITHM, "kid": key.thumbprint(), "typ": kind}
        return jws.serialize_compact(header, payload, key, algorithms=[ALGORITHM])

    def public_keys(self) -> KeySet:
        self._newest()
        return self._public

    def _newest(self) -> _Kept:
        now = self._clock()
        if not self._kept or now - self._kept[-1].since > self._seconds:
            made = _Kept(ECKey.generate_key(CURVE, private=True), now)
            # One that has signed until now is published for as long again as what it signed may be good.
            kept = [one for one, after in zip(self._kept, self._kept[1:], strict=False) if now - after.since < KEPT_SECONDS]
            self._keep([*kept, *self._kept[-1:], made])
            log.info("a new key signs", extra={"context": {"kid": made.key.thumbprint()}})
        elif len(self._kept) > 1 and now - self._kept[-1].since > KEPT_SECONDS:
            self._keep(self._kept[-1:])
        return self._kept[-1]

    def _read(self) -> list[_Kept]:
        assert self._file is not None
        try:
            held = msgspec.json.decode(private_files.read(self._file))["keys"]
            return [_Kept(ECKey.import_key(one["key"]), float(one["since"])) for one in held]
        except (private_files.Exposed, OSError) as error:
            raise BadKeys(str(error)) from None
        except (ValueError, KeyError, TypeError, msgspec.MsgspecError, JoseError) as error:
            raise BadKeys(f"{self._file} holds no keys: {error!r}") from None

    def _keep(self, keys: list[_Kept]) -> None:
        if self._file is not None:
            held = {"keys": [{"key": one.key.as_dict(private=True), "since": one.since} for one in keys]}
            private_files.replace(self._file, msgspec.json.encode(held))
        self._kept, self._public = keys, KeySet([_public(one.key) for one in keys])


def _public(key: ECKey) -> ECKey:
    told: dict[str, Any] = {**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig", "alg": ALGORITHM}
    return ECKey.import_key(told)


def random_id() -> str:
    return secrets.token_urlsafe(16)
