"""Which fault happens when: a pure function of a seed. Every kind of fault comes once before any comes again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

WORKERS = ("worker-0", "worker-1")
STORES = ("redis", "clickhouse", "broker", "registry", "registry-front")
AUTHORITY = "authority"
EVERYTHING = ("ingress", *WORKERS, *STORES, AUTHORITY)
STARTS_SECONDS = 6.0  # a worker has its partitions again so long after its start


class Action(StrEnum):
    """What is done to one process."""

    KILL = "kill"  # SIGKILL; the supervisor starts it again
    LOSE = "lose"  # SIGKILL, and it stays down
    FREEZE = "freeze"  # SIGSTOP
    THAW = "thaw"  # SIGCONT
    STOP = "stop"  # a clean stop, and it stays down
    START = "start"  # of one that stays down


@dataclass(frozen=True, slots=True)
class Step:
    """An action on the process `process`, `at` seconds after the load began."""

    at: float
    action: Action
    process: str

    def __str__(self) -> str:
        return f"{self.at:.2f} s {self.action} {self.process}"


@dataclass(frozen=True, slots=True)
class Round:
    """One round: under load for `load_seconds`, the `steps` of the fault `fault` in order of time. `seed` is the load's."""

    number: int
    fault: str
    seed: int
    steps: tuple[Step, ...]
    load_seconds: float

    @property
    def registering(self) -> bool:
        """Whether the load's devices register themselves, one after the other while the fault lasts."""
        return self.fault in REGISTERING


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations in seconds.

    Attributes:
        session: after it a silent worker loses its partitions; what is to outlast it lasts `margin` longer.
        freeze: how long a process is stopped by SIGSTOP when that fault comes for the first time.
        lead: the fault begins at a random moment between these, after the load began.
        tail: the load goes on for so long after the last step.
    """

    session: float = 10.0
    margin: float = 3.0
    freeze: float = 30.0
    lead: tuple[float, float] = (1.0, 5.0)
    tail: float = 3.0

    @property
    def silence(self) -> float:
        """Long enough for a worker's partitions to move to the other."""
        return self.session + self.margin


@dataclass(frozen=True, slots=True)
class _Dice:
    """What the makers of steps draw from; `repeated` says whether this kind of fault came before."""

    random: Random
    timing: Timing
    repeated: bool

    def worker(self) -> str:
        return self.random.choice(WORKERS)

    def other(self, worker: str) -> str:
        return WORKERS[1 - WORKERS.index(worker)]

    def moment(self, most: float = 1.0) -> float:
        return self.random.uniform(0.0, most)

    def freeze(self) -> float:
        """Seconds of SIGSTOP: the full time at first, later anything down to a blink."""
        full = self.timing.freeze
        return self.random.uniform(0.2, full) if self.repeated else full


Maker = Callable[[_Dice], list[Step]]


def _kill(*processes: str) -> Maker:
    return lambda dice: [Step(dice.moment(0.3) if i else 0.0, Action.KILL, name) for i, name in enumerate(processes)]


def _kill_worker(dice: _Dice) -> list[Step]:
    return [Step(0.0, Action.KILL, dice.worker())]


def _kill_worker_repeatedly(dice: _Dice) -> list[Step]:
    """Killed while it starts, and while it takes its partitions up again."""
    worker = dice.worker()
    return [Step(0.0, Action.KILL, worker), *(Step(4.0 * i + dice.moment(4.0), Action.KILL, worker) for i in range(2))]


def _kill_repeatedly(process: str) -> Maker:
    """Killed while it starts, and while it takes up what it had."""
    return lambda dice: [Step(4.0 * i + (dice.moment(4.0) if i else 0.0), Action.KILL, process) for i in range(3)]


def _lose_worker(dice: _Dice) -> list[Step]:
    """Its partitions move to the other worker, and back when it comes again."""
    worker = dice.worker()
    return [Step(0.0, Action.LOSE, worker), Step(dice.timing.silence, Action.START, worker)]


def _freeze(*processes: str) -> Maker:
    def steps(dice: _Dice) -> list[Step]:
        end = dice.freeze()
        return [Step(at, action, p) for at, action in ((0.0, Action.FREEZE), (end, Action.THAW)) for p in processes]

    return steps


def _freeze_worker(dice: _Dice) -> list[Step]:
    """Its partitions move to the other worker; it wakes up in the belief that it still has them."""
    return _freeze(dice.worker())(replace(dice, timing=replace(dice.timing, freeze=_beyond_session(dice))))


def _beyond_session(dice: _Dice) -> float:
    return max(dice.timing.freeze, dice.timing.silence)


def _move_partitions(dice: _Dice) -> list[Step]:
    """All partitions to one worker, then all to the other, then shared again."""
    first, silence = dice.worker(), dice.timing.silence
    second = dice.other(first)
    return [
        Step(0.0, Action.STOP, first),
        Step(silence, Action.START, first),
        Step(silence + STARTS_SECONDS, Action.STOP, second),
        Step(silence * 2 + STARTS_SECONDS, Action.START, second),
    ]


