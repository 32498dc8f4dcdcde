"""The contracts of RateLimiter and NonceStore, on the in-memory version and on Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.guards import Quota, counted
from connectors.memory_guards import MemoryGuards
from connectors.ports import Away
from connectors.redis_guards import RedisGuards
from infra.stack.harness import Stack
from infra.stack.ports import free_ports

Guards = Any  # one of the two versions; both are driven by the same suite
Use = Callable[[Guards], Awaitable[None]]


@pytest.fixture(params=["memory", "redis"])
def run(request: pytest.FixtureRequest, services: Stack) -> Callable[[Use], None]:
    """Runs a test on one version."""

    def run(use: Use) -> None:
        async def main() -> None:
            guards = MemoryGuards() if request.param == "memory" else RedisGuards(services.settings.redis)
            try:
                await use(guards)
            finally:
                await guards.close()

        asyncio.run(main())

    return run


def quota(requests: int, seconds: int) -> Quota:
    return Quota(f"q{uuid4().hex}", requests, seconds)


def test_a_quota_lets_so_many_through_and_says_when_the_next_may_come(run: Callable[[Use], None]) -> None:
    async def use(guards: Guards) -> None:
        limit = quota(3, 3600)
        told = [await guards.take("d", limit) for _ in range(4)]
        assert [taken.allowed for taken in told] == [True, True, True, False]
        assert [taken.remaining for taken in told] == [2, 1, 0, 0]
        assert told[2].allowed_in == 0
        assert 1190e6 < told[3].allowed_in <= 1200e6
        assert 3590e6 < told[3].full_in <= 3600e6

    run(use)


def test_what_was_refused_is_not_counted(run: Callable[[Use], None]) -> None:
    async def use(guards: Guards) -> None:
        limit = quota(2, 1)
        assert [(await guards.take("d", limit)).allowed for _ in range(5)] == [True, True, False, False, False]
        await asyncio.sleep(0.55)
        assert (await guards.take("d", limit)).allowed

    run(use)


def test_subjects_and_quotas_are_counted_apart(run: Callable[[Use], None]) -> None:
    async def use(guards: Guards) -> None:
        one, other = quota(1, 3600), quota(1, 3600)
        assert (await guards.take("d", one)).allowed
        assert (await guards.take("e", one)).allowed
        assert (await guards.take("d", other)).allowed
        assert not (await guards.take("d", one)).allowed

    run(use)


def test_of_many_at_once_exactly_as_many_as_allowed_get_through(run: Callable[[Use], None]) -> None:
    async def use(guards: Guards) -> None:
        limit = quota(20, 3600)
        told = await asyncio.gather(*(guards.take("d", limit) for _ in range(100)))
        assert sum(taken.allowed for taken in told) == 20
        assert sorted(taken.remaining for taken in told if taken.allowed) == list(range(20))

    run(use)


def test_a_nonce_is_spent_once(run: Callable[[Use], None]) -> None:
    async def use(guards: Guards) -> None:
        nonce = uuid4().hex
        told = await asyncio.gather(*(guards.spend(nonce, 60) for _ in range(50)))
        assert sum(told) == 1
        assert await guards.spend(uuid4().hex, 60)

    run(use)


def test_a_nonce_is_forgotten_after_its_time(run: Callable[[Use], None]) -> None:
    async def use(guards: Guards) -> None:
        nonce = uuid4().hex
        assert await guards.spend(nonce, 1)
        assert not await guards.spend(nonce, 1)
        await asyncio.sleep(1.1)
        assert await guards.spend(nonce, 1)

    run(use)


def test_two_processes_count_together(services: Stack) -> None:
    async def main() -> None:
        one, other = RedisGuards(services.settings.redis), RedisGuards(services.settings.redis)
        limit, nonce = quota(10, 3600), uuid4().hex
        told = await asyncio.gather(*(guards.take("d", limit) for guards in [one, other] * 20))
        assert sum(taken.allowed for taken in told) == 10
        assert await one.spend(nonce, 60)
        assert not await other.spend(nonce, 60)
        await one.close()
        await other.close()

    asyncio.run(main())


def test_a_redis_that_is_not_there_is_away() -> None:
    async def main() -> None:
        with free_ports(1) as (port,):
            guards = RedisGuards(f"redis://127.0.0.1:{port}/0")
            for _ in range(2):
                with pytest.raises(Away, match="Redis"):
                    await guards.take("d", quota(1, 1))
                with pytest.raises(Away, match="Redis"):
                    await guards.spend("n", 1)
            await guards.close()

    asyncio.run(main())


@given(
    st.integers(1, 50),
    st.integers(1, 7200),
    st.lists(st.integers(0, 3_600_000_000), min_size=1, max_size=200),
)
def test_no_window_has_more_than_the_burst_and_what_is_due(requests: int, seconds: int, gaps: list[int]) -> None:
    limit, due, now = Quota("q", requests, seconds), 0, 1_000_000_000
    allowed: list[int] = []
    for gap in gaps:
        now += gap
        taken, due = counted(limit, due, now)
        if taken.allowed:
            allowed.append(now)
            assert 0 <= taken.remaining < requests
        else:
            assert counted(limit, due, now + taken.allowed_in)[0].allowed
            assert not counted(limit, due, now + taken.allowed_in - 1)[0].allowed
    for first, start in enumerate(allowed):
        for last in range(first, len(allowed)):
            assert last - first + 1 <= requests + (allowed[last] - start) // limit.interval + 1
