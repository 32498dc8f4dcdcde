"""What no honest device or user does, as events on the topic fleet.security-events.

Telling never fails and never waits. Who knocks a thousand times is told of at most once a minute for each kind: the first
time at once, the others as a count, so that the log can't be flooded from outside.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from connectors.ingress.identifiers import EventIds
from connectors.ingress.options import Producer
from connectors.ports import Away, Busy
from schemas.codec import Encoder
from schemas.contract import Topic
from schemas.wire import prefix

log = logging.getLogger(__name__)

TOPIC = "fleet.security-events"
Kind = Literal[
    "other",
    "bad_signature",
    "replayed_request",
    "stale_request",
    "unknown_certificate",
    "revoked_certificate",
    "expired_certificate",
    "wrong_device",
    "bad_token",
    "pin_locked",
    "bad_csr",
    "rate_limited",
]
QUIET_SECONDS = 60.0  # between two events of one subject and kind
MOST_SUBJECTS = 10_000  # that are told apart within that time; others are told of together
TOGETHER = "others"
LONGEST_SUBJECT, LONGEST_ADDRESS, LONGEST_DETAIL = 160, 64, 900  # characters; a count follows the detail


@dataclass(frozen=True, slots=True)
class Sighting:
    """Something that was seen. `subject`: a device id, hardware id, claim id, principal or network address."""

    kind: Kind
    subject: str
    detail: str
    device_id: str | None = None
    address: str = ""


class Watch(Protocol):
    """Who is told of what was seen."""

    def tell(self, seen: Sighting) -> None:
        """Returns at once, and raises nothing."""


@dataclass(slots=True)
class _Quiet:
    """One subject and kind that was told of not long ago: `more` times it was seen since then, `last` the last time."""

    since: float
    last: Sighting
    more: int = 0


class SecurityEvents:
    """Port Watch, to the log. Before `open`, things seen are counted only. To be used on one event loop."""

    def __init__(self, topic: Topic, producer: Producer, ids: EventIds, clock: Callable[[], float] = time.monotonic) -> None:
        self._producer, self._ids, self._clock = producer, ids, clock
        self._encode = Encoder(topic.record).encode
        self._prefix = b""
        self._quiet: dict[tuple[str, str], _Quiet] = {}  # the oldest first
        self.seen: dict[str, int] = {}
        self.lost = 0
        self._timer: asyncio.TimerHandle | None = None

    def open(self, schema_id: int) -> None:
        """The topic's schema is registered."""
        self._prefix = prefix(schema_id)

    def tell(self, seen: Sighting) -> None:
        self.seen[seen.kind] = self.seen.get(seen.kind, 0) + 1
        now = self._clock()
        self.settle(now)
        key = seen.kind, seen.subject
        if key not in self._quiet and len(self._quiet) >= MOST_SUBJECTS:
            seen = replace(seen, subject=TOGETHER, device_id=None)
            key = seen.kind, TOGETHER
        quiet = self._quiet.get(key)
        if quiet is not None:
            quiet.more, quiet.last = quiet.more + 1, seen
            return
        self._quiet[key] = _Quiet(now, seen)
        self._write(seen, seen.detail)
        if self._timer is None:
            self._later()

    def flush(self) -> None:
        """Tell all counts now: the process ends."""
        for quiet in self._quiet.values():
            self._again(quiet)
        self._quiet.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.settle(self._clock())
        if self._quiet:
            self._later()

    def settle(self, now: float) -> None:
        """Tell how often those were seen again whose quiet time is over."""
        while self._quiet:
            key = next(iter(self._quiet))
            quiet = self._quiet[key]
            if now - quiet.since < QUIET_SECONDS:
                return
            del self._quiet[key]
            if self._again(quiet):
                self._quiet[key] = _Quiet(now, quiet.last)

    def _again(self, quiet: _Quiet) -> bool:
        """Tell that something was seen again, if it was."""
        if not quiet.more:
            return False
        detail = quiet.last.detail[:LONGEST_DETAIL]
        self._write(quiet.last, f"{detail} (seen {quiet.more} times more within {QUIET_SECONDS:.0f} s)")
        return True

    def _write(self, seen: Sighting, detail: str) -> None:
        if not self._prefix:
            self.lost += 1
            return
        now = time.time_ns() // 1000
        subject = seen.subject[:LONGEST_SUBJECT] or "unknown"
        values = {
            "event_id": self._ids.next()[1],
            "subject": subject,
            "device_id": seen.device_id,
            "occurred_at": now,
            "received_at": now,
            "kind": seen.kind,
            "address": seen.address[:LONGEST_ADDRESS] or None,
            "detail": detail[: LONGEST_DETAIL + 100] or "no detail",
        }
        value = self._prefix + self._encode(values)
        try:
            self._producer.send(TOPIC, subject.encode(), value, [], self._sent)
        except (Away, Busy, ValueError) as error:
            self.lost += 1
            log.warning("a security event was not written: %s", error, extra={"context": {"kind": seen.kind}})

    def _sent(self, error: object, message: object) -> None:
        if error is not None:
            self.lost += 1
            log.warning("a security event was not written: %s", error)
