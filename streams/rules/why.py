"""Why a rule fired for a key, or did not: what it said of each of the key's rows, and what came of it, step by step."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec
import numpy as np

from schemas.alert_messages import AlertEvent
from schemas.rule_messages import RuleApplied
from streams.rules.active import Active
from streams.rules.backtest import Past, PastReader, begun, slices_of
from streams.rules.conditions import UNCLEAR
from streams.rules.cuts import Cut, runs
from streams.rules.ports import Place
from streams.rules.run import Run
from streams.rules.state import State

MOST_RECORDS = 400_000
SAYS: dict[int, Literal["raised", "neither", "cleared", "nothing"]] = {
    1: "raised",
    0: "neither",
    -1: "cleared",
    UNCLEAR: "nothing",
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A row that the rule was asked about (`says`, `value`, and `late` where it came too late to decide anything), or an
    event of an alert that came of the rows and the timers so far (`event`). Times in microseconds: `at` by the device's
    clock, `received` by the server's, `clock` by the engine's, in the cut that took it."""

    clock: int
    at: int
    received: int | None = None
    place: Place | None = None
    says: Literal["raised", "neither", "cleared", "nothing"] | None = None
    late: bool = False
    value: float | None = None
    event: str | None = None
    alert_id: str | None = None
    cause: Place | None = None


def explain(
    rule: RuleApplied, home: str, at: int, past: Past, reader: PastReader, make_state: Callable[[int], State]
) -> list[Step]:
    """The steps up to the engine's time `at`, in their order.

    Raises:
        RuleFailed: the rule can't be compiled.
    """
    engine, cuts = begun([rule], past, make_state)
    known = [cut for cut in cuts if cut.at <= at]
    steps: list[Step] = []
    for part in runs(known, MOST_RECORDS):
        run = engine.play(part, slices_of(part, reader, engine))
        for active in engine.state.active.values():
            steps += _of_run(run, active, home, part)
    return steps


def _of_run(run: Run, active: Active, home: str, cuts: Sequence[Cut]) -> Iterator[Step]:
    """In each cut the key's rows, then what came of the cut."""
    rows = [*_rows(run, active, home), *_asked(run, active, home)]
    for index, cut in enumerate(cuts):
        yield from (step for of, step in rows if of == index)
        for key, event in run.alerts[index]:
            if key == home and isinstance(event, AlertEvent):
                cause = event.cause
                yield Step(
                    clock=cut.at,
                    at=event.occurred_at,
                    event=type(event).__name__,
                    alert_id=event.alert_id,
                    value=event.value,
                    cause=None if cause is None else Place(cause.topic, cause.partition, cause.offset),
                )


def _asked(run: Run, active: Active, home: str) -> Iterator[tuple[int, Step]]:
    """What a rule about the fleet said of a group at the end of each window."""
    for one in run.asked:
        if one.key == home and one.slot == active.slot:
            clock = run.cuts[one.cut].at
            yield one.cut, Step(clock=clock, at=one.at, says=SAYS[one.code], value=one.value)


def _rows(run: Run, active: Active, home: str) -> Iterator[tuple[int, Step]]:
    intake, verdict = run.intakes.get(active.evaluator.input), run.verdicts.get(active.slot)
    if intake is None or verdict is None or intake.seen is None or home not in intake.present:
        return
    for row in intake.rows_of(intake.subjects.numbers[home]).tolist():
        cut, value = int(intake.cuts[row]), float(verdict.values[row])
        yield (
            cut,
            Step(
                clock=run.cuts[cut].at,
                at=int(intake.seen.at[row]),
                received=int(intake.seen.received[row]),
                place=intake.place(row),
                says=SAYS[int(verdict.codes[row])],
                late=bool(intake.seen.late[row]),
                value=None if np.isnan(value) else value,
            ),
        )
