"""Rate limits of the routes: who comes too often is told when to come again (draft-ietf-httpapi-ratelimit-headers-10).

A batch of uploads is one request: the limits are there to keep requests apart, the size of a batch has its own.
"""

import math

from connectors.guards import Quota, RateLimiter, Taken
from connectors.http.request import Fault, Request
from connectors.ingress.security_events import Sighting, Watch
from connectors.ports import Away
from schemas.registration_errors import ERRORS

CODE = "REG-006"


class RateLimits:
    """While the counts are out of reach everybody is let through, and counted in `uncounted`: a limit keeps the fleet
    from being too loud, it does not keep anybody out."""

    def __init__(self, limiter: RateLimiter, watch: Watch) -> None:
        self._limiter, self._watch = limiter, watch
        self.refused: dict[str, int] = {}
        self.uncounted = 0

    async def count(self, request: Request, quota: Quota, subject: str) -> None:
        """Count a request of `subject`; the answer will say what is left.

        Raises:
            Fault: 429 it is one too many.
        """
        try:
            taken = await self._limiter.take(subject, quota)
        except Away:
            self.uncounted += 1
            return
        request.answer_headers += headers(quota, taken)
        if taken.allowed:
            return
        self.refused[quota.name] = self.refused.get(quota.name, 0) + 1
        device = request.identity.device_id if request.identity else None
        seen = f"more than {quota.requests} requests in {quota.seconds} s ({quota.name})"
        self._watch.tell(Sighting("rate_limited", subject, seen, device, request.peer.address))
        raise Fault(429, CODE, ERRORS[CODE].message, [("$", seen)], retry_after=seconds(taken.allowed_in))


def headers(quota: Quota, taken: Taken) -> list[tuple[bytes, bytes]]:
    """`RateLimit-Policy: "heartbeat";q=120;w=3600` and `RateLimit: "heartbeat";r=119;t=30`: so many more at once, and in how
    many seconds the whole quota is there again."""
    policy = f'"{quota.name}";q={quota.requests};w={quota.seconds}'
    state = f'"{quota.name}";r={taken.remaining};t={seconds(taken.full_in)}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


def seconds(micros: int) -> int:
    """Whole seconds, no fewer than it takes."""
    return math.ceil(micros / 1_000_000)
