"""What a live view and a live decider have in common: a reader, and partitions that wait or are halted."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from schemas.log import Batch, TopicPartition

log = logging.getLogger(__name__)

HEARD_SECONDS = 0.05  # between two looks at whether the group has heard of a member again


class Reader(Protocol):
    """What a view needs of a group reader (connectors.kafka_group)."""

    failure: BaseException | None

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def release(self) -> None: ...
    def current(self, batch: Batch) -> bool: ...
    def reread(self, sources: Iterable[TopicPartition]) -> None: ...
    def halt(self, source: TopicPartition) -> None: ...
    def revive(self, source: TopicPartition) -> None: ...
    def folded(self, source: TopicPartition, following: int) -> None: ...
    def assigned(self) -> list[TopicPartition]: ...
    def ends(self) -> dict[TopicPartition, int]: ...

    @property
    def heard(self) -> bool: ...

    @property
    def alive(self) -> bool: ...


class Troubled(Protocol):
    """Who is told how partitions fare (connectors.prometheus)."""

    def waiting(self, view: str, source: TopicPartition, error: BaseException) -> None: ...
    def halted(self, view: str, source: TopicPartition, error: BaseException) -> None: ...
    def lag(self, view: str, lags: dict[TopicPartition, int]) -> None: ...


class ReaderFailed(Exception):
    """A view's reader died of an error that is no outage: the worker must stop and be started anew."""


R = TypeVar("R", bound=Reader)


class Carried(Generic[R]):
    """A view or a decider in the event loop. `halts` and `waits` say why partitions don't go on."""

    def __init__(self, name: str, troubled: Troubled) -> None:
        self.name = name
        self.halts: dict[TopicPartition, str] = {}
        self.waits: dict[TopicPartition, str] = {}
        self.reader: R
        self._troubled = troubled
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.reader.start()

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.to_thread(self.reader.stop)

    def _started(self, sources: Iterable[TopicPartition]) -> None:
        for source in sources:
            self.halts.pop(source, None)

    def _lost(self, source: TopicPartition, error: Exception) -> None:
        self._halt(source, error)

    def _halt(self, source: TopicPartition, error: BaseException) -> None:
        """Stop one partition, loudly. The others go on; a restart of the worker tries again, and so does a view whose
        position somebody else has moved, or of which another version was promoted."""
        self.halts[source] = f"{type(error).__name__}: {error}"
        self.reader.halt(source)
        self._troubled.halted(self.name, source, error)
        log.error("%s HALTED at %s: %s", self.name, source, error, exc_info=error)

    def _waits_at(self, sources: Iterable[TopicPartition], error: BaseException) -> None:
        for source in sources:
            self.waits[source] = str(error)
            self._troubled.waiting(self.name, source, error)
        log.warning("%s waits at %s: %s", self.name, ", ".join(map(str, sources)), error)

    async def _until_heard(self) -> None:
        while not self.reader.heard and not self._stopping:
            await asyncio.sleep(HEARD_SECONDS)

    def _look_after(self, position: Callable[[TopicPartition], int | None]) -> None:
        """Report lag.

        Raises:
            ReaderFailed: the reader's thread is dead.
        """
        if not self.reader.alive and not self._stopping:
            raise ReaderFailed(f"{self.name}: {self.reader.failure}") from self.reader.failure
        ends = self.reader.ends()
        self._troubled.lag(self.name, {source: max(0, end - (position(source) or 0)) for source, end in ends.items()})
