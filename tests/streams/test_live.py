"""The agent around the carrier's core: each failure has its outcome, and none of them leaves the agent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from connectors.ports import Away, Conflict, Moved, Superseded
from projections.catalogue import DEVICE_STATE
from schemas.log import Batch, TopicPartition
from streams.failure import Outcome, backoff, classify
from streams.live import View, attach, make_app
from streams.runner import Gap, Handled

SOURCE = TopicPartition("fleet.telemetry", 0)


class NativePanic(BaseException):
    """As a Rust library raises through its Python binding: not an Exception."""


class FakeReader:
    """A reader whose batches a test puts in by hand."""

    def __init__(self, start_of: Any, deliver: Any, on_lost: Any) -> None:
        self.start_of, self.deliver, self.on_lost = start_of, deliver, on_lost
        self.failure: BaseException | None = None
        self.alive, self.heard, self.epoch = True, True, 1
        self.released = 0
        self.rereads: list[list[TopicPartition]] = []
        self.halted: list[TopicPartition] = []
        self.revived: list[TopicPartition] = []
        self.positions: dict[TopicPartition, int] = {}

    def start(self) -> None:
        self.start_of([SOURCE])

    def stop(self) -> None:
        self.alive = False

    def release(self) -> None:
        self.released += 1

    def current(self, batch: Batch) -> bool:
        return batch.epoch == self.epoch

    def reread(self, sources: Iterable[TopicPartition]) -> None:
        self.rereads.append(list(sources))

    def halt(self, source: TopicPartition) -> None:
        self.halted.append(source)

    def revive(self, source: TopicPartition) -> None:
        self.revived.append(source)
        self.start_of([source])

    def folded(self, source: TopicPartition, following: int) -> None:
        self.positions[source] = following

    def assigned(self) -> list[TopicPartition]:
        return [SOURCE]

    def ends(self) -> dict[TopicPartition, int]:
        return {SOURCE: 10}


class FakeRunner:
    """Raises what it is told, in turn, and then handles."""

    def __init__(self, *failures: BaseException) -> None:
        self.projection, self.version = DEVICE_STATE, 1
        self.failures, self.handled = list(failures), list[Batch]()
        self.passed: set[TopicPartition] = set()

    def start(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(sources, 0)

    def position(self, source: TopicPartition) -> int:
        return 0

    def passed_by_others(self, sources: Iterable[TopicPartition]) -> list[TopicPartition]:
        return [source for source in sources if source in self.passed]

    def handle(self, batch: Batch) -> Handled:
        if self.failures:
            raise self.failures.pop(0)
        self.handled.append(batch)
        return Handled(len(batch), 0, batch.last + 1)


class FakeMonitor:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.lags: dict[TopicPartition, int] = {}

    def folded(self, view: str, batch: Batch, handled: Handled, seconds: float) -> None:
        self.events.append("folded")

    def waiting(self, view: str, source: TopicPartition, error: BaseException) -> None:
        self.events.append("waiting")

    def halted(self, view: str, source: TopicPartition, error: BaseException) -> None:
        self.events.append("halted")

    def lag(self, view: str, lags: dict[TopicPartition, int]) -> None:
        self.lags = lags


def batch(offset: int = 0, epoch: int = 1) -> Batch:
    return Batch(SOURCE, range(offset, offset + 1), [None], [b""], epoch)


def live(
    tmp_path: Any,
    runner: FakeRunner,
    script: Callable[[View, FakeReader], Awaitable[None]],
    version: Callable[[], int] = lambda: 1,
) -> tuple[FakeReader, FakeMonitor, View]:
    """Run a view in a Faust application while `script` plays."""

    async def play() -> tuple[FakeReader, FakeMonitor, View]:
        app, monitor = make_app("test", str(tmp_path)), FakeMonitor()
        view = attach(app, runner, version, FakeReader, monitor)  # type: ignore[arg-type]
        reader = view.reader
        assert isinstance(reader, FakeReader)
        await app.start()
        try:
            await asyncio.wait_for(script(view, reader), 20)
        finally:
            await app.stop()
        return reader, monitor, view

    return asyncio.run(play())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Away("x"), Outcome.WAIT),
        (Conflict("x"), Outcome.AGAIN),
        (Moved(SOURCE, 1, 2), Outcome.REREAD),
        (Superseded("x"), Outcome.REREAD),
        (Gap("x"), Outcome.HALT),
        (KeyError("x"), Outcome.HALT),
        (NativePanic("x"), Outcome.HALT),
        (MemoryError(), Outcome.HALT),
        (asyncio.CancelledError(), Outcome.LEAVE),
        (KeyboardInterrupt(), Outcome.LEAVE),
    ],
)
def test_every_failure_has_an_outcome(error: BaseException, outcome: Outcome) -> None:
    assert classify(error) is outcome


def test_backoff_grows_to_a_bound() -> None:
    waits = [backoff(attempt) for attempt in range(100)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.1, 5.0)


def test_batches_are_folded_in_order_and_slots_released(tmp_path: Any) -> None:
    runner = FakeRunner()

    async def script(view: View, reader: FakeReader) -> None:
        for offset in range(3):
            reader.deliver(batch(offset))
        await until(lambda: reader.released == 3)

    reader, monitor, _ = live(tmp_path, runner, script)
    assert [one.first for one in runner.handled] == [0, 1, 2]
    assert reader.positions == {SOURCE: 3}
    assert monitor.events == ["folded"] * 3


def test_a_store_that_is_away_is_tried_again_with_the_same_batch(tmp_path: Any) -> None:
    runner = FakeRunner(Away("down"), Away("down"))

    async def script(view: View, reader: FakeReader) -> None:
        reader.deliver(batch())
        await until(lambda: bool(view.waits))
        assert view.waits == {SOURCE: "down"}
        await until(lambda: reader.released == 1)

    _, monitor, view = live(tmp_path, runner, script)
    assert monitor.events == ["waiting", "waiting", "folded"]
    assert view.waits == {}


def test_a_moved_position_is_read_anew(tmp_path: Any) -> None:
    runner = FakeRunner(Moved(SOURCE, 0, 5))

    async def script(view: View, reader: FakeReader) -> None:
        reader.deliver(batch())
        await until(lambda: reader.released == 1)

    reader, _, _ = live(tmp_path, runner, script)
    assert reader.rereads == [[SOURCE]]
    assert runner.handled == []


@pytest.mark.parametrize("error", [KeyError("bug"), NativePanic("panic"), Gap("hole")])
def test_a_bug_halts_its_partition_and_the_agent_lives_on(tmp_path: Any, error: BaseException) -> None:
    runner = FakeRunner(error)

    async def script(view: View, reader: FakeReader) -> None:
        reader.deliver(batch())
        await until(lambda: reader.halted == [SOURCE])
        reader.deliver(batch(1))
        await until(lambda: reader.released == 2)

    _, monitor, view = live(tmp_path, runner, script)
    assert monitor.events == ["halted", "folded"]
    assert type(error).__name__ in view.halts[SOURCE]


def test_a_stale_batch_is_dropped(tmp_path: Any) -> None:
    runner = FakeRunner()

    async def script(view: View, reader: FakeReader) -> None:
        reader.deliver(batch(epoch=0))
        await until(lambda: reader.released == 1)

    live(tmp_path, runner, script)
    assert runner.handled == []


def test_nothing_is_written_while_the_group_may_have_given_the_partition_away(tmp_path: Any) -> None:
    runner = FakeRunner()

    async def script(view: View, reader: FakeReader) -> None:
        reader.heard = False
        reader.deliver(batch())
        await asyncio.sleep(0.3)
        assert runner.handled == []
        reader.epoch = 2  # it had
        reader.heard = True
        await until(lambda: reader.released == 1)

    live(tmp_path, runner, script)
    assert runner.handled == []


def test_a_promoted_version_is_followed(tmp_path: Any) -> None:
    runner, versions = FakeRunner(), [1]

    async def script(view: View, reader: FakeReader) -> None:
        versions[0] = 2
        await until(lambda: reader.rereads == [[SOURCE]])
        reader.start_of([SOURCE])

    _, monitor, _ = live(tmp_path, runner, script, lambda: versions[0])
    assert runner.version == 2
    assert monitor.lags == {SOURCE: 10}


@pytest.mark.parametrize("how", ["position", "promotion"])
def test_a_halted_partition_goes_on_when_somebody_else_has_taken_the_view_further(tmp_path: Any, how: str) -> None:
    runner, versions = FakeRunner(ValueError("this record")), [1]

    async def script(view: View, reader: FakeReader) -> None:
        reader.deliver(batch(0))
        await until(lambda: reader.halted == [SOURCE])
        await view.watch()
        assert (reader.revived, list(view.halts)) == ([], [SOURCE])
        runner.passed = {SOURCE} if how == "position" else set()
        versions[0] = 1 if how == "position" else 2
        await view.watch()
        await until(lambda: reader.revived == [SOURCE] and not view.halts)
        reader.deliver(batch(1))
        await until(lambda: len(runner.handled) == 1)

    live(tmp_path, runner, script, lambda: versions[0])
