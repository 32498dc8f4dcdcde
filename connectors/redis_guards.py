"""Rate limits and spent nonces in Redis (ports RateLimiter and NonceStore of `connectors.guards`).

    fleetlog:limit:NAME:SUBJECT   when the last request would have come, had all come evenly; gone when the quota is full
    fleetlog:nonce:NONCE          spent; gone when it would be refused for its age anyway

Each is one step of Redis, which runs steps alone, so that any number of processes count together. Of what Redis forgets
in a crash (its `appendfsync` decides: with `everysec`, the last second) limits are counted again, and a request that was
signed within that second could be replayed.
"""

import time
from pathlib import Path

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from connectors.guards import Quota, Taken
from connectors.ports import Away
from connectors.redis_faults import answering

SECONDS = 0.5  # a Redis that takes longer is away: requests wait for it
AWAY_SECONDS = 1.0  # after which one that was away is asked again, so that not every request waits
MOST_CONNECTIONS = 32
SCRIPT = Path(__file__).parent / "lua" / "guards" / "take.lua"


class RedisGuards:
    """`url`: such as redis://127.0.0.1:6379/0. To be used on one event loop."""

    def __init__(self, url: str) -> None:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            protocol=3,
            socket_timeout=SECONDS,
            socket_connect_timeout=SECONDS,
            max_connections=MOST_CONNECTIONS,
            timeout=SECONDS,
            retry=Retry(NoBackoff(), 0),  # a step that timed out may have been done
        )
        self._redis = redis.asyncio.Redis(connection_pool=pool)
        self._take = self._redis.register_script(SCRIPT.read_text("utf-8"))
        self._away: Away | None = None
        self._away_until = 0.0

    async def take(self, subject: str, quota: Quota) -> Taken:
        self._check()
        key = f"fleetlog:limit:{quota.name}:{subject}"
        try:
            with answering():
                allowed, *numbers = await self._take(keys=[key], args=[quota.interval, quota.requests])
        except Away as away:
            raise self._gone(away) from None
        return Taken(bool(allowed), *map(int, numbers))

    async def spend(self, nonce: str, seconds: int) -> bool:
        self._check()
        try:
            with answering():
                return bool(await self._redis.set(f"fleetlog:nonce:{nonce}", b"", nx=True, ex=seconds))
        except Away as away:
            raise self._gone(away) from None

    async def close(self) -> None:
        await self._redis.aclose()

    def _check(self) -> None:
        if self._away is not None and time.monotonic() < self._away_until:
            raise Away(str(self._away))

    def _gone(self, away: Away) -> Away:
        self._away, self._away_until = away, time.monotonic() + AWAY_SECONDS
        return away
