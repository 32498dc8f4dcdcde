"""The agent around a decider's runner: each failure has its outcome, and none of them leaves the agent."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import pytest

from connectors.ports import Away
from connectors.transactions import Disowned
from schemas.log import Batch, TopicPartition
from streams.decider import Decider, Handled
from streams.failure import Outcome, classify
from streams.live import make_app
from streams.live_decider import LiveDecider, attach_decider, joined
from tests.streams.test_live import FakeReader, NativePanic, until

SOURCES = [TopicPartition("c", partition) for partition in range(3)]


class FakeCommandsReader(FakeReader):
    def start(self) -> None:
        self.start_of(SOURCES)

    def committed(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        return dict.fromkeys(sources, None)

    def member(self, epoch: int) -> str:
        return f"member {epoch}"


class FakeDeciderRunner:
    """Raises what it is told for a partition, in turn, and otherwise handles."""

    def __init__(self, failures: dict[int, list[BaseException]] | None = None) -> None:
        self.decider = Decider("d", "c", "e", lambda partition: None)  # type: ignore[arg-type, return-value]
        self.failures = failures or {}
        self.handled: list[tuple[list[Batch], Any]] = []
        self.saved: list[int] = []

    def start(self, sources: Sequence[TopicPartition], committed: Callable[..., Any]) -> dict[TopicPartition, int]:
        assert set(committed(sources)) == set(sources)
        return dict.fromkeys(sources, 0)

    def position(self, source: TopicPartition) -> int:
        return 0

    def handle(self, batches: Sequence[Batch], member: Any) -> Handled:
        for batch in batches:
            if self.failures.get(batch.source.partition):
                raise self.failures[batch.source.partition].pop(0)
        self.handled.append((list(batches), member))
        return Handled(sum(map(len, batches)), 0, 1, 1, Counter(), {})

    def save(self, least: int) -> None:
        self.saved.append(least)


class FakeMonitor:
    def __init__(self) -> None:
        self.events: list[str] = []

    def decided(self, decider: str, handled: Handled, seconds: float) -> None:
        self.events.append("decided")

    def waiting(self, view: str, source: TopicPartition, error: BaseException) -> None:
        self.events.append("waiting")

    def halted(self, view: str, source: TopicPartition, error: BaseException) -> None:
        self.events.append(f"halted {source.partition}")

    def lag(self, view: str, lags: dict[TopicPartition, int]) -> None:
        """Not looked at here."""


def batch(partition: int = 0, offset: int = 0, epoch: int = 1, records: int = 1) -> Batch:
    return Batch(SOURCES[partition], range(offset, offset + records), [None] * records, [b""] * records, epoch)


Script = Callable[[LiveDecider, FakeCommandsReader], Awaitable[None]]


def live(tmp_path: Any, runner: FakeDeciderRunner, script: Script) -> tuple[FakeCommandsReader, FakeMonitor, LiveDecider]:
    async def play() -> tuple[FakeCommandsReader, FakeMonitor, LiveDecider]:
        app, monitor = make_app("test", str(tmp_path)), FakeMonitor()
        decider = attach_decider(app, runner, FakeCommandsReader, monitor)  # type: ignore[arg-type]
        reader = decider.reader
        assert isinstance(reader, FakeCommandsReader)
        await app.start()
        try:
            await asyncio.wait_for(script(decider, reader), 20)
        finally:
            await app.stop()
        return reader, monitor, decider

    return asyncio.run(play())


def test_a_refused_transaction_is_read_anew() -> None:
    assert classify(Disowned("x")) is Outcome.REREAD


def test_what_has_gathered_is_decided_together_and_in_order(tmp_path: Any) -> None:
    runner = FakeDeciderRunner()

    async def script(decider: LiveDecider, reader: FakeCommandsReader) -> None:
        for one in (batch(0, 0), batch(1, 0), batch(0, 1, records=2), batch(0, 3)):
            reader.deliver(one)
        await until(lambda: reader.released == 4)

    live(tmp_path, runner, script)
    assert [[list(b.offsets) for b in batches] for batches, _ in runner.handled] == [[[0, 1, 2, 3], [0]]]
    assert runner.handled[0][1] == "member 1"


def test_the_oldest_membership_of_a_transaction_speaks_for_it(tmp_path: Any) -> None:
    """The broker does not look whose the partitions are, only of which generation the member is."""
    runner = FakeDeciderRunner()

    async def script(decider: LiveDecider, reader: FakeCommandsReader) -> None:
        reader.current = lambda one: True  # type: ignore[method-assign]
        reader.deliver(batch(0, epoch=4))
        reader.deliver(batch(1, epoch=2))
        await until(lambda: reader.released == 2)

    live(tmp_path, runner, script)
    assert [member for _, member in runner.handled] == ["member 2"]


def test_away_is_waited_for_with_the_same_batches(tmp_path: Any) -> None:
    runner = FakeDeciderRunner({0: [Away("down"), Away("down")]})

    async def script(decider: LiveDecider, reader: FakeCommandsReader) -> None:
        reader.deliver(batch(0))
        await until(lambda: decider.waits == {SOURCES[0]: "down"})
        await until(lambda: reader.released == 1)

    _, monitor, decider = live(tmp_path, runner, script)
    assert monitor.events == ["waiting", "waiting", "decided"]
    assert decider.waits == {}


def test_a_disowned_transaction_gives_the_partitions_up_until_they_are_read_anew(tmp_path: Any) -> None:
    runner = FakeDeciderRunner({1: [Disowned("another owns it")]})

    async def script(decider: LiveDecider, reader: FakeCommandsReader) -> None:
        reader.deliver(batch(0))
        reader.deliver(batch(1))
        await until(lambda: reader.released == 2)

    reader, _, _ = live(tmp_path, runner, script)
    assert reader.rereads == [SOURCES[:2]]
    assert runner.handled == []


@pytest.mark.parametrize("error", [KeyError("bug"), NativePanic("panic")])
def test_a_bug_halts_its_partition_only(tmp_path: Any, error: BaseException) -> None:
    runner = FakeDeciderRunner({1: [error, error]})

    async def script(decider: LiveDecider, reader: FakeCommandsReader) -> None:
        for partition in range(3):
            reader.deliver(batch(partition))
        await until(lambda: reader.released == 3)

    reader, monitor, decider = live(tmp_path, runner, script)
    assert reader.halted == [SOURCES[1]]
    assert monitor.events == ["decided", "halted 1", "decided"]
    assert type(error).__name__ in decider.halts[SOURCES[1]]


def test_stale_batches_are_dropped(tmp_path: Any) -> None:
    runner = FakeDeciderRunner()

    async def script(decider: LiveDecider, reader: FakeCommandsReader) -> None:
        reader.deliver(batch(0, epoch=0))
        reader.deliver(batch(1))
        await until(lambda: reader.released == 2)

    live(tmp_path, runner, script)
    assert [b.source for batches, _ in runner.handled for b in batches] == [SOURCES[1]]


def test_snapshots_are_taken_when_it_is_quiet(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.live_decider.QUIET_SECONDS", 0.6)
    runner = FakeDeciderRunner()

    async def script(decider: LiveDecider, reader: FakeCommandsReader) -> None:
        await until(lambda: len(set(runner.saved)) == 2)

    live(tmp_path, runner, script)
    assert runner.saved[0] > runner.saved[-1]


def test_joined_keeps_partitions_and_epochs_apart() -> None:
    found = joined([batch(0, 0), batch(1, 5), batch(0, 1), batch(0, 4), batch(0, 0, epoch=2)])
    assert [(b.source.partition, list(b.offsets), b.epoch) for b in found] == [(0, [0, 1, 4], 1), (1, [5], 1), (0, [0], 2)]
