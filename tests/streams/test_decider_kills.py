"""Deciders on a real broker, killed, stopped and joined by others: the log is as if nothing had happened."""

import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from infra.stack.harness import Stack
from tests.shared_stack import SharedStack
from tests.streams.toy import command_id, deposit, withdraw
from tests.streams.toy_fleet import SESSION_SECONDS, Fleet

pytestmark = pytest.mark.stack
SEED = 20260
KEYS = [f"account-{number}" for number in range(40)]


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("deciders"), only=("broker", "redis")) as running:
        yield running


@pytest.fixture(scope="module")
def fleet(stack: Stack) -> Iterator[Fleet]:
    made = Fleet(stack)
    made.make_topics()
    yield made
    made.stop()


class Feed:
    """Sends commands from a thread, some of them a second time, until it is stopped."""

    def __init__(self, fleet: Fleet, first: int, seed: int, pause: float = 0.004) -> None:
        self.fleet, self.first, self.pause = fleet, first, pause
        self.source = random.Random(seed)
        self.sent: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        number = self.first
        while not self._stop.wait(self.pause):
            again = self.source.random() < 0.1 and number > self.first
            which = self.source.randrange(max(self.first, number - 300), number) if again else number
            key = KEYS[which * 7919 % len(KEYS)]
            amount = 1 + which * 31 % 110
            self.fleet.send(key, deposit(which, amount) if which % 3 else withdraw(which, amount))
            self.sent.append(command_id(which))
            number += not again

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_kills_and_members_that_come_and_go_change_nothing_of_the_log(fleet: Fleet) -> None:
    source = random.Random(SEED)
    fleet.start(0)
    with Feed(fleet, 0, SEED) as feed:
        time.sleep(2.5)
        fleet.start(1)
        for _ in range(6):
            time.sleep(source.uniform(0.4, 2.5))
            index = source.randrange(2)
            fleet.signal(index, signal.SIGKILL)
            time.sleep(source.choice([0.0, 0.0, 1.5 * SESSION_SECONDS]))
            fleet.start(index)
    fleet.until_decided(feed.sent)
    counts = fleet.check()
    assert counts["commands"] > len(feed.sent), "follow-ups are commands as well"
    assert counts["repeats"] > 100


def test_a_zombie_writes_nothing(fleet: Fleet) -> None:
    """Stopped in the midst of its work, for so long that its partitions went to another; then it goes on."""
    source = random.Random(SEED)
    for index in (0, 1):
        if index not in fleet.processes:
            fleet.start(index)
    with Feed(fleet, 100_000, SEED) as feed:
        for zombie in (0, 1):
            time.sleep(source.uniform(1.0, 2.0))
            fleet.signal(zombie, signal.SIGSTOP)
            time.sleep(2.5 * SESSION_SECONDS)
            fleet.signal(zombie, signal.SIGCONT)
    fleet.until_decided(feed.sent)
    fleet.check()
