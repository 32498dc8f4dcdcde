"""An upload on its way, and what faults do to it."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from infra.simulator.device import Device
from infra.simulator.faults import Faults, corrupted
from infra.simulator.http import Cut
from infra.simulator.journal import Kind

FIRST_PAUSE = 0.2  # seconds before the second try, doubled for each further one
LONGEST_PAUSE = 10.0
LATE_MINUTES = (2.0, 30.0)  # of the device's time
LATE_SECONDS = (0.5, 20.0)  # within these of the wall clock, so that it is late also when the series plays fast
OVERTAKEN_SECONDS = (0.05, 1.0)
AT_ONCE = 0.0
AGAIN_SECONDS = (0.1, 2.0)


@dataclass(slots=True)
class Upload:
    """The records of one request: `count` of them with the sequences `first`, `first` + 1, ... of one boot.

    `positions[i]` is where record i was acknowledged to be, (partition, offset).
    """

    device: Device
    kind: Kind
    boot: int
    first: int
    count: int
    path: str
    body: bytes
    positions: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Delivery:
    """One errand: to get an upload acknowledged, or refused when it is `broken`.

    `due` AT_ONCE comes before all else: as long as made uploads go out first, few of them are in memory.
    `follows`: the device's next upload of this kind waits for the end of this one.
    """

    upload: Upload
    due: float
    body: bytes
    follows: bool = True
    broken: bool = False
    cut: Cut | None = None
    tries: int = 0

    def pause(self, retry_after: float, chance: random.Random) -> float:
        """Seconds until the next try: exponential with full jitter (so that a fleet does not come back at once), and not
        before the server asked for."""
        return retry_after + chance.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.tries, 16)))


Note = Callable[[str], None]


def deliveries(upload: Upload, faults: Faults, pace: float | None, chance: random.Random, note: Note) -> Iterator[Delivery]:
    """The errands of an upload: one, unless faults are asked for; `note` is told each fault that is made."""
    now = time.monotonic()
    plain = Delivery(upload, AT_ONCE, upload.body)
    if upload.kind is not Kind.REGISTRATION and chance.random() < faults.corrupt:
        note("corrupt")
        yield replace(plain, body=corrupted(upload.body, chance), follows=False, broken=True)
    if chance.random() < faults.duplicates:
        note("duplicates")
        again = AT_ONCE if chance.randrange(2) else now + chance.uniform(*AGAIN_SECONDS)
        yield replace(plain, due=again, follows=False)
    if chance.random() < faults.drop:
        note("drop")
        plain.cut = Cut.DROP
    elif chance.random() < faults.reset:
        note("reset")
        plain.cut = Cut.RESET
    if upload.kind is not Kind.REGISTRATION and chance.random() < faults.late:
        note("late")
        wanted = chance.uniform(*LATE_MINUTES) * 60 / (pace or 1e9)
        plain.due, plain.follows = now + min(max(wanted, LATE_SECONDS[0]), LATE_SECONDS[1]), False
    elif upload.kind is not Kind.REGISTRATION and chance.random() < faults.reorder:
        note("reorder")
        plain.due, plain.follows = now + chance.uniform(*OVERTAKEN_SECONDS), False
    yield plain
