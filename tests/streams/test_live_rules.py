"""The rules' engines in the event loop: when they begin, and that nothing which was delivered is lost."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from connectors.ports import Away
from schemas.log import Batch, TopicPartition
from streams.live_rules import LiveRules
from streams.rules.runner import Turned
from tests.streams.test_live import FakeReader

SOURCE = TopicPartition("fleet.alerts.commands", 0)


class FakeRulesReader(FakeReader):
    """Says that offsets are not known yet, as often as it is told."""

    def __init__(self, start_of: Any, deliver: Any, on_lost: Any) -> None:
        super().__init__(start_of, deliver, on_lost)
        self.open_transactions = 0
        self.sources: list[TopicPartition] = []
        self.coming: Batch | None = None

    def committed(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        if self.open_transactions:
            self.open_transactions -= 1
            raise Away("a transaction that moves an offset is open")
        return dict.fromkeys(sources, 3)

    def membership(self, sources: Iterable[TopicPartition]) -> str:
        return "a member"

    def assigned(self) -> list[TopicPartition]:
        """What is assigned; directly behind the look at it a partition comes, with a batch of it."""
        found = list(self.sources)
        if self.coming is not None:
            self.sources, batch, self.coming = [SOURCE], self.coming, None
            self.deliver(batch)
        return found


class FakeRulesRunner:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []

    def start(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        self.calls.append(("start", list(sources)))
        return dict.fromkeys(sources, 0)

    def keep_only(self, partitions: Iterable[int]) -> None:
        self.calls.append(("keep", list(partitions)))

    def turn(self, commands: Sequence[Batch], member: Callable[[], Any], seconds: float, patience: int = 0) -> Turned:
        self.calls.append(("turn", [batch.begins for batch in commands]))
        return Turned()


class FakeMonitor:
    def turned(self, turned: Turned, seconds: float) -> None:
        """Not looked at here."""


def live() -> tuple[LiveRules, FakeRulesRunner, FakeRulesReader]:
    runner = FakeRulesRunner()
    rules = LiveRules(runner, FakeRulesReader, FakeMonitor())  # type: ignore[arg-type]
    assert isinstance(rules.reader, FakeRulesReader)
    return rules, runner, rules.reader


def test_a_predecessor_s_open_transaction_is_waited_for_before_anything_is_restored() -> None:
    _, runner, reader = live()
    reader.open_transactions = 2
    for _ in range(2):
        with pytest.raises(Away):
            reader.start_of([SOURCE])
    assert runner.calls == []
    assert reader.start_of([SOURCE]) == {SOURCE: 0}
    assert runner.calls == [("start", [SOURCE])]


def test_a_batch_of_a_partition_that_comes_just_now_is_not_lost() -> None:
    rules, runner, reader = live()
    reader.coming = Batch(SOURCE, range(7, 8), [None], [b""], reader.epoch)
    asyncio.run(_turns(rules, 2))
    assert runner.calls == [("keep", []), ("keep", [0]), ("turn", [7])]
    assert reader.released == 1


async def _turns(rules: LiveRules, count: int) -> None:
    for _ in range(count):
        await rules.turn()
