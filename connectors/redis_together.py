"""Questions to Redis from the requests of one event loop: what is asked while Redis is answering goes to it together, in one
step of one script, so that one connection carries all requests."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from connectors.ports import Away
from connectors.redis_faults import answering

AT_ONCE = 200  # questions of one step: bounds the time that Redis is busy with it


class Together:
    """Asks by a script that gets a msgpack array of questions as its one argument and returns an array of answers."""

    def __init__(self, url: str, script: Path, seconds: float, away_seconds: float) -> None:
        """`url`: such as redis://127.0.0.1:6379/0. A Redis that takes longer than `seconds` is away, and asked again after
        `away_seconds`, so that not every request waits for it."""
        self._redis = redis.asyncio.Redis.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),  # a step that timed out may have been done
        )
        self._script = self._redis.register_script(script.read_text("utf-8"))
        self._away_seconds = away_seconds
        self._waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._away: Away | None = None
        self._away_until = 0.0

    async def ask(self, question: Any) -> Any:
        """
        Raises:
            Away: Redis does not answer.
        """
        loop = asyncio.get_running_loop()
        if self._away is not None and loop.time() < self._away_until:
            raise Away(str(self._away))
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((question, answer))
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        return await answer

    async def close(self) -> None:
        if self._asking is not None:
            await self._asking
        await self._redis.aclose()

    async def _ask(self) -> None:
        """Ask until nobody waits. What goes wrong is told to those who wait."""
        try:
            while self._waiting:
                asked, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                await self._answer(asked)
        except BaseException as error:
            _fail(self._waiting, error)
            self._waiting = []
            raise
        finally:
            self._asking = None

    async def _answer(self, asked: list[tuple[Any, "asyncio.Future[Any]"]]) -> None:
        try:
            with answering():
                found = await self._script(keys=[], args=[msgspec.msgpack.encode([question for question, _ in asked])])
        except Away as away:
            self._away, self._away_until = away, asyncio.get_running_loop().time() + self._away_seconds
            _fail(asked, away)
        except BaseException as error:
            _fail(asked, error)
            raise
        else:
            self._away = None
            for (_, answer), told in zip(asked, found, strict=True):
                if not answer.done():  # who asked may have gone
                    answer.set_result(told)


def _fail(asked: list[tuple[Any, "asyncio.Future[Any]"]], error: BaseException) -> None:
    for _, answer in asked:
        if not answer.done():
            answer.set_exception(error)
