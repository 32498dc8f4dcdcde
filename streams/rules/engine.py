"""The engine of one partition: inputs and cuts in, events out. Pure: what comes out follows from what went in.

A run of cuts is processed in one piece. Rules are evaluated over all its rows at once, in columns; of the rows only those
that turn a rule's verdict on their key are looked at one by one (streams.rules.playing). What comes out of a run is what
would come out of its cuts one by one.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.log import Batch, TopicPartition
from schemas.rule_messages import RuleApplied, RuleDisabled, RuleSuspended
from streams.rules.active import Active, Slot
from streams.rules.cells import Reason, ended
from streams.rules.clock import Timer
from streams.rules.cuts import LOCAL, PACED, RANK, Cut, Layout
from streams.rules.fleetwide import count, partials
from streams.rules.intake import Intake
from streams.rules.playing import Player
from streams.rules.ports import Failed, Moment, Verdicts
from streams.rules.reading import Slices, alert_commands, registrations, rule_events
from streams.rules.rows import TOPICS
from streams.rules.run import Counts, Outcome, Run, Spent
from streams.rules.state import State, ordered

SAMPLE = 20
"""Newest records of a slice that are asked for their time."""

REVISION = 4
"""Of what the engine makes of its inputs. Snapshots of another revision are not used."""


class Engine:
    """`state` is changed by `advance`; after an exception it is of no more use. `spent`: what the rules took in the last."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.spent: dict[Slot, Spent] = {}

    def advance(self, cuts: Sequence[Cut], slices: Slices) -> tuple[list[Outcome], Counts]:
        """Process consecutive cuts of which only the first may have records of `cuts.TURNING` (see cuts.runs); one outcome
        for each. `slices` holds exactly the records of their spans.

        Raises:
            BrokenCuts: the cuts do not follow what was processed before.
        """
        run = self.play(cuts, slices)
        self.spent = run.spent
        return run.outcomes(), run.counts

    def play(self, cuts: Sequence[Cut], slices: Slices) -> Run:
        """As `advance`; all that was known of the run."""
        for cut in cuts:
            self.state.check_and_move(cut)
        run = Run(cuts)
        for active in self.state.active.values():
            active.begin()
        player = Player(self.state, run)
        self._rules(run, player, slices)
        self._registrations(player, slices)
        layout = Layout(cuts)
        self._commands(run, slices, layout)
        for name, frame, unreadable in self.state.rows(slices):
            run.counts.unreadable += unreadable
            local = TOPICS[name] in LOCAL
            if not local:
                count(self.state, run, name, frame, layout)
            home = self.state.at_home(name, frame)
            if home.height:
                run.intakes[name] = intake = Intake(name, home, self.state.subjects(name), layout)
                if local:
                    count(self.state, run, name, intake.frame, layout)
                if name == "certificate":
                    intake.current = self.state.certificates.take(intake)
                self._evaluate(run, player, intake)
        partials(self.state, run, slices, layout)
        player.play()
        self.state.certificates.settle()
        return run

    def newest(self, slices: Slices) -> int | None:
        """The newest received_at of what devices sent in these slices, microseconds; None where there is nothing."""
        found = [self._received(source.topic, batches[-1]) for source, batches in slices.items() if source.topic in PACED]
        return max((at for at in found if at is not None), default=None)

    def _received(self, topic: str, batch: Batch) -> int | None:
        read = self.state.readers.columns[topic].rows(batch.values[-SAMPLE:])
        return max((row["received_at"] for _, row in read.rows), default=None)

    # --- what turns everything behind it ------------------------------------------------------------------------------

    def _rules(self, run: Run, player: Player, slices: Slices) -> None:
        clock = run.cuts[0].at
        for place, event in rule_events(slices, self.state.readers, lambda: _unread(run)):
            over = self.state.rule_ends(event)
            if over is not None:
                for key in sorted(over.cells):
                    player.say(0, over, key, [ended(over.cells[key], event.occurred_at, place, _reason(event))], None)
            run.alerts[0].extend(self.state.lifecycle.rule(event, Moment(event.occurred_at, clock)))
            if isinstance(event, RuleApplied) and (fault := self.state.apply(event)) is not None:
                slot = Slot(event.rule_id, event.mode)
                run.commands[0].append(self.state.suspension(slot, event.version, fault, place, clock))

    def _registrations(self, player: Player, slices: Slices) -> None:
        for place, record in registrations(slices, self.state.readers):
            device = self.state.fleet.fold(record)
            if device is None:
                continue
            facts = self.state.fleet.of(device)
            for active in ordered(list(self.state.active.values())):
                cell = active.cells.get(device)
                if cell is not None and not active.evaluator.about(device, facts.model, facts.labels):
                    del active.cells[device]
                    player.say(0, active, device, [ended(cell, record["received_at"], place, "out_of_scope")], None)

    def _commands(self, run: Run, slices: Slices, layout: Layout) -> None:
        for place, key, command in alert_commands(slices, self.state.readers, lambda: _unread(run)):
            cut = layout.cut_of(TopicPartition(place.topic, place.partition), place.offset)
            run.put_command((cut, RANK[place.topic], place.partition, place.offset, 0), (place, key, command))

    # --- columns ------------------------------------------------------------------------------------------------------

    def _evaluate(self, run: Run, player: Player, intake: Intake) -> None:
        assert intake.seen is not None
        run.counts.again += intake.seen.again
        wanted = [one for one in self.state.active.values() if one.evaluator.input == intake.name and not one.broken]
        if not len(intake) or not wanted:
            return
        intake.frame = self.state.fleet.columns(intake.frame)
        asked = ordered(wanted)
        for active in asked:
            active.remember(intake)
        evaluators = [active.evaluator for active in asked]
        found = self.state.sharing(intake.name).evaluate(evaluators, intake.frame)
        for active, verdicts in zip(asked, found, strict=True):
            self._take(run, player, active, intake, verdicts)

    def _take(self, run: Run, player: Player, active: Active, intake: Intake, verdicts: Verdicts) -> None:
        """What a rule says of the rows of a run."""
        scope = self.state.scope(active, intake)
        if active.evaluator.terms and intake.current is not None:
            scope = scope & intake.current
            for row in np.flatnonzero(scope).tolist():
                run.put("term", active, intake, row)
        run.verdicts[active.slot] = verdict = active.take(verdicts, intake, scope)
        run.spent[active.slot] = Spent(verdicts.seconds, len(intake))
        run.counts.evaluated += len(intake)
        run.counts.late += verdict.late
        run.counts.unclear += verdict.unclear
        for row in verdict.rows.tolist():
            run.put("row", active, intake, row)
        for key in sorted(active.waiting & intake.present):
            player.expect(active, key, -1)
        if verdicts.failed is not None:
            scope = scope & (intake.cuts < intake.cuts[verdicts.failed.row])
            self._failed(run, active, verdicts.failed, intake)
        if active.timing.silent_after and active.timing.on_silence != "keep":
            self._watch(run, active, intake, scope)

    def _failed(self, run: Run, active: Active, failed: Failed, intake: Intake) -> None:
        """A rule that can't be evaluated is asked no more, and its suspension is asked for."""
        cut = int(intake.cuts[failed.row])
        place, clock = intake.place(int(np.searchsorted(intake.cuts, cut))), run.cuts[cut].at
        run.commands[cut].append(self.state.suspension(active.slot, active.evaluator.version, failed.why, place, clock))

    def _watch(self, run: Run, active: Active, intake: Intake, scope: npt.NDArray[np.bool_]) -> None:
        """Timers for the silence of keys that have none yet, and silences that were over before anybody could notice."""
        assert intake.seen is not None
        after, seen = active.timing.silent_after, intake.seen
        for row in np.flatnonzero(scope & (seen.before > 0) & (seen.received - seen.before >= after)).tolist():
            run.put("gap", active, intake, row)
        keys, first = np.unique(seen.keys, return_index=True)
        for number, row in zip(keys.tolist(), first.tolist(), strict=True):
            name = intake.subjects.names[number]
            if name not in active.watched and scope[row]:
                active.watched.add(name)
                self.state.timers.put(Timer(int(seen.received[row]) + after, "silence", str(active.slot), name))


def _unread(run: Run) -> None:
    run.counts.unreadable += 1


def _reason(event: object) -> Reason:
    if isinstance(event, RuleDisabled):
        return "rule_disabled"
    return "rule_suspended" if isinstance(event, RuleSuspended) else "rule_changed"
