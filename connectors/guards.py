"""Ports of what guards the ingress: which nonces were used, who came how often, what the ledger says of a certificate."""

import math
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Quota:
    """A rate limit: on average no more than `requests` in `seconds`, and as many at once by who was silent for so long."""

    name: str
    requests: int
    seconds: int

    @property
    def interval(self) -> int:
        """Microseconds after which one more request is due."""
        return math.ceil(self.seconds * 1_000_000 / self.requests)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a request under a quota. `remaining`: requests that may follow at once; `full_in`: microseconds until
    all of the quota is there again; `allowed_in`: those until the next may come, 0 if this one was allowed."""

    allowed: bool
    remaining: int
    full_in: int
    allowed_in: int


def counted(quota: Quota, due: int, now: int) -> tuple[Taken, int]:
    """The generic cell rate algorithm (ITU-T I.371): `due` is when the last of the requests so far would have come had they
    come evenly. Returns the outcome and the new `due`. Times in microseconds."""
    due = max(due, now)
    room = now + quota.interval * quota.requests - (due + quota.interval)
    if room < 0:
        return Taken(False, 0, due - now, -room), due
    return Taken(True, room // quota.interval, due + quota.interval - now, 0), due + quota.interval


class RateLimiter(Protocol):
    """Counts requests, for all processes together."""

    async def take(self, subject: str, quota: Quota) -> Taken:
        """Count one request of `subject`, unless it is one too many. Atomic.

        Raises:
            Away: it can't be told for now.
        """


class NonceStore(Protocol):
    """Remembers what may be used once, beyond the life of the process."""

    async def spend(self, nonce: str, seconds: int) -> bool:
        """Whether it was not spent before; from now on it is, for `seconds`. Atomic.

        Raises:
            Away: it can't be told for now.
        """


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """What the ledger says of a certificate. Times are microseconds since 1970 UTC.

    Attributes:
        key_hash: SHA-256 of the SubjectPublicKeyInfo, hexadecimal.
        revoked: since when it is worthless; None: it isn't.
        exception_until: until when it may be renewed after its end; None: not at all.
    """

    serial: str
    device_id: str
    key_hash: str
    not_after: int
    revoked: int | None = None
    exception_until: int | None = None


class CertificateRecords(Protocol):
    """The ledger, as its view has it."""

    async def head(self) -> int:
        """How much the ledger says by now.

        Raises:
            Away: it can't be told for now.
        """

    async def folded(self) -> int:
        """How much of that the view has: what is found after this was at least `head` is all that `head` was about.

        Raises:
            Away: it can't be told for now.
        """

    async def find(self, serial: str) -> CertificateRecord | None:
        """
        Raises:
            Away: it can't be told for now.
        """
