"""Sending a notice until it is taken, or until it is given up."""

from collections.abc import Callable
from dataclasses import dataclass

from connectors.notify.channel import Channel, Notice, Undelivered, Why

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a channel is tried: `attempts` times, each `seconds` long at most."""

    attempts: int = 5
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a notice. `why` is empty where it was taken."""

    attempts: int
    why: Why | None
    detail: str


def pause(attempt: int) -> float:
    """Seconds between a try and the next; attempts count from 1."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt - 1, 16))


def send(channel: Channel, notice: Notice, patience: Patience, wait: Callable[[float], bool]) -> Outcome | None:
    """Try until it ends. `wait` sleeps, and returns True to stop; then None is returned: it was neither sent, as far as is
    known, nor given up.

    A receiver that knows no repeats is not tried again once it may have taken it.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return Outcome(attempt, None, channel.deliver(notice, patience.seconds))
        except Undelivered as error:
            if error.doubtful and not channel.knows_repeats:
                return Outcome(attempt, "in_doubt", f"{error.why}: {error.detail}")
            if not error.again or attempt >= patience.attempts:
                return Outcome(attempt, error.why, error.detail)
            if wait(max(error.after, pause(attempt))):
                return None
