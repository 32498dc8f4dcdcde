"""Runs the notifier: alert events in, plans and outcomes out, in transactions with the position; then sends. No Faust.

A plan is committed before it is sent, and what became of it after. One that has no outcome when a process takes over is in
doubt: see docs/decisions/0025.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from uuid import UUID, uuid5

import msgspec

from connectors.notify.configuration import Channels
from connectors.notify.sending import Outcome
from connectors.ports import Away, LogReader
from connectors.transactions import Outgoing, Transactions
from schemas.alert_messages import ALERTS
from schemas.log import TopicPartition
from schemas.messages import Event, Messages
from schemas.notification_messages import (
    NOTIFICATIONS_TOPIC,
    Notification,
    NotificationFailed,
    NotificationPlanned,
    NotificationSent,
)
from schemas.rule_messages import RULE_EVENTS
from streams.notify.book import Book, Planning, Policy
from streams.notify.content import content_of
from streams.notify.inhibiting import Inhibitions, RuleReader
from streams.notify.sender import Sender
from streams.restoring import PAUSE_SECONDS, WAIT_SECONDS, Committed, LostEvents

log = logging.getLogger(__name__)

NOTIFICATIONS = TopicPartition(NOTIFICATIONS_TOPIC, 0)
SAVE_MICROS = 30_000_000  # a position that has moved is committed after this long, though nothing is to be told
_encode = msgspec.json.Encoder(order="deterministic").encode
Told = Callable[[str, str], None]
"""Is told of each outcome: the channel, and sent or why not."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The log, as a notifier has it. `codecs`: of fleet.alerts, of what is written, and of rules; `end_of`: see Restorer."""

    reader: LogReader
    codecs: Mapping[str, Messages]
    transactions: Transactions
    end_of: Callable[[TopicPartition], int]