def _kill_worker_while_frozen(store: str) -> Maker:
    """The worker dies with a batch that waits for the store; its next life finds the store still away."""

    def steps(dice: _Dice) -> list[Step]:
        thaw = max(3.0, dice.freeze())
        return [
            Step(0.0, Action.FREEZE, store),
            Step(1.0 + dice.moment(), Action.KILL, dice.worker()),
            Step(thaw, Action.THAW, store),
        ]

    return steps


def _kill_store_while_worker_frozen(store: str) -> Maker:
    """The worker wakes up to find its partitions moved and its connections dead."""

    def steps(dice: _Dice) -> list[Step]:
        worker = dice.worker()
        return [
            Step(0.0, Action.FREEZE, worker),
            Step(0.5 + dice.moment(), Action.KILL, store),
            Step(dice.timing.silence, Action.THAW, worker),
        ]

    return steps


def _kill_while_frozen(killed: str, frozen: str) -> Maker:
    def steps(dice: _Dice) -> list[Step]:
        thaw = max(3.0, dice.freeze())
        return [
            Step(0.0, Action.FREEZE, frozen),
            Step(0.5 + dice.moment(), Action.KILL, killed),
            Step(thaw, Action.THAW, frozen),
        ]

    return steps


KINDS: dict[str, Maker] = {
    "kill-worker": _kill_worker,
    "kill-worker-repeatedly": _kill_worker_repeatedly,
    "kill-both-workers": _kill(*WORKERS),
    "lose-worker": _lose_worker,
    "kill-ingress": _kill("ingress"),
    "kill-redis": _kill("redis"),
    "kill-clickhouse": _kill("clickhouse"),
    "kill-broker": _kill("broker"),
    "kill-registry": _kill("registry"),
    "kill-registry-front": _kill("registry-front"),
    "kill-everything": _kill(*EVERYTHING),
    "freeze-worker": _freeze_worker,
    "freeze-both-workers": _freeze(*WORKERS),
    "freeze-ingress": _freeze("ingress"),
    "freeze-redis": _freeze("redis"),
    "freeze-clickhouse": _freeze("clickhouse"),
    "freeze-broker": _freeze("broker"),
    "move-partitions": _move_partitions,
    "kill-worker-while-clickhouse-frozen": _kill_worker_while_frozen("clickhouse"),
    "kill-worker-while-redis-frozen": _kill_worker_while_frozen("redis"),
    "kill-redis-while-worker-frozen": _kill_store_while_worker_frozen("redis"),
    "kill-broker-while-worker-frozen": _kill_store_while_worker_frozen("broker"),
    "kill-ingress-while-broker-frozen": _kill_while_frozen("ingress", "broker"),
    "kill-authority": _kill(AUTHORITY),
    "kill-authority-repeatedly": _kill_repeatedly(AUTHORITY),
    "freeze-authority": _freeze(AUTHORITY),
    "kill-deciders": _kill(AUTHORITY, *WORKERS),
    "kill-worker-while-devices-register": _kill_worker,
    "kill-ingress-while-devices-register": _kill("ingress"),
    "kill-broker-while-devices-register": _kill("broker"),
}
"""Every kind of fault, by name."""

REGISTERING = frozenset(name for name in KINDS if AUTHORITY in name or "deciders" in name or "register" in name)
"""The kinds of fault under which the devices register themselves and speak mTLS."""


class UnknownFault(ValueError):
    """There is no fault of this name; the message lists those that there are."""


def chosen(names: Iterable[str]) -> tuple[str, ...]:
    """The kinds of fault named, each once; all of them if none is named.

    Raises:
        UnknownFault
    """
    wanted = tuple(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in KINDS]
    if unknown:
        raise UnknownFault(f"there is no fault {', '.join(unknown)}; there are {', '.join(KINDS)}")
    return wanted or tuple(KINDS)


def schedule(seed: int, rounds: int, timing: Timing | None = None, kinds: Iterable[str] = ()) -> list[Round]:
    """The rounds of a run: the same for the same arguments.

    The kinds of fault (all, or those named in `kinds`) come in a shuffled order, and each comes once before any comes
    again.

    Raises:
        UnknownFault: `kinds` names one that there is not.
    """
    timing = timing or Timing()
    random, names = Random(seed), chosen(kinds)
    made: list[Round] = []
    while len(made) < rounds:
        deck = random.sample(names, len(names))
        repeated = len(made) >= len(names)
        made += [_round(len(made) + 1 + i, name, random, timing, repeated) for i, name in enumerate(deck)]
    return made[:rounds]


def _round(number: int, fault: str, random: Random, timing: Timing, repeated: bool) -> Round:
    begin = random.uniform(*timing.lead)
    steps = [replace(step, at=round(step.at + begin, 3)) for step in KINDS[fault](_Dice(random, timing, repeated))]
    steps.sort(key=lambda step: step.at)
    return Round(number, fault, random.randrange(2**31), tuple(steps), round(steps[-1].at + timing.tail, 3))
