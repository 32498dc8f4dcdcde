"""What an anomaly detector is to the rest: a small protocol, and what it says of one row. Standard library only."""

from dataclasses import dataclass
from typing import Protocol

SPIKE, DIP = "spike", "dip"
LEVEL_SHIFT = "level-shift"
MORE_VARIANCE, LESS_VARIANCE = "more-variance", "less-variance"
FLAT_LINE = "flat-line"
NOT_A_NUMBER = "not-a-number"  # also infinities and values whose square would leave the range of doubles
NOT_NEWER = "not-newer"  # a row that is not newer than the newest seen: restated or doubled


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says of one row.

    `score` is 0 to 1, higher is stranger; `alarm` is the detector's own judgement of it. `expected` is the value
    foretold before the row was seen, `low` to `high` the band outside of which a single value alarms; all None while
    there is nothing to foretell from. `reason` names what is strange and is "" where nothing is. `warming` is how many
    more rows the detector wants before it judges.
    """

    score: float
    alarm: bool
    expected: float | None
    low: float | None
    high: float | None
    reason: str
    warming: int


class Detector(Protocol):
    """A detector of one series at a time, whose state between rows is bytes that the caller keeps.

    Given the same rows in the same order it must say the same: it reads no clock and draws no random numbers.
    """

    def start(self) -> bytes:
        """The state of a series that has not been seen."""

    def step(self, state: bytes, at: int, value: float) -> tuple[bytes, Verdict]:
        """Judge one row (`at` in epoch microseconds) and give the state after it.

        Any float may come, NaN and infinities too.
        """
