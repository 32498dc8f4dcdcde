"""The bound on dead letters: one bad record is set aside, a stream of them means that something else is broken (a wrong
schema, a wrong topic), and the view must halt instead of emptying its topic into the dead letters. Pure."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


class TooManyBadRecords(Exception):
    """The limit was passed; the message says which, and the last fault."""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `run` bad records in a row, and at most `ratio` of any `window` records, in one partition."""

    run: int
    ratio: float
    window: int


@dataclass(slots=True)
class BadRecordGauge:
    """Counts one partition's bad records against the limit."""

    limit: Limit
    run: int = 0
    seen: int = 0
    bad: int = 0
    _batches: deque[tuple[int, int]] = field(default_factory=deque)

    def check(self, records: int, bad: Sequence[int]) -> "BadRecordGauge":
        """The gauge after a batch of `records`, of which those at the indexes `bad` (ascending) are bad.

        Raises:
            TooManyBadRecords: the batch passes the limit; this gauge is unchanged.
        """
        after = BadRecordGauge(self.limit, self.run, self.seen, self.bad, deque(self._batches))
        longest = after._count(records, bad)
        if longest > self.limit.run:
            raise TooManyBadRecords(f"{longest} bad records in a row, the limit is {self.limit.run}")
        if after.seen >= self.limit.window and after.bad > self.limit.ratio * after.seen:
            raise TooManyBadRecords(
                f"{after.bad} of the last {after.seen} records are bad, the limit is {self.limit.ratio:.0%}"
            )
        return after

    def _count(self, records: int, bad: Sequence[int]) -> int:
        """Take the batch in; returns the longest run of bad records that ends in it."""
        longest, run, previous = 0, self.run, -1
        for index in bad:
            run = run + 1 if index == previous + 1 else 1
            longest, previous = max(longest, run), index
        self.run = run if previous == records - 1 else 0
        self._batches.append((records, len(bad)))
        self.seen, self.bad = self.seen + records, self.bad + len(bad)
        while self.seen - self._batches[0][0] >= self.limit.window:
            old, old_bad = self._batches.popleft()
            self.seen, self.bad = self.seen - old, self.bad - old_bad
        return longest
