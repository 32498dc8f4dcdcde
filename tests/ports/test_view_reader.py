"""The contract of ViewReader, on the in-memory version and on Redis; and how the latter fails."""

import asyncio
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from connectors.memory import MemoryKeyedStore
from connectors.ports import Away, Change
from connectors.redis_store import RedisKeyedStore
from connectors.view_reader import AWAY_SECONDS, MemoryViewReader, RedisViewReader
from infra.stack.harness import Stack, running_stack
from tests.ports.stores import A


@dataclass
class Opened:
    """A view, its store, and what makes a reader of it."""

    view: str
    store: Any
    reader: Any

    def write(self, version: int, documents: dict[str, dict[str, str]]) -> None:
        self.store.prepare(version)
        position = self.store.positions(version).get(A, 0)
        self.store.commit(version, A, position, position + 1, {key: Change(0, put) for key, put in documents.items()})


@pytest.fixture(params=["memory", "redis"])
def opened(request: pytest.FixtureRequest, services: Stack) -> Iterator[Opened]:
    view = f"t{uuid4().hex}"
    if request.param == "memory":
        memory = MemoryKeyedStore()
        yield Opened(view, memory, lambda: MemoryViewReader({view: memory}))
        return
    store = RedisKeyedStore(services.settings.redis, view)
    yield Opened(view, store, lambda: RedisViewReader(services.settings.redis))
    store.close()


def test_documents_of_the_live_version_are_found(opened: Opened) -> None:
    async def run() -> None:
        reader = opened.reader()
        assert await reader.get(opened.view, "a") is None
        opened.write(1, {"a": {"x": "1", "ü": '{"order":[1],"v":"ä"}'}, "b:c": {"x": "2"}})
        assert await reader.get(opened.view, "a") == {"x": "1", "ü": '{"order":[1],"v":"ä"}'}
        assert await reader.get(opened.view, "b:c") == {"x": "2"}
        assert await reader.get(opened.view, "b") is None
        opened.write(2, {"a": {"x": "3"}})
        assert await reader.get(opened.view, "a") == {"x": "1", "ü": '{"order":[1],"v":"ä"}'}
        opened.store.promote(2)
        assert await reader.get(opened.view, "a") == {"x": "3"}
        assert await reader.get(opened.view, "b:c") is None
        await reader.close()

    asyncio.run(run())


def test_how_far_the_live_version_is(opened: Opened) -> None:
    async def run() -> None:
        reader = opened.reader()
        assert await reader.positions(opened.view) == {}
        opened.write(1, {"a": {"x": "1"}})
        opened.write(1, {"b": {"x": "1"}})
        opened.write(2, {"a": {"x": "3"}})
        assert await reader.positions(opened.view) == {A: 2}
        opened.store.promote(2)
        assert await reader.positions(opened.view) == {A: 1}
        await reader.close()

    asyncio.run(run())


def test_many_at_once_each_get_their_own(opened: Opened) -> None:
    opened.write(1, {f"k{i}": {"n": str(i)} for i in range(0, 1_000, 2)})

    async def run() -> None:
        reader = opened.reader()
        found = await asyncio.gather(*(reader.get(opened.view, f"k{i}") for i in range(1_000)))
        assert found == [None if i % 2 else {"n": str(i)} for i in range(1_000)]
        await reader.close()

    asyncio.run(run())


def test_one_who_gives_up_waiting_disturbs_nobody(opened: Opened) -> None:
    opened.write(1, {"a": {"n": "1"}})

    async def run() -> None:
        reader = opened.reader()
        gone = asyncio.create_task(reader.get(opened.view, "a"))
        staying = asyncio.create_task(reader.get(opened.view, "a"))
        await asyncio.sleep(0)
        gone.cancel()
        assert await staying == {"n": "1"}
        assert await reader.get(opened.view, "a") == {"n": "1"}
        await reader.close()

    asyncio.run(run())


def test_a_store_that_is_away_is_told_and_found_again() -> None:
    memory = MemoryKeyedStore()
    memory.away = True
    with pytest.raises(Away):
        asyncio.run(MemoryViewReader({"v": memory}).get("v", "a"))


@pytest.mark.stack
def test_a_redis_that_stands_still_is_away_at_once_for_the_next_and_back_later(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running_stack(tmp_path_factory.mktemp("away"), only=("redis",)) as stack:
        store = RedisKeyedStore(stack.settings.redis, "v")
        Opened("v", store, None).write(1, {"a": {"n": "1"}})

        async def run() -> None:
            reader = RedisViewReader(stack.settings.redis)
            assert await reader.get("v", "a") == {"n": "1"}
            loop = asyncio.get_running_loop()
            os.kill(stack.pid("redis"), signal.SIGSTOP)
            try:
                answers = await asyncio.gather(*(reader.get("v", "a") for _ in range(10)), return_exceptions=True)
                assert all(isinstance(answer, Away) for answer in answers)
                began = loop.time()
                with pytest.raises(Away):
                    await reader.get("v", "a")
                assert loop.time() - began < 0.1
            finally:
                os.kill(stack.pid("redis"), signal.SIGCONT)
            await asyncio.sleep(AWAY_SECONDS)
            assert await reader.get("v", "a") == {"n": "1"}
            await reader.close()

        asyncio.run(run())
        store.close()
