"""The rows, commands and timers of a run that matter, one by one and cut by cut."""

import heapq
from bisect import bisect_left
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from streams.rules import fleetwide
from streams.rules.active import Active, fields_of
from streams.rules.cells import Cell, Row, Step, elapsed, fell_silent, turned
from streams.rules.clock import Timer
from streams.rules.intake import Intake
from streams.rules.ports import Moment, Place, Signal
from streams.rules.run import Entry, Run
from streams.rules.state import State


class Player:
    """Plays one run on a state."""

    def __init__(self, state: State, run: Run) -> None:
        self._state, self._run = state, run
        self._clocks = [cut.at for cut in run.cuts]

    def play(self) -> None:
        """In each cut first what its slices hold, then its timers. Cuts in which nothing happens are stepped over."""
        run, cut = self._run, 0
        while cut < len(run.cuts):
            while run.next_cut() == cut:
                self._entry(cut, heapq.heappop(run.entries))
            self._fire(cut)
            due = [when for when in (self._state.timers.next(), self._state.lifecycle.due()) if when is not None]
            following = [bisect_left(self._clocks, min(due))] if due else []
            following += [] if (entry := run.next_cut()) is None else [entry]
            cut = max(cut + 1, min(following, default=len(run.cuts)))

    def say(self, cut: int, active: Active, key: str, steps: Sequence[Step], row: tuple[Intake, int] | None) -> None:
        """Tell the lifecycle what came of a rule's condition on a key."""
        fields = self._fields(cut, active, key, row) if steps else {}
        for step in steps:
            signal = Signal(
                step.kind,
                step.reason,
                active.slot.rule_id,
                key,
                active.group(key, fields),
                step.first,
                step.cause,
                step.value,
                Moment(step.at, self._clocks[cut]),
                fields,
            )
            events = self._state.lifecycle.signal(signal, active.evaluator, active.slot.mode)
            self._run.alerts[cut].extend(events)

    def _fields(self, cut: int, active: Active, key: str, row: tuple[Intake, int] | None) -> dict[str, Any]:
        if row is not None:
            return fields_of(*row)
        if active.aggregation is not None:
            return {}
        facts = self._state.fleet.of(key)
        known = {f"device.labels.{name}": value for name, value in facts.labels.items()}
        if active.evaluator.terms and (held := self._state.certificates.at(key, cut)) is not None:
            known |= held.fields
        return {"_key": key, **known, **{f"device.{n}": v for n, v in (("model", facts.model), ("state", facts.state)) if v}}

    def say_of_time(self, cut: int, active: Active, key: str, steps: Sequence[Step]) -> None:
        """As `say`, of what no row has led to."""
        self.say(cut, active, key, steps, None)

    def expect(self, active: Active, key: str, cut: int, least: int = 0) -> None:
        """The key's next row (behind a cut, and none before the row `least`) counts whatever it says."""
        active.waiting.add(key)
        verdict, intake = self._run.verdicts.get(active.slot), self._run.intakes.get(active.evaluator.input)
        if verdict is None or intake is None or key not in intake.present:
            return
        row = active.next_row(verdict, intake, key, cut, least)
        if row is not None:
            self._run.put("row", active, intake, row)

    def _entry(self, cut: int, entry: Entry) -> None:
        if entry.kind == "partial":
            fleetwide.hear(self._state, self._run, cut, entry.what)
            return
        if entry.active is None:
            place, key, command = entry.what
            moment = Moment(command.issued_at, self._clocks[cut])
            self._run.alerts[cut].extend(self._state.lifecycle.command(key, command, place, moment))
            return
        active, row = entry.active, entry.row
        if entry.kind == "count":
            fleetwide.take(self._state, self._run, cut, active, entry.what)
            return
        intake = self._run.intakes[active.evaluator.input]
        assert intake.seen is not None
        key = intake.subjects.names[int(intake.seen.keys[row])]
        if entry.kind == "term":
            held = self._state.certificates.at(key, cut)
            if held is not None and held.place == intake.place(row):
                self._state.time(active, key, held.end, int(intake.seen.at[row]))
        elif entry.kind == "gap":
            due = int(intake.seen.before[row]) + active.timing.silent_after
            self._silent(cut, active, key, due, intake.before(row))
            self.expect(active, key, cut - 1, row)
        else:
            self._row(cut, active, intake, row, key)

    def _row(self, cut: int, active: Active, intake: Intake, row: int, key: str) -> None:
        assert intake.seen is not None
        active.waiting.discard(key)
        verdict = self._run.verdicts[active.slot]
        value, at, received = float(verdict.values[row]), int(intake.seen.at[row]), int(intake.seen.received[row])
        said = Row(int(verdict.codes[row]), at, received, intake.place(row), None if np.isnan(value) else value)
        before = active.cells.get(key)
        cell, steps = turned(before, active.timing, said)
        _keep(active, key, cell)
        if cell is not None and cell is not before:
            self._time(active, key, cell, received)
        self.say(cut, active, key, steps, (intake, row))

    def _time(self, active: Active, key: str, cell: Cell, received: int) -> None:
        """The timers of a cell that is new."""
        name = str(active.slot)
        if cell.phase == "pending":
            self._state.timers.put(Timer(cell.clock, "hold", name, key))
        elif cell.phase == "keeping":
            self._state.timers.put(Timer(cell.clock, "keep", name, key))
        if active.timing.horizon:
            self._state.timers.put(Timer(received + active.timing.horizon, "idle", name, key))

    # --- timers -------------------------------------------------------------------------------------------------------

    def _fire(self, cut: int) -> None:
        """The rules' timers, then the lifecycle's, each in the order of their times."""
        clock, lifecycle = self._clocks[cut], self._state.lifecycle
        for timer in self._state.timers.take(clock):
            active = self._state.active_of(timer.rule_id)
            if timer.kind == "bucket":
                fleetwide.due(self._state, self._run, cut, timer, partial(self.say_of_time, cut))
            elif active is not None and timer.kind in ("hold", "keep"):
                self._over(cut, active, timer)
            elif active is not None and timer.kind == "term":
                self._nearer(cut, active, timer)
            elif active is not None:
                self._unheard(cut, active, timer)
        while (due := lifecycle.due()) is not None and due <= clock:
            self._run.alerts[cut].extend(lifecycle.tick(Moment(due, clock)))

    def _over(self, cut: int, active: Active, timer: Timer) -> None:
        """The time of a phase is over, if the key is still in it."""
        cell, phase = active.cells.get(timer.key), "pending" if timer.kind == "hold" else "keeping"
        if cell is not None and cell.phase == phase and cell.clock == timer.due:
            after, steps = elapsed(cell, active.timing)
            _keep(active, timer.key, after)
            self.say(cut, active, timer.key, steps, None)

    def _unheard(self, cut: int, active: Active, timer: Timer) -> None:
        """Nothing may have come of a key for as long as its silence or its windows last."""
        silence, cell = timer.kind == "silence", active.cells.get(timer.key)
        heard, last = self._heard(cut, active, timer.key)
        due = heard + (active.timing.silent_after if silence else active.timing.horizon)
        if due > timer.due:
            if silence or cell is not None:
                self._state.timers.put(Timer(due, timer.kind, timer.rule_id, timer.key))
        elif silence:
            active.watched.discard(timer.key)
            if self._about(active, timer.key):
                self._silent(cut, active, timer.key, timer.due, last)
                self.expect(active, timer.key, cut)
        elif cell is not None and not cell.silent:
            self._emptied(cut, active, timer.key, timer.due, last)

    def _about(self, active: Active, key: str) -> bool:
        facts = self._state.fleet.of(key)
        return active.evaluator.about(key, facts.model, facts.labels)

    def _heard(self, cut: int, active: Active, key: str) -> tuple[int, Place | None]:
        """When a key had been heard of last after a cut, and by which record."""
        name = active.evaluator.input
        intake = self._run.intakes.get(name)
        subjects = self._state.subjects(name)
        number = subjects.numbers[key]
        if intake is not None and key in intake.present:
            return intake.heard(number, cut)
        return subjects.heard(number), Intake.last(name, subjects, number)

    def _silent(self, cut: int, active: Active, key: str, at: int, last: Place | None) -> None:
        cell, steps = fell_silent(active.cells.get(key), active.timing, at, last)
        _keep(active, key, cell)
        self.say(cut, active, key, steps, None)

    def _emptied(self, cut: int, active: Active, key: str, at: int, last: Place | None) -> None:
        """Nothing came of a key for long, and its windows may hold nothing any more: its rule is asked about that."""
        raised, cleared = active.idle(self._run.intakes.get(active.evaluator.input), key, cut, at)
        if raised is not None and cleared is not None and last is not None:
            self._found(cut, active, key, (raised, cleared), at, last)

    def _nearer(self, cut: int, active: Active, timer: Timer) -> None:
        """A certificate's end has come as near as a rule asks, if the device still has that one."""
        held, terms = self._state.certificates.at(timer.key, cut), active.evaluator.terms
        if held is None or held.end - timer.due + 1 not in terms or active.broken or not self._about(active, timer.key):
            return
        known = self._fields(cut, active, timer.key, None)
        raised, cleared = active.evaluator.again(timer.key, timer.due, known)
        if raised is not None and cleared is not None:
            self._found(cut, active, timer.key, (raised, cleared), timer.due, held.place)

    def _found(self, cut: int, active: Active, key: str, says: tuple[bool, bool], at: int, last: Place) -> None:
        """A rule was asked about a key though no record has come: whether it is raised, and cleared."""
        raised, cleared = says
        said = Row(1 if raised else -1 if cleared else 0, at, at, last, None)
        before = active.cells.get(key)
        cell, steps = turned(before, active.timing, said)
        _keep(active, key, cell)
        if cell is not None and cell is not before:
            self._time(active, key, cell, at)
        self.say(cut, active, key, [step._replace(cause=None) for step in steps], None)
        self.expect(active, key, cut)


def _keep(active: Active, key: str, cell: Cell | None) -> None:
    if cell is None:
        active.cells.pop(key, None)
    else:
        active.cells[key] = cell
