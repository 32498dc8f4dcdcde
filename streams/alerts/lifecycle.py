"""The alerts of one partition: what the engine tells it, and the events that follow (`streams.rules.ports.Lifecycle`). Pure:
no clock, no randomness, no I/O; the times are those that it is told.

Timers are not kept: when a track is due follows from its state (`turning.next_due`), and a heap finds the next one.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from schemas.alert_messages import AlertCommand, AlertCommandRepeated, AlertEvent, ResolutionReason
from schemas.messages import Command, Event
from schemas.rule_messages import RuleApplied, RuleDisabled, RuleMode, RuleSuspended, SilenceCreated, SilenceEnded
from schemas.rules.document import Rule
from streams.alerts.asked import Refused, asked, refusal
from streams.alerts.remembered import Newest
from streams.alerts.state import Annotate, Circumstances, InForce, Silence, Track
from streams.alerts.turning import Turned, elapsed, next_due, resolved, signalled, silence_begins, silence_ends
from streams.identities import repeat_headers
from streams.rules.ports import Evaluator, Moment, Place, Signal

REMEMBERED = 10_000  # newest commands that are known when they come again, and newest alerts known to be resolved

Keyed = Sequence[tuple[str, Event]]
Turn = Callable[[Track, Circumstances], Turned]


class Key(NamedTuple):
    """Of a track."""

    rule_id: str
    mode: RuleMode
    home: str
    group: str


class _Kept(msgspec.Struct, array_like=True):
    rules: list[RuleApplied]
    silences: list[Silence]
    counting: list[str]
    tracks: list[Track]
    answers: dict[str, str]
    times: dict[str, int]
    resolved: dict[str, None]


class AlertLifecycle:
    """See the port. `annotate` fills in a rule's annotations."""

    def __init__(self, annotate: Annotate) -> None:
        self._annotate = annotate
        self._applied: dict[tuple[str, RuleMode], RuleApplied] = {}
        self._rules: dict[tuple[str, RuleMode], InForce] = {}
        self._silences: dict[str, Silence] = {}  # that count now, or will
        self._counting: set[str] = set()
        self._tracks: dict[Key, Track] = {}
        self._open: dict[str, Key] = {}  # by the alert's id
        self._begun: dict[tuple[str, str, str, Place | None], Key] = {}  # the same by rule, mode, home and first record
        self._dues: dict[Key, int] = {}
        self._heap: list[tuple[int, Key]] = []  # those of _dues, and some that are not so any more
        self._answers = Newest[str](REMEMBERED)
        self._times = Newest[int](REMEMBERED)
        self._resolved = Newest[None](REMEMBERED)

    @property
    def tracks(self) -> Mapping[Key, Track]:
        return self._tracks

    # --- what it is told ----------------------------------------------------------------------------------------------

    def signal(self, signal: Signal, evaluator: Evaluator, mode: Literal["live", "shadow"]) -> Keyed:
        rule = self._rules.get((signal.rule_id, mode))
        if rule is None:
            raise LookupError(f"rule {signal.rule_id} signals, and is not in force {mode}")
        key = self._addressed(signal, mode)
        track = self._tracks.get(key) or Track(*key)
        about = Circumstances(rule.rule, self._now_counting(), signal.moment)
        return self._keep(key, signalled(track, about, signal, rule.version, self._annotate))

    def _addressed(self, signal: Signal, mode: RuleMode) -> Key:
        """The track of a signal. What ends may have another group than what began: labels of devices change."""
        key = Key(signal.rule_id, mode, signal.home, signal.group)
        track = self._tracks.get(key)
        if track is not None and track.incident is not None:
            return key
        return self._begun.get((*key[:3], signal.first), key)

    def command(self, key: str, command: Command, place: Place, moment: Moment) -> Keyed:
        if not isinstance(command, AlertCommand):
            raise TypeError(f"{type(command).__name__} is no command of alerts")
        if (answer := self._answers.get(command.command_id)) is not None:
            return [(key, self._again(command, answer))]
        try:
            events = self._asked(key, command, moment)
        except Refused as refused:
            events = [(key, refusal(command, refused))]
        self._answers.put(command.command_id, events[-1][1].event_id)
        return events

    def _again(self, command: AlertCommand, answer: str) -> AlertCommandRepeated:
        times = self._times.get(command.command_id) or 0
        self._times.put(command.command_id, times + 1)
        ids = {"alert_id": command.alert_id, "home_key": command.home_key}
        return AlertCommandRepeated(**repeat_headers(command, times), **ids, answer_event_id=answer)

    def _asked(self, home: str, command: AlertCommand, moment: Moment) -> Keyed:
        where = self._open.get(command.alert_id)
        if where is None or where.home != home or command.home_key != home:
            if command.alert_id in self._resolved.values:
                raise Refused("ALERT_RESOLVED", f"alert_id: {command.alert_id} is resolved")
            raise Refused("ALERT_UNKNOWN", f"alert_id: there is no open alert {command.alert_id} of {home}")
        about = Circumstances(self._rules[where[:2]].rule, self._now_counting(), moment)
        return self._keep(where, asked(self._tracks[where], about, command))

    def rule(self, event: Event, moment: Moment) -> Keyed:
        if isinstance(event, RuleApplied):
            found = self._end(event.rule_id, event.mode, "rule_changed", moment)
            rule = msgspec.json.decode(event.document, type=Rule)
            self._rules[event.rule_id, event.mode] = InForce(rule, event.version)
            self._applied[event.rule_id, event.mode] = event
            for key in [key for key in self._tracks if key[:2] == (event.rule_id, event.mode)]:
                self._time(key)
            return found
        if isinstance(event, RuleDisabled | RuleSuspended):
            reason: ResolutionReason = "rule_disabled" if isinstance(event, RuleDisabled) else "rule_suspended"
            found = self._end(event.rule_id, event.mode, reason, moment)
            self._forget(event.rule_id, event.mode)
            return found
        if isinstance(event, SilenceCreated):
            ended = self._unsilence(event.silence_id, None, moment)
            made = Silence(event.silence_id, event.matchers, event.starts_at, event.ends_at, event.comment)
            if made.ends_at > moment.clock:
                self._silences[event.silence_id] = made
            return [*ended, *self._silence(event.silence_id, moment)]
        if isinstance(event, SilenceEnded):
            return self._unsilence(event.silence_id, event.comment, moment)
        return []

    def _end(self, rule_id: str, mode: RuleMode, reason: ResolutionReason, moment: Moment) -> Keyed:
        """Open alerts of a rule are over. The engine has told of most by signals."""
        rule, found = self._rules.get((rule_id, mode)), list[tuple[str, Event]]()
        for key in sorted(key for key, track in self._tracks.items() if key[:2] == (rule_id, mode) and track.incident):
            assert rule is not None
            about = Circumstances(rule.rule, self._now_counting(), moment)
            found.extend(self._keep(key, resolved(self._tracks[key], about, reason)))
        return found

    def _forget(self, rule_id: str, mode: RuleMode) -> None:
        self._rules.pop((rule_id, mode), None)
        self._applied.pop((rule_id, mode), None)
        for key in [key for key in self._tracks if key[:2] == (rule_id, mode)]:
            del self._tracks[key]
            self._dues.pop(key, None)

    # --- silences -----------------------------------------------------------------------------------------------------

    def _now_counting(self) -> dict[str, Silence]:
        return {name: self._silences[name] for name in self._counting}

    def _silence(self, name: str, moment: Moment) -> Keyed:
        silence = self._silences.get(name)
        if silence is None or not silence.counts(moment.clock):
            return []
        self._counting.add(name)
        return self._all_open(lambda track, about: silence_begins(track, about, name), moment)

    def _unsilence(self, name: str, comment: str | None, moment: Moment) -> Keyed:
        self._silences.pop(name, None)
        if name not in self._counting:
            return []
        self._counting.discard(name)
        return self._all_open(lambda track, about: silence_ends(track, about, name, comment), moment)

    def _all_open(self, turn: Turn, moment: Moment) -> Keyed:
        found: list[tuple[str, Event]] = []
        for key in sorted(self._open.values()):
            about = Circumstances(self._rules[key[:2]].rule, self._now_counting(), moment)
            found.extend(self._keep(key, turn(self._tracks[key], about)))
        return found

    # --- time ---------------------------------------------------------------------------------------------------------

    def due(self) -> int | None:
        while self._heap and self._dues.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        times = [self._heap[0][0]] if self._heap else []
        for name, silence in self._silences.items():
            times.append(silence.ends_at if name in self._counting else silence.starts_at)
        return min(times, default=None)

    def tick(self, moment: Moment) -> Keyed:
        """All that is due at `moment.at`, which is not behind the clock: silences first, then alerts. What happens happens
        at the time at which it was due."""
        at = Moment(moment.at, moment.at)
        found: list[tuple[str, Event]] = []
        for name in sorted(self._silences):
            silence = self._silences[name]
            if silence.ends_at <= moment.at:
                found.extend(self._unsilence(name, None, at))
            elif silence.starts_at <= moment.at and name not in self._counting:
                found.extend(self._silence(name, at))
        while (due := self.due()) is not None and due <= moment.at:
            _, key = self._heap[0]
            about = Circumstances(self._rules[key[:2]].rule, self._now_counting(), at)
            found.extend(self._keep(key, elapsed(self._tracks[key], about)))
        return found

    # --- what it keeps ------------------------------------------------------------------------------------------------

    def _keep(self, key: Key, turned: Turned) -> Keyed:
        before, (track, events) = self._tracks.get(key), turned
        if before is not None and before.incident is not None:
            self._open.pop(before.incident.alert_id, None)
            self._begun.pop((*key[:3], before.incident.first), None)
        self._index(key, track)
        for event in events:
            if isinstance(event, AlertEvent) and track.incident is None:
                self._resolved.put(event.alert_id, None)
        self._tracks[key] = track
        self._time(key)
        return [(key.home, event) for event in events]

    def _index(self, key: Key, track: Track) -> None:
        if track.incident is not None:
            self._open[track.incident.alert_id] = key
            self._begun[(*key[:3], track.incident.first)] = key

    def _time(self, key: Key) -> None:
        """When a track is due next; one that neither is open nor waits for anything is forgotten."""
        track = self._tracks[key]
        due = next_due(track, self._rules[key[:2]].rule)
        if due is None:
            self._dues.pop(key, None)
            if track.incident is None:
                del self._tracks[key]
        elif self._dues.get(key) != due:
            self._dues[key] = due
            heapq.heappush(self._heap, (due, key))

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(
            _Kept(
                [event for _, event in sorted(self._applied.items())],
                [silence for _, silence in sorted(self._silences.items())],
                sorted(self._counting),
                [track for _, track in sorted(self._tracks.items())],
                self._answers.values,
                self._times.values,
                self._resolved.values,
            )
        )

    def restore(self, data: bytes) -> None:
        """
        Raises:
            msgspec.DecodeError: it is no snapshot of this version.
        """
        kept = msgspec.msgpack.decode(data, type=_Kept)
        for part in (self._rules, self._tracks, self._open, self._begun, self._dues):
            part.clear()
        self._heap.clear()
        self._applied = {(event.rule_id, event.mode): event for event in kept.rules}
        for at, event in self._applied.items():
            self._rules[at] = InForce(msgspec.json.decode(event.document, type=Rule), event.version)
        self._silences = {silence.silence_id: silence for silence in kept.silences}
        self._counting = set(kept.counting)
        self._answers, self._times = Newest(REMEMBERED, kept.answers), Newest(REMEMBERED, kept.times)
        self._resolved = Newest(REMEMBERED, kept.resolved)
        for track in kept.tracks:
            key = Key(track.rule_id, track.mode, track.home, track.group)
            self._tracks[key] = track
            self._index(key, track)
            self._time(key)