class Notifier:
    """`start`, then `step` again and again; from one thread at a time each. `clock`: microseconds since 1970."""

    def __init__(
        self,
        journal: Journal,
        channels: Callable[[], Channels],
        sender: Sender,
        actor: str,
        clock: Callable[[], int],
        told: Told,
    ) -> None:
        self._reader, self._codecs = journal.reader, journal.codecs
        self._transactions, self._end_of = journal.transactions, journal.end_of
        self._channels, self._sender, self._actor, self._clock, self._told = channels, sender, actor, clock, told
        self._rules = RuleReader(journal.reader, journal.codecs[RULE_EVENTS])
        self._lock = Lock()
        self._book = Book(Policy())
        self._ends: dict[TopicPartition, int] = {}
        self._saved: dict[TopicPartition, int] = {}
        self._saved_at = 0
        self._doubtful: list[NotificationPlanned] = []
        self._settled: list[tuple[NotificationPlanned, Outcome]] = []
        self._unsent: dict[str, NotificationPlanned] = {}
        """Plans that this process wrote, or tried to, and has not begun to send: they are in no doubt."""

    def start(self, committed: Committed) -> int:
        """Read where all stands; returns the end of fleet.notifications. `committed` gives the group's offsets.

        Raises:
            Away: something does not answer, or a transaction is open; try again.
            LostEvents: a record can't be read.
        """
        with self._lock:
            self._transactions.open()
            end = self._decided()
            bounds = self._reader.bounds([ALERTS])
            given = committed(bounds)
            known = any(offset is not None for offset in given.values())
            starts = {}
            for source, (first, last) in bounds.items():
                # What was there before there was a notifier is old news.
                starts[source] = max(given.get(source) or first, first) if known else last
            self._restore(bounds, starts, end)
            self._saved, self._saved_at = dict(starts) if known else {}, 0
            return end

    def step(self, member: Any, planning: bool = True) -> int:
        """Once: take in what has come, write what is due and what has become of the last, send. Returns how many records
        were written. Without `planning` only outcomes are written.

        Raises:
            Away: the same call again is right. Disowned: `start` again.
        """
        with self._lock:
            now = self._clock()
            if planning:
                self._book.policy = self._policy()
                self._read(now)
                self._look_into_doubts()
            self._settled += self._sender.outcomes()
            outcomes = [self._outcome(planned, outcome, now) for planned, outcome in self._settled]
            due = self._book.plan(now, self._sender.busy()) if planning else []
            plans = [(one, self._planned(one, now)) for one in due]
            positions = {source: self._book.position(source, end) for source, end in self._ends.items()}
            moved = positions != self._saved and (not self._saved or now - self._saved_at > SAVE_MICROS)
            if not (outcomes or plans or moved):
                return 0
            self._unsent |= {planned.notification_id: planned for _, planned in plans}
            records = [self._outgoing(record) for record in (*outcomes, *(planned for _, planned in plans))]
            self._transactions.write(records, positions, member)
            self._saved, self._saved_at = positions, now
            self._committed(plans, now)
            return len(records)

    def position(self, source: TopicPartition) -> int:
        """Behind what was read of fleet.alerts."""
        return self._ends.get(source, 0)

    def stop(self, seconds: float) -> None:
        """Begin no try any more."""
        self._sender.stop(seconds)

    # --- where it stands

    def _policy(self) -> Policy:
        return policy_of(self._channels(), self._rules.known())

    def _decided(self) -> int:
        """The end of fleet.notifications, once every transaction that has begun in it by now has ended."""
        end = self._end_of(NOTIFICATIONS)
        until = time.monotonic() + WAIT_SECONDS
        while True:
            readable = self._reader.bounds([NOTIFICATIONS_TOPIC])[NOTIFICATIONS][1]
            if readable >= end:
                return readable
            if time.monotonic() > until:
                raise Away(f"a transaction is open in {NOTIFICATIONS}, at or behind offset {readable}")
            time.sleep(PAUSE_SECONDS)

    def _restore(
        self, bounds: Mapping[TopicPartition, tuple[int, int]], starts: Mapping[TopicPartition, int], end: int
    ) -> None:
        book, now = Book(self._policy()), self._clock()
        ahead = []
        for source, (first, last) in bounds.items():
            for offset, event in self._events(source, first, starts[source]):
                book.fold(source, offset, event, None)
            ahead += [(source, offset, event) for offset, event in self._events(source, starts[source], last)]
        wanted = book.concerned() | {getattr(event, "alert_id", "") for _, _, event in ahead}
        plans: dict[str, NotificationPlanned] = {}
        for _, event in self._events(NOTIFICATIONS, self._reader.bounds([NOTIFICATIONS_TOPIC])[NOTIFICATIONS][0], end):
            if isinstance(event, NotificationPlanned):
                book.learn(event, wanted)
                plans[event.notification_id] = event
            elif isinstance(event, Notification):
                plans.pop(event.notification_id, None)
        for source, offset, event in ahead:
            book.fold(source, offset, event, now)
        self._book, self._ends = book, {source: last for source, (_, last) in bounds.items()}
        # What this process knows and could not record, if nobody did since.
        known = [*self._settled, *self._sender.outcomes()]
        self._settled = [one for one in known if plans.pop(one[0].notification_id, None) is not None]
        self._doubtful = list(plans.values())

    def _events(self, source: TopicPartition, start: int, stop: int) -> Iterable[tuple[int, Event]]:
        for batch in self._reader.read(source, start, stop):
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                try:
                    message = self._codecs[source.topic].decode(value)
                except ValueError as error:
                    raise LostEvents(f"{source} at offset {offset}: {error}") from None
                if isinstance(message, Event):
                    yield offset, message

    def _read(self, now: int) -> None:
        for source, (first, last) in self._reader.bounds([ALERTS]).items():
            behind = self._ends.get(source, first)
            if last > behind:
                for offset, event in self._events(source, behind, last):
                    self._book.fold(source, offset, event, now)
                self._ends[source] = last

    # --- what becomes of plans

    def _look_into_doubts(self) -> None:
        """Plans without an outcome, of which it is not known whether they were sent."""
        named, left = self._channels().named, []
        for planned in self._doubtful:
            known = named.get(planned.channel)
            if self._sender.sending(planned.notification_id):
                continue
            unsent = planned.notification_id in self._unsent
            if known is None:
                self._settled.append((planned, Outcome(0, "not_configured", "the channel file names no such channel")))
            elif not (unsent or known.channel.knows_repeats):
                why = "it was being sent when its process ended, and this channel can't tell a repeat"
                self._settled.append((planned, Outcome(0, "in_doubt", why)))
            elif planned.channel in self._sender.busy():
                left.append(planned)
            else:
                self._submit(planned)
        self._doubtful = left

    def _submit(self, planned: NotificationPlanned) -> None:
        self._unsent.pop(planned.notification_id, None)
        self._sender.submit(planned)

    def _committed(self, plans: Iterable[tuple[Planning, NotificationPlanned]], now: int) -> None:
        for planned, outcome in self._settled:
            self._unsent.pop(planned.notification_id, None)
            self._told(planned.channel, outcome.why or "sent")
            if outcome.why:
                what = planned.channel, planned.notification_id, outcome.why, outcome.detail
                log.error("channel %s: notification %s: %s: %s", *what)
        self._settled = []
        for planning, planned in plans:
            self._book.planned(planning, now)
            self._submit(planned)

    def _planned(self, planning: Planning, now: int) -> NotificationPlanned:
        known = self._channels().named.get(planning.group.channel)
        content = content_of([one.alert for one in planning.transitions], planning.group.key, now)
        return NotificationPlanned(
            **self._headers(planning.identity, "planned", now),
            channel=planning.group.channel,
            kind="none" if known is None else known.channel.kind,
            group_key=planning.group.key,
            reason=content["reason"],
            level=max(alert["level"] for alert in content["alerts"]),
            transitions=[one.transition for one in planning.transitions],
            alert_ids=[one.alert["alert_id"] for one in planning.transitions],
            content=_encode(content).decode(),
        )

    def _outcome(self, planned: NotificationPlanned, outcome: Outcome, now: int) -> Notification:
        headers = self._headers(planned.notification_id, "ended", now)
        if outcome.why is None:
            return NotificationSent(**headers, channel=planned.channel, attempts=outcome.attempts, detail=outcome.detail)
        return NotificationFailed(
            **headers, channel=planned.channel, attempts=outcome.attempts, reason=outcome.why, detail=outcome.detail
        )

    def _headers(self, identity: str, what: str, now: int) -> dict[str, Any]:
        return {
            "event_id": str(uuid5(UUID(identity), what)),
            "command_id": identity,
            "correlation_id": identity,
            "actor": self._actor,
            "occurred_at": now,
            "received_at": now,
            "notification_id": identity,
        }

    def _outgoing(self, record: Notification) -> Outgoing:
        return Outgoing(NOTIFICATIONS_TOPIC, 0, record.channel.encode(), self._codecs[NOTIFICATIONS_TOPIC].encode(record))


def policy_of(channels: Channels, inhibited_by: Inhibitions) -> Policy:
    silent = frozenset(name for name, one in channels.named.items() if not one.channel.tells_resolved)
    waits = channels.group_wait, channels.group_interval
    return Policy(channels.default, *waits, channels.inhibit, silent, inhibited_by)
