"""Looking documents of views up by key, as a process does that answers requests (port ViewReader)."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from connectors.ports import Away, Document, KeyedStore
from connectors.redis_faults import answering
from connectors.redis_store import REVISION

SECONDS = 1.0  # a Redis that takes longer is away: requests wait for it
AWAY_SECONDS = 0.5  # after which one that was away is asked again, so that not every request waits
AT_ONCE = 200  # documents of one question: bounds the time that Redis is busy with it
SCRIPT = Path(__file__).parent / "lua" / "views" / "live_documents.lua"

Wanted = tuple[str, str, "asyncio.Future[Document | None]"]


class ViewReader(Protocol):
    """The live versions of the keyed views, read only."""

    async def get(self, view: str, key: str) -> Document | None:
        """The document of a key, or None where there is none; see `projections.updates.payloads` for what its fields say.

        It may be older than the newest event: a view follows the log.

        Raises:
            Away: the store does not answer.
        """

    async def close(self) -> None: ...


class MemoryViewReader:
    """Reads in-memory stores, by the name of the view."""

    def __init__(self, stores: Mapping[str, KeyedStore]) -> None:
        self._stores = stores

    async def get(self, view: str, key: str) -> Document | None:
        store = self._stores[view]
        (loaded,) = store.load(store.live(), [key])
        return loaded.document if loaded.revision else None

    async def close(self) -> None:
        """Nothing is open."""


class RedisViewReader:
    """Reads what `connectors.redis_store` writes. To be used on one event loop.

    What is asked for while Redis is answering goes to it together, in one step: one connection carries all requests.
    """

    def __init__(self, url: str) -> None:
        """`url`: such as redis://127.0.0.1:6379/0."""
        self._redis = redis.asyncio.Redis.from_url(
            url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._script = self._redis.register_script(SCRIPT.read_text("utf-8"))
        self._waiting: list[Wanted] = []
        self._asking: asyncio.Task[None] | None = None
        self._away: Away | None = None
        self._away_until = 0.0

    async def get(self, view: str, key: str) -> Document | None:
        loop = asyncio.get_running_loop()
        if self._away is not None and loop.time() < self._away_until:
            raise Away(str(self._away))
        answer: asyncio.Future[Document | None] = loop.create_future()
        self._waiting.append((view, key, answer))
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
                wanted, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                await self._answer(wanted)
        except BaseException as error:
            self._fail(self._waiting, error)
            self._waiting = []
            raise
        finally:
            self._asking = None

    async def _answer(self, wanted: list[Wanted]) -> None:
        try:
            with answering():
                packed = msgspec.msgpack.encode([(view, key) for view, key, _ in wanted])
                found = await self._script(keys=[], args=[packed])
        except Away as away:
            self._away, self._away_until = away, asyncio.get_running_loop().time() + AWAY_SECONDS
            self._fail(wanted, away)
        except BaseException as error:
            self._fail(wanted, error)
            raise
        else:
            self._away = None
            for (_, _, answer), flat in zip(wanted, found, strict=True):
                if not answer.done():  # who asked may have gone
                    answer.set_result(_document(flat))

    @staticmethod
    def _fail(wanted: list[Wanted], error: BaseException) -> None:
        for _, _, answer in wanted:
            if not answer.done():
                answer.set_exception(error)


def _document(flat: list[bytes]) -> Document | None:
    texts = [part.decode() for part in flat]
    document = dict(zip(texts[::2], texts[1::2], strict=True))
    document.pop(REVISION, None)
    return document if flat else None
