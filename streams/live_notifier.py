"""The notifier live: one member of its group has the one partition of fleet.notifications, and it alone tells people."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from schemas.log import Batch, TopicPartition
from streams.carried import Carried, Reader, Troubled
from streams.failure import Outcome, backoff, classify
from streams.notify.notifier import NOTIFICATIONS, Notifier

log = logging.getLogger(__name__)

NAME = "notifier"
LOOK_SECONDS = 0.25  # between two looks at what is due
STOP_SECONDS = 5.0  # for a try that is under way when the process stops


class MemberReader(Reader, Protocol):
    """What the notifier needs of a reader (connectors.kafka_commands)."""

    def committed(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]: ...
    def member(self, epoch: int) -> Any: ...
    def epoch(self, source: TopicPartition) -> int | None: ...


MakeMemberReader = Callable[
    [
        Callable[[Iterable[TopicPartition]], dict[TopicPartition, int]],
        Callable[[Batch], None],
        Callable[[TopicPartition, Exception], None],
    ],
    MemberReader,
]


class LiveNotifier(Carried[MemberReader]):
    """`start`, `watch` and `stop` are called by a service of the worker (streams.live.Carrier)."""

    def __init__(self, notifier: Notifier, make_reader: MakeMemberReader, troubled: Troubled) -> None:
        super().__init__(NAME, troubled)
        self._notifier = notifier
        self._thread = ThreadPoolExecutor(1, NAME)
        self._task: asyncio.Task[None] | None = None
        self.reader = make_reader(self._start_of, self._deliver, self._lost)

    # --- called by the reader's thread --------------------------------------------------------------------------------

    def _start_of(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        starting = list(sources)
        if not starting:
            return {}
        end = self._notifier.start(self.reader.committed)
        self._started(starting)
        log.info("this worker notifies")
        return dict.fromkeys(starting, end)

    def _deliver(self, batch: Batch) -> None:
        """Its own records: they are known."""
        self.reader.release()

    # --- in the event loop --------------------------------------------------------------------------------------------

    def start(self) -> None:
        super().start()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.to_thread(self._notifier.stop, STOP_SECONDS)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._last_words()
        await super().stop()
        await asyncio.to_thread(self._thread.shutdown)

    async def watch(self) -> None:
        """Once: look after the reader's thread."""
        ends = self.reader.ends()
        self._look_after(ends.get)

    async def _run(self) -> None:
        attempt, given_up = 0, None
        while not self._stopping:
            epoch = self.reader.epoch(NOTIFICATIONS)
            if epoch is None or epoch == given_up or NOTIFICATIONS in self.halts:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            try:
                await self._until_heard()
                wrote = await self._step(epoch)
            except BaseException as error:
                outcome = classify(error)
                if outcome is Outcome.LEAVE:
                    raise
                given_up = await self._dealt_with(outcome, error, epoch, attempt)
                attempt += 1
            else:
                attempt = 0
                self.waits.pop(NOTIFICATIONS, None)
                await asyncio.sleep(0 if wrote else LOOK_SECONDS)

    async def _step(self, epoch: int, planning: bool = True) -> int:
        member = self.reader.member(epoch)
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._notifier.step, member, planning)

    async def _dealt_with(self, outcome: Outcome, error: BaseException, epoch: int, attempt: int) -> int | None:
        """Act on a failure; returns the assignment under which nothing more is to be done, if there is one."""
        if outcome in (Outcome.WAIT, Outcome.AGAIN):
            self._waits_at([NOTIFICATIONS], error)
            await asyncio.sleep(backoff(attempt))
            return None
        if outcome is Outcome.REREAD:
            log.info("the notifier reads anew where it stands: %s", error)
            await asyncio.sleep(backoff(attempt) if attempt else 0.0)
            self.reader.reread([NOTIFICATIONS])
            return epoch
        self._halt(NOTIFICATIONS, error)
        return epoch

    async def _last_words(self) -> None:
        """Record what became of what was being sent; if that fails, whoever comes next finds it in doubt."""
        epoch = self.reader.epoch(NOTIFICATIONS)
        if epoch is None or NOTIFICATIONS in self.halts:
            return
        started = time.monotonic()
        try:
            await self._step(epoch, planning=False)
        except Exception as error:
            if classify(error) is Outcome.LEAVE:
                raise
            log.warning("outcomes were not recorded within %.1f s: %s", time.monotonic() - started, error)
