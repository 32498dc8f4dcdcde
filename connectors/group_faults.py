"""What can go wrong for a member of a consumer group that waiting does not help with."""

import logging
import time
from collections import deque
from threading import Thread

from confluent_kafka import Consumer

log = logging.getLogger(__name__)

MOST_FENCES = 5
FENCES_SECONDS = 60.0
CLOSE_SECONDS = 5.0


class Fenced(Exception):
    """The group knows another member of this name, and the client is of no use any more: a broker that came back without
    what it heard last, or a second process of the same name. Joining anew is the cure of the first; the second shows by
    MOST_FENCES of them within FENCES_SECONDS."""


class Fences:
    """The newest times at which a member was fenced."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=MOST_FENCES)

    def too_many(self, fault: Exception) -> bool:
        """Note a fault; whether it is one fence too many. Other faults don't count."""
        if isinstance(fault, Fenced):
            self._times.append(time.monotonic())
        return len(self._times) == MOST_FENCES and self._times[-1] - self._times[0] < FENCES_SECONDS


class LostPosition(Exception):
    """The log no longer holds (or does not yet hold) the record at the view's position, or gave out earlier ones again."""


class LeftOut(Exception):
    """The group has not let this member in for long. A client whose coordinator froze in the middle of a handshake may never
    find it again, although the broker answers others (librdkafka issues 3082, 3396): only a new client does."""


class Admission:
    """Since when a member waits for the group to say what is assigned to it; that may be nothing, but is said."""

    def __init__(self, seconds: float) -> None:
        """After so many `seconds` it is left out. A group that waits for a slow member takes a while, too, but then a new
        client of the same name only takes the old one's place."""
        self._seconds = seconds
        self._since: float | None = time.monotonic()

    def wanted(self) -> None:
        """Nothing is assigned any more, or the client is new."""
        self._since = time.monotonic()

    def granted(self) -> None:
        self._since = None

    def check(self) -> None:
        """
        Raises:
            LeftOut: it was not let in for too long.
        """
        if self._since is not None and (waited := time.monotonic() - self._since) > self._seconds:
            raise LeftOut(f"nothing was assigned for {waited:.0f} s")


def close(consumer: Consumer) -> None:
    """Close a client, or give it up: one that has lost its coordinator waits for answers that don't come, for minutes. A
    static member does not leave its group by closing, so nobody misses what is not said."""
    closing = Thread(target=consumer.close, name="closing", daemon=True)
    closing.start()
    closing.join(CLOSE_SECONDS)
    if closing.is_alive():
        log.warning("a client that does not close within %g s is given up", CLOSE_SECONDS)
