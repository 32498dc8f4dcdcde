"""Rules, compiled: `compile_rule` checks a document against the contract and says all that is wrong with it.

What comes of it is evaluated by `streams.rules.evaluation`, over frames of rows in the order of the log. A frame has `_key`,
`_at`, `_received` (streams.rules.ports) and the columns of `CompiledRule.columns`: fields by their names (nested ones by
their path), `metric:NAME`, `device.state`, `device.model`, `device.labels.NAME`; times as Int64 microseconds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import polars as pl

from schemas.contract import Contract
from schemas.rules import dialect
from schemas.rules.checking import compile_expression
from schemas.rules.document import Rule
from schemas.rules.expression import BadExpression, Call, Expression, durations
from schemas.rules.inputs import LABEL_COLUMN, METRIC_COLUMN, TOPICS, NoSuchInput, Variable, variables
from schemas.rules.reading import BadRule
from streams.rules.columnar import NotColumnar, columnar
from streams.rules.ports import AT
from streams.rules.single import Single
from streams.rules.templates import BadTemplate, Template
from streams.rules.thresholds import beyond, shown

T = TypeVar("T")
_NUMBERS = ("int", "uint", "double")


class Part:
    """One expression of a rule: over columns where that is possible, else record by record."""

    def __init__(self, expression: Expression) -> None:
        self.expression = expression
        self.expr: pl.Expr | None = None
        self.why_not = ""
        try:
            self.expr = columnar(expression)
        except NotColumnar as reason:
            self.why_not = str(reason)

    @cached_property
    def single(self) -> Single:
        return Single(self.expression)


@dataclass(frozen=True)
class CompiledRule:
    """A rule that can be evaluated.

    `topic` is where its rows come from; `columns` the CEL types of the columns that it reads, by name. Rows in which all of
    `relevant` are null say nothing about it (of telemetry: none of its metrics); empty: every row does. `since` names the
    moment from which its windows hold readings: rules with the same share them. `clear` is None where it is `when` not
    holding. `value` is what an alert shows: the left side of the first comparison. `absent_after`: the silence of a rule
    that is `absent_for`; `horizon`: the longest window; both in microseconds, 0 for none.
    """

    rule: Rule
    topic: str
    columns: Mapping[str, str]
    relevant: tuple[str, ...]
    since: str
    when: Part
    clear: Part | None
    value: Part | None
    arguments: Mapping[str, tuple[Part, ...]]
    templates: Mapping[str, Template]
    group_by: Mapping[str, str]
    measures: Mapping[str, "CompiledMeasure"]

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for part in (self.when, self.clear, self.value) if part is not None)

    @property
    def calls(self) -> dict[str, Call]:
        """What is over windows, by the column that holds it."""
        return {name: call for part in self.parts for name, call in part.expression.calls.items()}

    @property
    def columnar(self) -> bool:
        """Whether all of it is evaluated over columns; else `why_not` says what is not."""
        return not self.why_not

    @property
    def why_not(self) -> str:
        parts = (*self.parts, *(part for group in self.arguments.values() for part in group))
        return "; ".join(dict.fromkeys(part.why_not for part in parts if part.why_not))

    @property
    def absent_after(self) -> int:
        return max((call.span for call in self.calls.values() if call.function == dialect.ABSENT_FOR), default=0)

    @property
    def horizon(self) -> int:
        return max((call.span for call in self.calls.values()), default=0)

    @property
    def terms(self) -> tuple[int, ...]:
        """Of a rule that compares the end of a certificate with the time: the durations that it names, in microseconds, and
        0. When the end is as near as one of them it may say something else, though no record has come."""
        if self.rule.input != "certificate" or not {"not_after", AT} <= self.columns.keys():
            return ()
        named = {length for part in self.parts for length in durations(part.expression.root)}
        return (0, *sorted(named - {0}))

    def annotations(self, values: Mapping[str, Any]) -> dict[str, str]:
        """The annotations with values by the names that templates have (streams.rules.templates)."""
        own = {"rule.id": self.rule.id, "rule.severity": self.rule.severity}
        labels = {f"labels.{name}": value for name, value in self.rule.labels.items()}
        return {name: template.fill({**labels, **own, **values}) for name, template in self.templates.items()}


@dataclass(frozen=True)
class CompiledMeasure:
    """A measure of an aggregate, of rows of its input: rows that `where` does not hold of do not count; the others count for
    one (`amount` None), or for what `amount` gives."""

    where: Part | None
    amount: Part | None
    columns: Mapping[str, str]


def compile_rule(rule: Rule, contract: Contract, since: str = "") -> CompiledRule:
    """Check a rule against the records that it is about.

    Raises:
        BadRule: with all that is wrong.
    """
    return _Compiling(rule, contract).compiled(since)


class _Compiling:
    def __init__(self, rule: Rule, contract: Contract) -> None:
        self.rule, self.contract = rule, contract
        self.errors: list[str] = []

    def compiled(self, since: str) -> CompiledRule:
        rule = self.rule
        known = self._variables(rule.input, rule.aggregate.measures if rule.aggregate else ())
        when = self._expression("when", rule.when, known, rule.input, ("bool",))
        clear = self._expression("clear", rule.clear, known, rule.input, ("bool",))
        if when is not None and rule.hysteresis is not None:
            clear = self._tried("hysteresis", lambda: beyond(when, rule.hysteresis or 0.0))
        templates = self._templates()
        measures = self._measures(self.contract)
        group_by = self._group_by()
        if self.errors or when is None:
            raise BadRule(*self.errors)
        self._silence(when)
        if rule.aggregate and (when.calls or (clear is not None and clear.calls)):
            raise BadRule("when: an aggregate has a window of its own")
        value = shown(when)
        parts = [found for found in (when, clear, value) if found is not None]
        calls = {name: call for part in parts for name, call in part.calls.items()}
        inner = [argument for call in calls.values() for argument in call.arguments]
        columns = {name: kind for part in (*parts, *inner) for name, kind in part.columns.items() if name not in calls}
        made = CompiledRule(
            rule,
            TOPICS[rule.input],
            {**columns, **dict.fromkeys(group_by.values(), "string")},
            _relevant(columns, calls.values()),
            since,
            Part(when),
            _part(clear),
            _part(value),
            {name: tuple(Part(argument) for argument in call.arguments) for name, call in calls.items()},
            templates,
            group_by,
            measures,
        )
        self._tried_out(made)
        return made

    def _variables(self, rule_input: str, measures: Iterable[str] = ()) -> dict[str, Variable]:
        try:
            return variables(rule_input, self.contract, measures)
        except NoSuchInput as error:
            raise BadRule(f"input: {error}") from None

    def _tried(self, field: str, make: Callable[[], T]) -> T | None:
        try:
            return make()
        except BadExpression as error:
            self.errors.append(f"{field}: {error}")
            return None

    def _expression(
        self, field: str, text: str | None, known: Mapping[str, Variable], rule_input: str, kinds: tuple[str, ...]
    ) -> Expression | None:
        if text is None:
            return None
        found = self._tried(field, lambda: compile_expression(text, known, rule_input == "telemetry"))
        if found is not None and found.kind not in kinds:
            self.errors.append(f"{field}: {text[:60]!r} is of type {found.kind}, it must be of type {' or '.join(kinds)}")
            return None
        return found

    def _group_by(self) -> dict[str, str]:
        """The column of each name that alerts are grouped by."""
        rule, found = self.rule, dict[str, str]()
        about = rule.aggregate.of if rule.aggregate else rule.input
        known = self._variables(about)
        for name in rule.group_by:
            if name.startswith(LABEL_COLUMN):
                found[name] = name
            elif name in known and known[name].kind == "string":
                found[name] = known[name].column
            else:
                self.errors.append(f"group_by: {name!r} is no text of these records, and no device.labels.NAME")
        return found

    def _templates(self) -> dict[str, Template]:
        found = {}
        for name, text in self.rule.annotations.items():
            try:
                found[name] = Template(text)
            except BadTemplate as error:
                self.errors.append(f"annotations.{name}: {error}")
        return found

    def _measures(self, contract: Contract) -> dict[str, CompiledMeasure]:
        aggregate = self.rule.aggregate
        if aggregate is None:
            return {}
        known, found = self._variables(aggregate.of), dict[str, CompiledMeasure]()
        for name, measure in aggregate.measures.items():
            field = f"aggregate.measures.{name}"
            where = self._expression(field, measure.count or measure.where, known, aggregate.of, ("bool",))
            amount = self._expression(field, measure.sum, known, aggregate.of, _NUMBERS)
            parts = [part for part in (where, amount) if part is not None]
            if any(part.calls for part in parts):
                self.errors.append(f"{field}: an aggregate has a window of its own")
            columns = {column: kind for part in parts for column, kind in part.columns.items()}
            found[name] = CompiledMeasure(_part(where), _part(amount), columns)
        return found

    def _silence(self, when: Expression) -> None:
        """`absent_for` is about time, not about rows: it is all that a rule says, or it is not in it."""
        silences = [call for call in when.calls.values() if call.function == dialect.ABSENT_FOR]
        alone = when.root.WhichOneof("kind") == "ident"
        if silences and not (alone and self.rule.clear is None and self.rule.no_data is None):
            raise BadRule(
                "when: absent_for stands alone, with neither clear nor no_data: scope says which devices are meant"
            )

    def _tried_out(self, made: CompiledRule) -> None:
        """Evaluate it once of nothing: a comprehension over a list that is written out may never end."""
        for field, part in (("when", made.when), ("clear", made.clear)):
            if part is not None and part.expr is None:
                _, failures = part.single.column(
                    pl.DataFrame({name: [None] for name in part.expression.columns} or {"": [None]})
                )
                self.errors += [f"{field}: {failed.why}" for failed in failures]
        if self.errors:
            raise BadRule(*self.errors)


def _part(expression: Expression | None) -> Part | None:
    return None if expression is None else Part(expression)


def _relevant(columns: Mapping[str, str], calls: Iterable[Call]) -> tuple[str, ...]:
    """The metrics that a rule reads; none if it reads what every row has, or counts rows."""
    metrics = tuple(sorted(name for name in columns if name.startswith(METRIC_COLUMN)))
    every = any(not any(name in metrics for argument in call.arguments for name in argument.columns) for call in calls)
    return () if every else metrics
