"""What to do about a failure. The one place where exceptions of every kind are looked at; pure."""

import asyncio
from enum import Enum

from connectors.ports import Away, Conflict, Moved, Superseded
from connectors.transactions import Disowned


class Outcome(Enum):
    """What an agent does with a batch whose handling failed."""

    WAIT = "wait"  # something that is needed does not answer: wait with back-off and try the same batch again
    AGAIN = "again"  # somebody else touched the same document: load it anew and fold again, at once
    REREAD = "reread"  # somebody else moved the position or promoted a version: read both anew and go on from there
    HALT = "halt"  # a bug, or a log that does not hold what it must: stop this partition and say so
    LEAVE = "leave"  # not a failure: the process is being stopped


def classify(error: BaseException) -> Outcome:
    """The outcome for an exception that left a runner.

    Every BaseException is classified, as native libraries raise some that are no Exception (a Rust panic in polars).
    """
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit | GeneratorExit):
        return Outcome.LEAVE
    if isinstance(error, Away):
        return Outcome.WAIT
    if isinstance(error, Conflict):
        return Outcome.AGAIN
    if isinstance(error, Moved | Superseded | Disowned):
        return Outcome.REREAD
    return Outcome.HALT


def backoff(attempt: int, first: float = 0.1, most: float = 5.0) -> float:
    """Seconds to wait before the next try; attempts count from 0."""
    return min(most, first * 2.0 ** min(attempt, 16))
