"""Sends what was planned: each channel by itself, so that one that hangs holds up no other. What holds no Sender sends
nothing: rebuilds, verifications and back-tests have none."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Protocol

import msgspec

from connectors.notify.channel import LONGEST_DETAIL, Notice
from connectors.notify.configuration import Channels
from connectors.notify.sending import Outcome, send
from schemas.notification_messages import NotificationPlanned

log = logging.getLogger(__name__)
MOST_AT_ONCE = 64  # channels


class Sender(Protocol):
    """The capability to tell somebody."""

    def busy(self) -> set[str]:
        """The channels on which something is being sent."""

    def sending(self, notification_id: str) -> bool:
        """Whether this one is being sent, or its outcome was not asked for yet."""

    def submit(self, planned: NotificationPlanned) -> None:
        """Begin to send. One at a time on a channel."""

    def outcomes(self) -> list[tuple[NotificationPlanned, Outcome]]:
        """What has ended since the last call."""

    def stop(self, seconds: float) -> None:
        """Begin no try any more, and wait for those that are under way."""


class ThreadSender:
    """A Sender with a thread for each channel that is busy."""

    def __init__(self, channels: Callable[[], Channels]) -> None:
        self._channels = channels
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, "notify")
        self._running: dict[str, tuple[NotificationPlanned, Future[Outcome | None]]] = {}
        self._stop = threading.Event()

    def busy(self) -> set[str]:
        return set(self._running)

    def sending(self, notification_id: str) -> bool:
        return any(planned.notification_id == notification_id for planned, _ in self._running.values())

    def submit(self, planned: NotificationPlanned) -> None:
        self._running[planned.channel] = (planned, self._pool.submit(self._send, planned))

    def outcomes(self) -> list[tuple[NotificationPlanned, Outcome]]:
        found = []
        for channel, (planned, future) in list(self._running.items()):
            if future.done():
                del self._running[channel]
                outcome = self._outcome(planned, future)
                if outcome is not None:
                    found.append((planned, outcome))
        return found

    def stop(self, seconds: float) -> None:
        self._stop.set()
        wait([future for _, future in self._running.values()], seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _send(self, planned: NotificationPlanned) -> Outcome | None:
        known = self._channels().named.get(planned.channel)
        if known is None:
            return Outcome(0, "not_configured", "the channel file names no such channel")
        notice = Notice(planned.notification_id, msgspec.json.decode(planned.content))
        return send(known.channel, notice, known.patience, self._stop.wait)

    def _outcome(self, planned: NotificationPlanned, future: Future[Outcome | None]) -> Outcome | None:
        if future.cancelled():
            return None
        error = future.exception()
        if error is None:
            return future.result()
        log.error("channel %s failed", planned.channel, exc_info=error)  # a bug: nobody knows how far it came
        return Outcome(1, "in_doubt", f"{type(error).__name__}: {error}"[:LONGEST_DETAIL])
