"""A compiled rule as the engine has it: one rule with its own windows (streams.rules.ports.Evaluator)."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
import polars as pl

from schemas.contract import Contract
from schemas.rules.inputs import METRIC_COLUMN
from schemas.rules.reading import BadRule, read
from streams.rules.carried import Windows
from streams.rules.compiled import CompiledRule, compile_rule
from streams.rules.counting import Counter
from streams.rules.evaluation import RuleSet
from streams.rules.ports import Input, RuleFailed, Timing, Verdicts


class RuleEvaluator:
    """Not for several threads."""

    def __init__(self, compiled: CompiledRule, version: int) -> None:
        self.compiled, self._version = compiled, version
        self._rules = RuleSet((compiled,))
        self._terms = compiled.terms

    @property
    def rule_id(self) -> str:
        return self.compiled.rule.id

    @property
    def version(self) -> int:
        return self._version

    @property
    def input(self) -> Input:
        return self.compiled.rule.input

    @property
    def timing(self) -> Timing:
        """`absent_for` is silence that raises the alert; a rule that says nothing of silence stays as it is."""
        rule, absent = self.compiled.rule, self.compiled.absent_after
        after = absent or (rule.no_data.after_micros if rule.no_data else 0)
        then = "alert" if absent else rule.no_data.then if rule.no_data else "keep"
        horizon = 0 if absent else self.compiled.horizon
        return Timing(rule.hold_micros, rule.keep_firing_micros, rule.repeat, after, then, horizon)

    @property
    def counter(self) -> Counter | None:
        return Counter(self.compiled) if self.compiled.rule.aggregate else None

    @property
    def metrics(self) -> Collection[str]:
        return tuple(name.removeprefix(METRIC_COLUMN) for name in self.compiled.columns if name.startswith(METRIC_COLUMN))

    def group(self, fields: Mapping[str, Any]) -> str:
        """As `streams.rules.evaluation.groups` says it of a row."""
        named = {name: fields.get(column) for name, column in self.compiled.group_by.items()}
        return msgspec.json.encode(named).decode() if named else ""

    def evaluate(self, rows: pl.DataFrame) -> Verdicts:
        """
        Raises:
            RuleFailed: a comprehension takes too many iterations.
        """
        (found,) = self._rules.evaluate(rows)
        if found.failures:
            raise RuleFailed("; ".join(found.failures))
        return Verdicts(found.raised, found.cleared, found.value)

    @property
    def everywhere(self) -> bool:
        return self.compiled.rule.scope == "all"

    def about(self, key: str, model: str | None, labels: Mapping[str, str]) -> bool:
        return self.compiled.rule.about(key, model, labels)

    def idle(self, key: str, at: int) -> tuple[bool | None, bool | None]:
        return self._rules.idle(key, at)[0]

    @property
    def terms(self) -> tuple[int, ...]:
        return self._terms

    def again(self, key: str, at: int, fields: Mapping[str, Any]) -> tuple[bool | None, bool | None]:
        return self._rules.idle(key, at, fields)[0]

    def fresh(self) -> "RuleEvaluator":
        return RuleEvaluator(self.compiled, self._version)

    @property
    def carried(self) -> Windows:
        """Its windows. Other rules may have the same (streams.rules.sharing)."""
        return self._rules.windows

    @carried.setter
    def carried(self, windows: Windows) -> None:
        self._rules.windows = windows

    def windows(self) -> bytes:
        return self._rules.own_windows().encoded()

    def restore(self, windows: bytes) -> None:
        """
        Raises:
            RuleFailed: these are not its windows.
        """
        try:
            self._rules.carry(Windows.decoded(windows))
        except msgspec.DecodeError as error:
            raise RuleFailed(f"{self.rule_id}: its windows can't be restored: {error}") from None


def evaluator(document: str | bytes, version: int, contract: Contract) -> RuleEvaluator:
    """The evaluator of a document of fleet.rules.

    Raises:
        RuleFailed: this version of fleetlog does not take it.
    """
    try:
        return RuleEvaluator(compile_rule(read(document), contract), version)
    except BadRule as refused:
        raise RuleFailed(str(refused)) from None
