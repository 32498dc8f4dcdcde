"""Rate limits and spent nonces in Redis (ports RateLimiter and NonceStore of `connectors.guards`).

    fleetlog:limit:NAME:SUBJECT   when the last request would have come, had all come evenly; gone when the quota is full
    fleetlog:nonce:NONCE          spent; gone when it would be refused for its age anyway

Each is one step of a script, which Redis runs alone, so that any number of processes count together. Of what Redis forgets
in a crash (its `appendfsync` decides: with `everysec`, the last second) limits are counted again, and a request that was
signed within that second could be replayed.
"""

from pathlib import Path

from connectors.guards import Quota, Taken
from connectors.redis_together import Together

SECONDS = 0.5  # a Redis that takes longer is away: requests wait for it
AWAY_SECONDS = 1.0  # after which one that was away is asked again
SCRIPT = Path(__file__).parent / "lua" / "guards" / "steps.lua"


class RedisGuards:
    """`url`: such as redis://127.0.0.1:6379/0. To be used on one event loop."""

    def __init__(self, url: str) -> None:
        self._redis = Together(url, SCRIPT, SECONDS, AWAY_SECONDS)

    async def take(self, subject: str, quota: Quota) -> Taken:
        key = f"fleetlog:limit:{quota.name}:{subject}"
        allowed, *numbers = await self._redis.ask((key, quota.interval, quota.requests))
        return Taken(bool(allowed), *map(int, numbers))

    async def spend(self, nonce: str, seconds: int) -> bool:
        return bool(await self._redis.ask((f"fleetlog:nonce:{nonce}", seconds)))

    async def close(self) -> None:
        await self._redis.close()
