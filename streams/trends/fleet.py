"""The fleet by model and firmware, a window at a time: registrations and failures, regular heartbeats, share of time online.

Folds whose order does not matter and to which copies add nothing: a window keeps sets (of sessions, of events, of
moments) and counts only when it is asked. Standard library only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt

HOUR = 3_600_000_000  # microseconds
STAGES = ("SessionOpened", "ChallengeIssued", "ChallengePassed", "CertificateRecorded", "DeviceActivated")
"""Records of fleet.registration.events that a registration passes through, in this order."""
FAILURES = ("ChallengeFailed", "CertificateFailed", "ClaimAttemptFailed", "ClaimLocked", "CommandRefused")


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """What devices are counted together by; "" where it is not known."""

    model: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """Registrations of one window and group.

    `failure_rate` is failures by attempts: failures and activations together; None: none.
    """

    start: int
    group: Group
    reached: tuple[int, ...]  # sessions at each of STAGES
    failures: dict[str, int]
    failure_rate: float | None


@dataclass(slots=True)
class Funnel:
    """Sessions that reached each stage and events that tell of failure, by window start and group."""

    length: int = HOUR
    sessions: dict[tuple[int, Group, str], set[str]] = field(default_factory=dict)
    failed: dict[tuple[int, Group, str], set[str]] = field(default_factory=dict)

    def add(self, record_type: str, at: int, group: Group, session_id: str, event_id: str) -> bool:
        """Take in an event; False where its type is neither a stage nor a failure."""
        key = at - at % self.length, group, record_type
        if record_type in STAGES:
            self.sessions.setdefault(key, set()).add(session_id)
        elif record_type in FAILURES:
            self.failed.setdefault(key, set()).add(event_id)
        else:
            return False
        return True

    def rows(self) -> Iterator[FunnelRow]:
        """A row for each window and group of which there was anything, oldest first."""
        for start, group in sorted({key[:2] for key in (*self.sessions, *self.failed)}):
            reached = tuple(len(self.sessions.get((start, group, stage), ())) for stage in STAGES)
            counted = {name: len(self.failed.get((start, group, name), ())) for name in FAILURES}
            failures = {name: count for name, count in counted.items() if count}
            ended = sum(failures.values()) + reached[-1]
            yield FunnelRow(start, group, reached, failures, sum(failures.values()) / ended if ended else None)

    def forget(self, before: int) -> None:
        """Let windows go that ended at or before that moment."""
        for kept in (self.sessions, self.failed):
            for key in [key for key in kept if key[0] + self.length <= before]:
                del kept[key]


@dataclass(frozen=True, slots=True)
class BeatRow:
    """Heartbeats of one device in one window.

    `jitter` is the standard deviation of the gaps in intervals; None: fewer than two gaps.
    """

    start: int
    device_id: str
    count: int
    regularity: float  # heartbeats by those expected, at most 1
    longest_gap: int  # microseconds; the window's edges count as heartbeats
    jitter: float | None
    online: float  # share of the window


@dataclass(slots=True)
class Beats:
    """Moments of the heartbeats of one device, by window start, and the newest of the window before that is still felt."""

    interval: int
    online: int
    length: int = HOUR
    moments: dict[int, set[int]] = field(default_factory=dict)
    carried: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.interval <= self.length or not 0 < self.online <= self.length:
            raise ValueError(
                f"interval {self.interval} and online time {self.online} are not within a window of {self.length}"
            )

    def add(self, at: int) -> None:
        """Take in a heartbeat (epoch microseconds)."""
        start = at - at % self.length
        self.moments.setdefault(start, set()).add(at)
        if at + self.online > start + self.length:
            self.carried[start + self.length] = max(at, self.carried.get(start + self.length, at))

    def row(self, device_id: str, start: int) -> BeatRow:
        """The row of a window, also of one without heartbeats."""
        end = start + self.length
        moments = sorted(self.moments.get(start, ()))
        edges = [start, *moments, end]
        longest = max(after - before for before, after in pairwise(edges))
        gaps = [after - before for before, after in pairwise(moments)]
        felt = [self.carried[start], *moments] if start in self.carried else moments
        online = sum(min(after, moment + self.online) - max(moment, start) for moment, after in pairwise([*felt, end]))
        expected = self.length // self.interval
        return BeatRow(
            start,
            device_id,
            len(moments),
            min(1.0, len(moments) / expected),
            longest,
            _jitter(gaps, self.interval),
            online / self.length,
        )

    def forget(self, before: int) -> None:
        """Let windows go that ended at or before that moment."""
        self.moments = {start: kept for start, kept in self.moments.items() if start + self.length > before}
        self.carried = {start: kept for start, kept in self.carried.items() if start + self.length > before}


def _jitter(gaps: list[int], interval: int) -> float | None:
    if len(gaps) < 2:
        return None
    total = sum(gaps)
    spread = len(gaps) * sum(gap * gap for gap in gaps) - total * total  # exact
    return sqrt(spread / (len(gaps) * (len(gaps) - 1))) / interval


@dataclass(frozen=True, slots=True)
class ShareRow:
    """Devices of one window and group: how many, their mean share of time online and mean regularity."""

    start: int
    group: Group
    devices: int
    online: float
    regularity: float


def shares(rows: Iterable[tuple[Group, BeatRow]]) -> list[ShareRow]:
    """Rows of devices, each with the group it was in, put together by window and group; oldest first."""
    together: dict[tuple[int, Group], dict[str, BeatRow]] = {}
    for group, row in rows:
        together.setdefault((row.start, group), {})[row.device_id] = row
    return [_share(start, group, list(together[start, group].values())) for start, group in sorted(together)]


def _share(start: int, group: Group, rows: list[BeatRow]) -> ShareRow:
    ordered = sorted(rows, key=lambda row: row.device_id)  # one order, so that the sums of doubles are always the same
    count = len(ordered)
    return ShareRow(start, group, count, sum(r.online for r in ordered) / count, sum(r.regularity for r in ordered) / count)
