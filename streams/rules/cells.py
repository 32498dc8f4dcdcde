"""What one rule knows of one key: whether its condition holds, since when, and whether it counts yet. Pure.

A row says of a condition that it is raised (1), cleared (-1), or neither (0: between two thresholds). Time passes with the
event times of the key's rows; where none come, with the engine's clock. So what comes out does not depend on how rows fall
into cuts, as long as no device is silent.
"""

from typing import Literal, NamedTuple

import msgspec

from streams.rules.ports import Place, Timing

Reason = Literal["cleared", "no_data", "rule_changed", "rule_disabled", "rule_suspended", "out_of_scope"]
RAISED, NEITHER, CLEARED = 1, 0, -1


class Cell(msgspec.Struct, array_like=True):
    """`since`: event time at which the phase began; `clock`: by which its timer is due. `first`: the record that the
    condition began with. A key without a cell is idle. `silent`: it counts because nothing was heard of the key."""

    phase: Literal["pending", "firing", "keeping"]
    since: int
    clock: int
    first: Place | None
    value: float | None = None
    silent: bool = False


class Row(NamedTuple):
    """What is known of a row that counts: its verdict, event time and time of receipt, place and value."""

    code: int
    at: int
    received: int
    place: Place | None
    value: float | None


class Step(NamedTuple):
    """What came of it: the kind of a signal, its event time and cause, and the record that the condition began with."""

    kind: Literal["pending", "fired", "lapsed", "resolved"]
    at: int
    cause: Place | None
    first: Place | None
    value: float | None
    reason: Reason = "cleared"


def passed(cell: Cell | None, timing: Timing, at: int) -> tuple[Cell | None, list[Step]]:
    """The key's own time has come to `at`, the event time of its next row: what was due before it happens first."""
    if cell is None:
        return None, []
    due = cell.since + (timing.hold if cell.phase == "pending" else timing.keep_firing)
    return elapsed(cell, timing) if cell.phase != "firing" and at >= due else (cell, [])


def elapsed(cell: Cell, timing: Timing) -> tuple[Cell | None, list[Step]]:
    """The time of a phase is over: what is pending counts, what was kept firing is gone."""
    if cell.phase == "pending":
        at = cell.since + timing.hold
        return Cell("firing", at, cell.clock, cell.first, cell.value), [Step("fired", at, None, cell.first, cell.value)]
    if cell.phase == "keeping":
        return None, [Step("resolved", cell.since + timing.keep_firing, None, cell.first, cell.value)]
    return cell, []


def turned(cell: Cell | None, timing: Timing, row: Row) -> tuple[Cell | None, list[Step]]:
    """A row whose verdict is not that of the key's row before."""
    cell, steps = passed(cell, timing, row.at)
    if cell is not None and cell.silent:
        return _heard(cell, row, steps)
    if row.code == RAISED:
        return _raised(cell, timing, row, steps)
    if cell is None:
        return None, steps
    if cell.phase == "pending":
        return None, [*steps, Step("lapsed", row.at, row.place, cell.first, row.value)]
    if cell.phase == "firing" and row.code == CLEARED:
        if timing.keep_firing:
            return Cell("keeping", row.at, row.received + timing.keep_firing, cell.first, row.value), steps
        return None, [*steps, Step("resolved", row.at, row.place, cell.first, row.value)]
    return cell, steps


def _raised(cell: Cell | None, timing: Timing, row: Row, steps: list[Step]) -> tuple[Cell | None, list[Step]]:
    if cell is None and timing.hold:
        made = Cell("pending", row.at, row.received + timing.hold, row.place, row.value)
        return made, [*steps, Step("pending", row.at, row.place, row.place, row.value)]
    if cell is None:
        made = Cell("firing", row.at, row.received, row.place, row.value)
        return made, [*steps, Step("fired", row.at, row.place, row.place, row.value)]
    if cell.phase == "keeping":
        return Cell("firing", row.at, row.received, cell.first, row.value), steps
    return cell, steps


def _heard(cell: Cell, row: Row, steps: list[Step]) -> tuple[Cell | None, list[Step]]:
    """Something came of a key that counted for its silence."""
    if row.code == RAISED:
        return Cell("firing", row.at, row.received, cell.first, row.value), steps
    return None, [*steps, Step("resolved", row.at, row.place, cell.first, row.value)]


def fell_silent(cell: Cell | None, timing: Timing, at: int, last: Place | None) -> tuple[Cell | None, list[Step]]:
    """Nothing came of a key for as long as its rule says; `last` was its newest record."""
    if timing.on_silence == "alert":
        if cell is not None and cell.phase != "pending":
            return Cell("firing", cell.since, cell.clock, cell.first, cell.value, True), []
        first = last if cell is None else cell.first
        return Cell("firing", at, at, first, None, True), [Step("fired", at, None, first, None, "no_data")]
    if timing.on_silence == "ok" and cell is not None:
        kind: Literal["lapsed", "resolved"] = "lapsed" if cell.phase == "pending" else "resolved"
        return None, [Step(kind, at, None, cell.first, None, "no_data")]
    return cell, []


def ended(cell: Cell, at: int, cause: Place, reason: Reason) -> Step:
    """The rule is no more, or is not about the key any more: what it held is over."""
    kind: Literal["lapsed", "resolved"] = "lapsed" if cell.phase == "pending" else "resolved"
    return Step(kind, at, cause, cell.first, cell.value, reason)
