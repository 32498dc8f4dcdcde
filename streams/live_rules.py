"""The rules' engines live in Faust, beside views and deciders: each turn takes what has come of all inputs, and ends in
one transaction. What can fail has an outcome (streams.failure), and no exception leaves a turn."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import faust

from schemas.log import Batch, TopicPartition
from streams.carried import Carried, Reader, Troubled
from streams.failure import Outcome, backoff, classify
from streams.live import Carrier
from streams.rules.cuts import COMMANDS
from streams.rules.restore import NAME
from streams.rules.runner import EngineFailed, RulesRunner, Turned

log = logging.getLogger(__name__)
T = TypeVar("T")

WAIT_SECONDS = 0.1  # for something to come; also how late a timer may be
GATHER_SECONDS = 0.05  # from turn to turn, where they write: fewer and larger transactions; each costs the broker 10 ms
PATIENCE = 500_000  # microseconds that registrations wait for more: all engines read all of them, and each writes a cut
SAVE_TURNS = 2_000  # cuts of a partition after which a snapshot is due ...
SAVE_SECONDS = 20.0  # ... or so much later, if there was any


class RulesReader(Reader, Protocol):
    """What is needed of the reader of commands (connectors.kafka_commands)."""

    def membership(self, sources: Iterable[TopicPartition]) -> Any: ...
    def committed(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]: ...


class RulesMonitor(Troubled, Protocol):
    """Who is told what the engines do (connectors.rules_metrics)."""

    def turned(self, turned: Turned, seconds: float) -> None: ...


MakeRulesReader = Callable[
    [
        Callable[[Iterable[TopicPartition]], dict[TopicPartition, int]],
        Callable[[Batch], None],
        Callable[[TopicPartition, Exception], None],
    ],
    RulesReader,
]


def attach_rules(app: faust.App, runner: RulesRunner, make_reader: MakeRulesReader, monitor: RulesMonitor) -> "LiveRules":
    """Run the engines in `app`."""
    rules = LiveRules(runner, make_reader, monitor)
    app.service(RulesCarrier(rules))
    return rules


class LiveRules(Carried[RulesReader]):
    """All engines of a process."""

    def __init__(self, runner: RulesRunner, make_reader: MakeRulesReader, monitor: RulesMonitor) -> None:
        super().__init__(NAME, monitor)
        self._runner, self._monitor = runner, monitor
        self._queue: deque[Batch] = deque()
        self._thread = ThreadPoolExecutor(1, NAME)
        self._attempt = 0
        self._began = 0.0
        self.reader = make_reader(self._start_of, self._deliver, self._lost)

    # --- called by the reader's thread --------------------------------------------------------------------------------

    def _start_of(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        starting = list(sources)
        # Away while a transaction with their offsets is open: whoever had them may be about to commit another cut, of which
        # no record needs to have come to the log yet.
        self.reader.committed(starting)
        starts = self._runner.start(starting)
        self._started(starting)
        return starts

    def _deliver(self, batch: Batch) -> None:
        self._queue.append(batch)

    # --- in the event loop --------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        await super().stop()
        await asyncio.to_thread(self._thread.shutdown)

    async def turn(self) -> None:
        """One turn, or a wait for the next. No exception leaves it but those that end the process."""
        await self._until_heard()
        commands = self._taken()  # first: whatever was delivered is of a partition that is assigned by now
        owned = [source for source in self.reader.assigned() if source not in self.halts]
        try:
            if not owned or self._stopping:
                await self._in_thread(lambda: self._runner.keep_only([]))
                await asyncio.sleep(WAIT_SECONDS)
                return
            if (rest := self._began + GATHER_SECONDS - time.monotonic()) > 0:
                await asyncio.sleep(rest)
            await self._turn(owned, [batch for batch in commands if self.reader.current(batch)])
        finally:
            for _ in commands:
                self.reader.release()

    def _taken(self) -> list[Batch]:
        taken = []
        while self._queue:
            taken.append(self._queue.popleft())
        return taken

    async def _turn(self, owned: Sequence[TopicPartition], commands: Sequence[Batch]) -> None:
        started = time.monotonic()

        def work() -> Turned:
            self._runner.keep_only([source.partition for source in owned])
            return self._runner.turn(commands, lambda: self.reader.membership(owned), WAIT_SECONDS, PATIENCE)

        try:
            turned = await self._in_thread(work)
        except BaseException as error:
            if classify(error) is Outcome.LEAVE:
                raise
            await self._dealt_with(error, owned)
        else:
            self._attempt = 0
            self.waits.clear()
            if turned.records or turned.alerts or turned.waiting:
                self._began = started + turned.idle  # a turn that took long has gathered while it did
            self._monitor.turned(turned, time.monotonic() - started)

    async def _dealt_with(self, error: BaseException, owned: Sequence[TopicPartition]) -> None:
        outcome, self._attempt = classify(error), self._attempt + 1
        if outcome in (Outcome.WAIT, Outcome.AGAIN):
            self._waits_at(owned, error)
            await asyncio.sleep(backoff(self._attempt - 1))
        elif outcome is Outcome.REREAD:
            log.info("%s reads %d partitions anew: %s", self.name, len(owned), error)
            await asyncio.sleep(backoff(self._attempt - 1) if self._attempt > 1 else 0.0)
            self.reader.reread(self.reader.assigned())
        elif isinstance(error, EngineFailed):
            self._halt(TopicPartition(COMMANDS, error.partition), error)
        else:
            for source in owned:
                self._halt(source, error)

    async def watch(self) -> None:
        """Once: report lag, look after the reader's thread, take snapshots."""
        self._look_after(self._runner.position)
        if not self._stopping:
            await self._in_thread(lambda: self._runner.save(SAVE_TURNS, SAVE_SECONDS, time.monotonic()))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class RulesCarrier(Carrier):
    """Runs the turns inside the application's life."""

    @faust.Service.task  # type: ignore[untyped-decorator]
    async def _turns(self) -> None:
        assert isinstance(self.carried, LiveRules)
        while not self.should_stop:
            await self.carried.turn()
