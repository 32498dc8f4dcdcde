"""How much processor time a rule may take. Only engines that run live look at it: time is no part of what a rule says.

A rule over its budget is not stopped by whoever measures. Its suspension is asked for, in the transaction of the cut; it
ends for all engines by the event that follows on fleet.rules, which restarts and back-tests read where live engines did.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from schemas.rule_messages import SuspendRule
from streams.rules.active import Slot
from streams.rules.cuts import CUTS, Cut
from streams.rules.ports import Place
from streams.rules.run import Spent
from streams.rules.state import State


class Budget(NamedTuple):
    """Of processor time: `seconds` for the rows of one cut, or `per_row` for each of them, whichever is more. A rule that
    takes more in `cuts` cuts in a row, of those with rows that it is asked about, is over its budget."""

    seconds: float = 0.05
    per_row: float = 0.0005
    cuts: int = 20


class Spending:
    """What the rules of one engine took."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._over: dict[Slot, int] = {}

    def over(self, spent: Mapping[Slot, Spent]) -> dict[Slot, str]:
        """The rules that are over their budget after a cut, and why. One that is asked on all the same is told of again
        after as many cuts."""
        found = {}
        for slot, (seconds, rows) in spent.items():
            allowed = max(self._budget.seconds, rows * self._budget.per_row)
            times = self._over[slot] = self._over.get(slot, 0) + 1 if seconds > allowed else 0
            if times >= self._budget.cuts:
                self._over[slot] = 0
                found[slot] = (
                    f"took {seconds:.3f} s of processor time for {rows} rows, where {allowed:.3f} s are allowed; "
                    f"the budget was exceeded {times} times in a row"
                )
        return found

    def suspensions(self, state: State, cut: Cut, spent: Mapping[Slot, Spent]) -> list[SuspendRule]:
        """The commands that go with a cut."""
        place = Place(CUTS, state.partition, cut.sequence)
        return [
            msgspec.structs.replace(
                state.suspension(slot, state.active[slot].evaluator.version, why, place, cut.at), reason="over_budget"
            )
            for slot, why in sorted(self.over(spent).items())
        ]
