"""Looking documents of views up by key, as a process does that answers requests (port ViewReader)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from connectors.ports import Document, KeyedStore
from connectors.redis_store import REVISION
from connectors.redis_together import Together
from schemas.log import TopicPartition

SECONDS = 1.0  # a Redis that takes longer is away: requests wait for it
AWAY_SECONDS = 0.5  # after which one that was away is asked again, so that not every request waits
SCRIPT = Path(__file__).parent / "lua" / "views" / "live_documents.lua"


class ViewReader(Protocol):
    """The live versions of the keyed views, read only."""

    async def get(self, view: str, key: str) -> Document | None:
        """The document of a key, or None where there is none; see `projections.updates.payloads` for what its fields say.

        It may be older than the newest event: a view follows the log.

        Raises:
            Away: the store does not answer.
        """

    async def positions(self, view: str) -> dict[TopicPartition, int]:
        """As `ViewStore.positions` of the view's live version. Raises Away."""

    async def close(self) -> None: ...


class MemoryViewReader:
    """Reads in-memory stores, by the name of the view."""

    def __init__(self, stores: Mapping[str, KeyedStore]) -> None:
        self._stores = stores

    async def get(self, view: str, key: str) -> Document | None:
        store = self._stores[view]
        (loaded,) = store.load(store.live(), [key])
        return loaded.document if loaded.revision else None

    async def positions(self, view: str) -> dict[TopicPartition, int]:
        store = self._stores[view]
        return store.positions(store.live())

    async def close(self) -> None:
        """Nothing is open."""


class RedisViewReader:
    """Reads what `connectors.redis_store` writes. To be used on one event loop."""

    def __init__(self, url: str) -> None:
        """`url`: such as redis://127.0.0.1:6379/0."""
        self._redis = Together(url, SCRIPT, SECONDS, AWAY_SECONDS)

    async def get(self, view: str, key: str) -> Document | None:
        return _document(await self._redis.ask((view, key)))

    async def positions(self, view: str) -> dict[TopicPartition, int]:
        flat = [part.decode() for part in await self._redis.ask((view,))]
        stored = zip(flat[::2], flat[1::2], strict=True)
        return {TopicPartition.parse(source): int(following) for source, following in stored}

    async def close(self) -> None:
        await self._redis.close()


def _document(flat: list[bytes]) -> Document | None:
    texts = [part.decode() for part in flat]
    document = dict(zip(texts[::2], texts[1::2], strict=True))
    document.pop(REVISION, None)
    return document if flat else None
