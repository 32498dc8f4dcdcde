"""The live views: Faust schedules, librdkafka carries. With `infra` the only place that imports Faust.

`attach` gives a Faust application one view: a channel of batches, an agent that folds them one at a time, and a service
that reads the view's topics into the channel. Faust runs no Kafka client of its own (docs/decisions/0001): its consumer
acknowledges what raised and loses what was rebalanced, ours starts from the position that lies with the view's state.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import faust
from faust.app.base import BootStrategy

from schemas.log import Batch, TopicPartition
from streams.carried import Carried, Reader, Troubled
from streams.failure import Outcome, backoff, classify
from streams.runner import Handled, Runner

log = logging.getLogger(__name__)


class Monitor(Troubled, Protocol):
    """Who is told what the views do (connectors.prometheus)."""

    def folded(self, view: str, batch: Batch, handled: Handled, seconds: float) -> None: ...


MakeReader = Callable[
    [
        Callable[[Iterable[TopicPartition]], dict[TopicPartition, int]],
        Callable[[Batch], None],
        Callable[[TopicPartition, Exception], None],
    ],
    Reader,
]


class _ChannelsOnly(BootStrategy):  # type: ignore[misc]
    """Starts agents and services, and nothing that talks to Kafka."""

    enable_kafka = False
    enable_web = False

    def kafka_conductor(self) -> list[Any]:
        return []

    def tables(self) -> list[Any]:
        return []


class _App(faust.App):  # type: ignore[misc]
    BootStrategy = _ChannelsOnly


def make_app(name: str, datadir: str) -> faust.App:
    """A Faust application for views. It has no topic, so the broker address is never used."""
    app = _App(name, broker="kafka://", web_enabled=False, topic_disable_leader=True, datadir=datadir)
    # Faust lets no record into a channel before its tables are recovered; there are none.
    app.flow_control.resume()
    return app


def attach(
    app: faust.App, runner: Runner, live_version: Callable[[], int], make_reader: MakeReader, monitor: Monitor
) -> "View":
    """Run a view in `app`. `live_version` says which version of the view readers see; when another one is promoted, the
    runner moves to it."""
    view = View(app, runner, live_version, make_reader, monitor)
    app.agent(view.channel, name=f"view.{runner.projection.name}", concurrency=1)(view.consume)
    app.service(Carrier(view))
    return view


class View(Carried[Reader]):
    """One live view in a Faust application."""

    def __init__(
        self,
        app: faust.App,
        runner: Runner,
        live_version: Callable[[], int],
        make_reader: MakeReader,
        monitor: Monitor,
    ) -> None:
        super().__init__(runner.projection.name, monitor)
        self.channel = app.channel()  # bounded by the reader's slots
        self._runner, self._live_version, self._monitor = runner, live_version, monitor
        self.reader = make_reader(self._start_of, self._deliver, self._lost)

    # --- called by the reader's thread --------------------------------------------------------------------------------

    def _start_of(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        starting = list(sources)
        self._runner.version = self._live_version()
        starts = self._runner.start(starting)
        self._started(starting)
        return starts

    def _deliver(self, batch: Batch) -> None:
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self.channel.put(batch), self._loop)

    # --- in the event loop --------------------------------------------------------------------------------------------

    async def consume(self, batches: Any) -> None:
        """The agent: fold every batch of the channel. No exception leaves it."""
        async for batch in batches:
            try:
                await self._fold(batch)
            finally:
                self.reader.release()

    async def _fold(self, batch: Batch) -> None:
        attempt = 0
        while not self._stopping:
            await self._until_heard()
            if not self.reader.current(batch):
                return  # revoked or reread meanwhile: whoever owns the partition reads these records again
            try:
                started = asyncio.get_running_loop().time()
                handled = await asyncio.to_thread(self._runner.handle, batch)
            except BaseException as error:
                outcome = classify(error)
                if outcome is Outcome.LEAVE:
                    raise
                if await self._dealt_with(outcome, error, batch, attempt):
                    return
                attempt += 1
            else:
                self.waits.pop(batch.source, None)
                self._monitor.folded(self.name, batch, handled, asyncio.get_running_loop().time() - started)
                self.reader.folded(batch.source, handled.following)
                return

    async def _dealt_with(self, outcome: Outcome, error: BaseException, batch: Batch, attempt: int) -> bool:
        """Act on a failure; True when the batch is not to be tried again."""
        if outcome is Outcome.WAIT:
            self._waits_at([batch.source], error)
            await asyncio.sleep(backoff(attempt))
            return False
        if outcome is Outcome.AGAIN:
            return False
        if outcome is Outcome.REREAD:
            log.info("%s: %s", self.name, error)
            self.reader.reread([batch.source])
            return True
        self._halt(batch.source, error)
        return True

    async def watch(self) -> None:
        """Once: report lag, look for a promoted version, look after the reader's thread."""
        self._look_after(self._runner.position)
        try:
            live = await asyncio.to_thread(self._live_version)
            promoted = live != self._runner.version
            to_revive = (
                list(self.halts) if promoted else await asyncio.to_thread(self._runner.passed_by_others, list(self.halts))
            )
        except BaseException as error:
            if classify(error) is Outcome.WAIT:
                return
            raise
        if promoted:
            log.info("%s: version %d was promoted, leaving version %d", self.name, live, self._runner.version)
            self.reader.reread(self.reader.assigned())
        for source in to_revive:
            self.reader.revive(source)


class Watched(Protocol):
    """What a carrier runs: a view, or a decider."""

    def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def watch(self) -> None: ...


class Carrier(faust.Service):  # type: ignore[misc]
    """Runs the reader of a view or a decider inside the application's life."""

    logger = logging.getLogger(f"{__name__}.Carrier")  # what Faust says of this service; the view's own log is `log`

    def __init__(self, carried: Watched) -> None:
        self.carried = carried
        super().__init__()

    async def on_start(self) -> None:
        self.carried.start()

    async def on_stop(self) -> None:
        await self.carried.stop()

    @faust.Service.task  # type: ignore[untyped-decorator]
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(0.5)
            await self.carried.watch()
