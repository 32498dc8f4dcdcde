"""Deciders live in Faust, beside the views: the agent decides what has been read, as soon as the transaction before is done.

While one transaction is under way commands gather, and the next one takes them all: the busier it is, the larger are the
transactions, and the fewer. What can fail has an outcome (streams.failure), and no exception leaves the agent.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import faust

from schemas.log import Batch, TopicPartition, offsets_of
from streams.carried import Carried, Reader, Troubled
from streams.decider import DeciderRunner, Handled
from streams.failure import Outcome, backoff, classify
from streams.live import Carrier

log = logging.getLogger(__name__)

QUIET_SECONDS = 5.0  # without a command: a good time for snapshots
QUIET_EVENTS = 500  # since the last snapshot: folding fewer costs less than writing a snapshot
BUSY_EVENTS = 20_000  # ... even while there are commands
MOST_COMMANDS = 4_000  # in one transaction
# After a transaction commands gather for so long, so that under load there are fewer and larger ones: each costs the broker
# as much as a hundred commands, and wakes every reader of what is decided. A command that comes later than that is decided
# at once.
GATHER_SECONDS = 0.015


class CommandsReader(Reader, Protocol):
    """What a decider needs of a reader (connectors.kafka_commands)."""

    def committed(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]: ...
    def member(self, epoch: int) -> Any: ...


class DeciderMonitor(Troubled, Protocol):
    """Who is told what the deciders do (connectors.prometheus)."""

    def decided(self, decider: str, handled: Handled, seconds: float) -> None: ...


MakeCommandsReader = Callable[
    [
        Callable[[Iterable[TopicPartition]], dict[TopicPartition, int]],
        Callable[[Batch], None],
        Callable[[TopicPartition, Exception], None],
    ],
    CommandsReader,
]


def attach_decider(
    app: faust.App, runner: DeciderRunner, make_reader: MakeCommandsReader, monitor: DeciderMonitor
) -> "LiveDecider":
    """Run a decider in `app`."""
    decider = LiveDecider(app, runner, make_reader, monitor)
    app.agent(decider.channel, name=f"decider.{runner.decider.name}", concurrency=1)(decider.consume)
    app.service(Carrier(decider))
    return decider


class LiveDecider(Carried[CommandsReader]):
    """One decider in a Faust application. What was read waits in a queue of its own; the channel only says that there is
    something, so that the agent can take all of it at once."""

    def __init__(
        self, app: faust.App, runner: DeciderRunner, make_reader: MakeCommandsReader, monitor: DeciderMonitor
    ) -> None:
        super().__init__(runner.decider.name, monitor)
        self.channel = app.channel()  # bounded by the reader's slots
        self._runner, self._monitor = runner, monitor
        self._queue: deque[Batch] = deque()
        # Views fill the loop's own threads with batches of a second.
        self._thread = ThreadPoolExecutor(1, f"decider-{self.name}")
        self._refused = 0  # transactions in a row
        self._last = time.monotonic()
        self._done = 0.0  # the last transaction
        self.reader = make_reader(self._start_of, self._deliver, self._lost)

    # --- called by the reader's thread --------------------------------------------------------------------------------

    def _start_of(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        starting = list(sources)
        starts = self._runner.start(starting, self.reader.committed)
        self._started(starting)
        return starts

    def _deliver(self, batch: Batch) -> None:
        assert self._loop is not None
        self._queue.append(batch)
        asyncio.run_coroutine_threadsafe(self.channel.put(batch.source), self._loop)

    # --- in the event loop --------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        await super().stop()
        await asyncio.to_thread(self._thread.shutdown)

    async def consume(self, news: Any) -> None:
        """The agent. No exception leaves it."""
        async for _ in news:
            if self._queue and (rest := self._done + GATHER_SECONDS - time.monotonic()) > 0:
                await asyncio.sleep(rest)
            taken = self._take()
            try:
                if taken:
                    await self._decide(joined(taken))
            finally:
                for _ in taken:
                    self.reader.release()

    def _take(self) -> list[Batch]:
        taken: list[Batch] = []
        commands = 0
        while self._queue and commands < MOST_COMMANDS:
            taken.append(self._queue.popleft())
            commands += len(taken[-1])
        return taken

    async def _decide(self, batches: Sequence[Batch]) -> None:
        attempt = 0
        while not self._stopping:
            await self._until_heard()
            # Revoked or reread meanwhile: whoever owns the partition reads these commands again.
            batches = [batch for batch in batches if self.reader.current(batch)]
            if not batches:
                return
            self._last = started = time.monotonic()
            try:
                member = self.reader.member(min(batch.epoch for batch in batches))
                handled = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._runner.handle, batches, member
                )
            except BaseException as error:
                outcome = classify(error)
                if outcome is Outcome.LEAVE:
                    raise
                if await self._dealt_with(outcome, error, batches, attempt):
                    return
                attempt += 1
            else:
                self._refused = 0
                self._done = time.monotonic()
                for batch in batches:
                    self.waits.pop(batch.source, None)
                self._monitor.decided(self.name, handled, time.monotonic() - started)
                return

    async def _dealt_with(self, outcome: Outcome, error: BaseException, batches: Sequence[Batch], attempt: int) -> bool:
        """Act on a failure; True when the batches are not to be tried again together."""
        sources = [batch.source for batch in batches]
        if outcome in (Outcome.WAIT, Outcome.AGAIN):
            self._waits_at(sources, error)
            await asyncio.sleep(backoff(attempt))
            return False
        if outcome is Outcome.REREAD:
            log.info("%s reads %d partitions anew: %s", self.name, len(sources), error)
            await asyncio.sleep(backoff(self._refused) if self._refused else 0.0)
            self._refused += 1
            self.reader.reread(sources)
        elif len(batches) > 1:
            # One of them is at fault, and the others have commands that somebody waits for.
            log.warning("%s tries %d partitions one by one: %s", self.name, len(sources), error)
            for batch in batches:
                await self._decide([batch])
        else:
            self._halt(sources[0], error)
        return True

    async def watch(self) -> None:
        """Once: report lag, look after the reader's thread, take snapshots."""
        self._look_after(self._runner.position)
        quiet = not self._queue and time.monotonic() - self._last > QUIET_SECONDS
        if not self._stopping:
            save = self._runner.save
            await asyncio.get_running_loop().run_in_executor(self._thread, save, QUIET_EVENTS if quiet else BUSY_EVENTS)


def joined(batches: Sequence[Batch]) -> list[Batch]:
    """One batch for each partition and epoch, in the order in which they were read."""
    found: dict[tuple[TopicPartition, int], list[Batch]] = {}
    for batch in batches:
        found.setdefault((batch.source, batch.epoch), []).append(batch)
    return [group[0] if len(group) == 1 else _joined(group) for group in found.values()]


def _joined(group: Sequence[Batch]) -> Batch:
    return Batch(
        group[0].source,
        offsets_of([offset for batch in group for offset in batch.offsets]),
        [key for batch in group for key in batch.keys],
        [value for batch in group for value in batch.values],
        group[0].epoch,
        group[0].read_from,
        group[-1].read_to,
    )
