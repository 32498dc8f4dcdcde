"""The runner on a log in memory, that can be killed at any call."""

import random
from collections.abc import Mapping, Sequence

from connectors.inputs import MemoryInputs
from connectors.memory_transactions import MemoryGroup, MemoryTransactions
from connectors.ports import Away
from connectors.snapshots import MemorySnapshots
from connectors.transactions import Disowned, Outgoing
from schemas.alert_messages import ALERTS
from schemas.log import Batch, TopicPartition
from schemas.messages import Event
from schemas.rule_messages import RULE_COMMANDS
from streams.rules.cuts import COMMANDS, CUTS, ORDER, Cut
from streams.rules.restore import RulesRestorer, cut_of
from streams.rules.runner import RulesRunner, Turned
from tests.streams.rules.world import SECOND, START, World

HOME = TopicPartition(COMMANDS, 0)


class Killed(Exception):
    """The process is gone in this moment."""


class Fragile(MemoryTransactions):
    """Dies now and then, before or behind the commit; now and then it is away, or its answer is lost."""

    chance: random.Random | None = None

    def write(self, records: Sequence[Outgoing], consumed: Mapping[TopicPartition, int], member: int) -> list[int]:
        draw = 1.0 if self.chance is None else self.chance.random()
        if draw < 0.05:
            raise Killed
        if draw < 0.10:
            raise Away("for a moment")
        offsets = super().write(records, consumed, member)
        if draw < 0.15:
            raise Killed
        if draw < 0.20:
            raise Disowned("the answer was lost")
        return offsets


class Crew:
    """One process after another, on one world."""

    def __init__(self, world: World, chance: random.Random | None = None) -> None:
        self.world, self.chance = world, chance
        self.group, self.snapshots = MemoryGroup(), MemorySnapshots()
        self.now = START
        self.member, self.processes, self.turns = 0, 0, 0
        self.patience, self.waiting = 0, False
        self.runner = self.started()

    def started(self) -> RulesRunner:
        """A process begins."""
        world, self.processes = self.world, self.processes + 1
        transactions = Fragile(world.log, self.group)
        transactions.chance = self.chance
        commands = world._codec(RULE_COMMANDS)
        restorer = RulesRestorer(
            world.log,
            (world.cut_codec, world.codecs[ALERTS]),
            lambda source: world.log.bounds([source.topic])[source][1],
            self.snapshots,
            world.make_state,
        )
        codecs = {CUTS: world.cut_codec, ALERTS: world.codecs[ALERTS], RULE_COMMANDS: commands}
        partitions = dict.fromkeys(ORDER, 1)
        runner = RulesRunner(codecs, transactions, restorer, MemoryInputs(world.log, 7), partitions, lambda: self.now)
        self.member = self.group.join()
        runner.start([HOME])
        return runner

    def turn(self, at: float) -> Turned | None:
        """One turn at a time of day, seconds behind START; None if it did not come to its end."""
        self.now, self.turns = START + int(at * SECOND), self.turns + 1
        position = self.runner.position(HOME) or 0
        commands: list[Batch] = list(self.world.log.read(HOME, position, self.world.log.bounds([COMMANDS])[HOME][1]))
        try:
            self.runner.keep_only([0])
            turned = self.runner.turn(commands, lambda: self.member, 0.0, self.patience)
        except (Killed, Disowned):
            self.runner = self.started()
            return None
        except Away:
            return None
        if self.chance is not None and self.chance.random() < 0.3:
            self.runner.save(1, 0.0, 0.0)
        return turned

    def took(self, at: float) -> int:
        """How many records a turn took that came to its end; `waiting` says whether there are others."""
        turned = self.turn(at)
        assert turned is not None
        self.waiting = turned.waiting
        return turned.records

    def settle(self, at: float) -> None:
        """Turns until one has come to its end and found nothing."""
        for _ in range(200):
            turned = self.turn(at)
            if turned is not None and not turned.records and not turned.alerts:
                return
        raise AssertionError("it does not come to rest")

    def alerts(self) -> list[Event]:
        """What the log holds."""
        source, codec = TopicPartition(ALERTS, 0), self.world.codecs[ALERTS]
        values = [v for b in self.world.log.read(source, 0, self.world.log.bounds([ALERTS])[source][1]) for v in b.values]
        return [message for value in values if isinstance(message := codec.decode(value), Event)]

    def cuts(self) -> list[Cut]:
        source = TopicPartition(CUTS, 0)
        values = [v for b in self.world.log.read(source, 0, self.world.log.bounds([CUTS])[source][1]) for v in b.values]
        return [cut_of(advanced) for value in values if (advanced := self.world.cut_codec.decode(value)) is not None]
