"""Rules of one input evaluated together: what they share is computed once. What each says is what it would say by itself."""

from collections.abc import Iterable, Sequence

import polars as pl

from streams.rules.carried import Windows
from streams.rules.evaluation import fitted, relevant, said
from streams.rules.evaluator import RuleEvaluator
from streams.rules.plan import Plan
from streams.rules.ports import AT, KEY, RECEIVED, Evaluator, Failed, RuleFailed, Verdicts
from streams.rules.windows import Bools, layout


class Sharing:
    """The rules of one input, in one partition. Not for several threads.

    Windows are shared where they hold the same: of rules that came into force between the same two frames, and of those that
    a snapshot holds the same of. That changes nothing of what a rule says.
    """

    def __init__(self) -> None:
        self._rules: tuple[RuleEvaluator, ...] = ()
        self._plan = Plan((), ())
        self._windows: list[Windows] = []

    def evaluate(self, evaluators: Sequence[Evaluator], frame: pl.DataFrame) -> list[Verdicts]:
        """Of each rule, in their order; takes the rows into the windows."""
        rules = tuple(one for one in evaluators if isinstance(one, RuleEvaluator))
        if rules != self._rules:
            self._rules = rules
            self._renew()
        together = iter(self._together(frame) if rules else ())
        return [next(together) if isinstance(one, RuleEvaluator) else _alone(one, frame) for one in evaluators]

    def _renew(self) -> None:
        """Other rules than before."""
        own = {id(rule.carried): rule.carried for rule in self._rules}
        pools = [each for each in self._windows if id(each) in own]
        known = {id(each) for each in pools}
        for windows in (each for name, each in own.items() if name not in known):
            pool = next((each for each in pools if _agree(each, windows)), None)
            if pool is None:
                pools.append(windows)
                continue
            pool.series.update(windows.series)
            for rule in self._rules:
                if rule.carried is windows:
                    rule.carried = pool
        places = {id(each): place for place, each in enumerate(pools)}
        self._plan = Plan([rule.compiled for rule in self._rules], [places[id(rule.carried)] for rule in self._rules])
        for place, pool in enumerate(pools):
            pool.forget(self._plan.horizons(place), ())
        self._windows = pools

    def _together(self, frame: pl.DataFrame) -> Iterable[Verdicts]:
        frame = fitted(frame, self._plan.columns)
        worked = self._plan.work(frame, layout(frame[KEY], frame[AT], frame[RECEIVED]), self._windows, idle=False)
        there: dict[tuple[str, ...], Bools | None] = {}
        for place, rule in enumerate(self._rules):
            names = rule.compiled.relevant
            if names not in there:
                about = relevant(frame, rule.compiled)
                there[names] = None if about.all() else about
            failed = self._plan.failed(place, worked)
            first = Failed(failed[0].row, "; ".join(dict.fromkeys(each.why for each in failed))) if failed else None
            outputs = self._plan.outputs[place]
            yield Verdicts(*said(worked, outputs, there[names]), first, self._plan.seconds(place, worked))


def _alone(evaluator: Evaluator, frame: pl.DataFrame) -> Verdicts:
    try:
        return evaluator.evaluate(frame)
    except RuleFailed as failed:
        nothing = pl.Series([None], dtype=pl.Boolean).new_from_index(0, frame.height)
        return Verdicts(nothing, nothing, nothing.cast(pl.Float64), Failed(0, str(failed)))


def _agree(one: Windows, other: Windows) -> bool:
    """Whether both hold the same, where both hold anything, and may go on as one. What holds nothing yet agrees only with
    what holds nothing either."""
    both = one.series.keys() & other.series.keys()
    if not both:
        return not one.series and not other.series
    return _only(one, both) == _only(other, both)


def _only(windows: Windows, series: Iterable[str]) -> bytes:
    some = Windows()
    some.series = {name: windows.series[name] for name in series}
    return some.encoded()
