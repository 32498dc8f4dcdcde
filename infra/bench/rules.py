"""How fast 100 rules are evaluated over a million readings: over columns, record by record, and by bare cel-expr-python."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from cel_expr_python import cel

from infra.bench.report import Figures
from schemas.contract import load
from schemas.rules.document import Rule
from streams.rules.compiled import CompiledRule, compile_rule
from streams.rules.evaluation import RuleSet
from streams.rules.ports import AT, KEY, RECEIVED

RULES, READINGS, DEVICES, FRAME = 100, 1_000_000, 1_000, 100_000
AT_LEAST = 20.0
APART = 10_000
"""Microseconds between two readings of the fleet."""

ABOUT = """\
100 rules over 1,000,000 rows of telemetry (two metrics of 1,000 devices): how many rules are evaluated for a row in a second
of processor time. Half of the rules compare readings, a fifth compute with them, three tenths are over windows of one to
ten minutes.

- `fleetlog`: all of the rules in one set, over columns, with windows, late rows, groups and values;
- `record by record`: those of the same rules that have no windows, by fleetlog's way through Google's evaluator, which takes
  what can't be evaluated over columns; on a sample of rows;
- `cel-expr-python`: Google's evaluator bare, in a loop over the same sample: no windows, no late rows, no values.

What each said of the sample's rows was the same before any figure counts."""

PLAIN: tuple[Callable[[int], str], ...] = (
    lambda number: f"temperature > {50 + number}",
    lambda number: f"temperature > {50 + number} && humidity < {number}",
    lambda number: f"humidity > {number} || temperature < {number - 40}",
    lambda number: f"!(temperature in [1, 2, 3]) && temperature >= {number}",
    lambda number: f"temperature != {number} && humidity <= {number}",
    lambda number: f"temperature * 9 / 5 + 32 > {100 + number}",
    lambda number: f"(temperature - humidity) / 2 > {number}",
)
WINDOWS: tuple[Callable[[int], str], ...] = (
    lambda number: f'avg(temperature, "5m") > {number}',
    lambda number: f'max(temperature, "10m") - min(temperature, "10m") > {number}',
    lambda number: f'count(temperature > 100, "1m") > {number}',
)


def run(seconds: float, readings: int = READINGS, rules: int = RULES) -> dict[str, Any]:
    """Each contestant once; those that are slow on a sample of rows that takes about `seconds` in all.

    Raises:
        RuntimeError: the contestants disagree.
    """
    makers = (*PLAIN, *WINDOWS)
    texts = [makers[number % len(makers)](number) for number in range(rules)]
    compiled = [_compiled(number, text) for number, text in enumerate(texts)]
    frame = _frame(readings)
    columnar = _columnar(compiled, frame)
    plain = [rule for rule in compiled if not rule.calls]
    sample = frame.head(_rows_for(seconds / 2, plain, frame))
    single = _single(plain, sample)
    bare = _bare([rule.rule.when for rule in plain], sample)
    _agree(plain, sample)
    return Figures(
        bench="rules",
        unit="rule evaluations/s",
        ours=columnar,
        peers={"record by record": single, "cel-expr-python": bare},
        targets={"cel-expr-python": AT_LEAST},
        about=ABOUT,
        detail={"rules": rules, "rows": readings, "devices": DEVICES, "rows_of_the_sample": sample.height},
    ).result()


def _compiled(number: int, text: str) -> CompiledRule:
    return compile_rule(Rule(id=f"rule-{number}", input="telemetry", when=text), load())


def _frame(readings: int) -> pl.DataFrame:
    """Readings of all devices in turn; values from a generator with a fixed seed."""
    generator = np.random.default_rng(1)
    at = np.arange(readings) * APART + 1_700_000_000_000_000
    names = [f"device-{number:04}" for number in range(DEVICES)]
    return pl.DataFrame(
        {
            KEY: [names[number % DEVICES] for number in range(readings)],
            AT: at,
            RECEIVED: at,
            "metric:temperature": generator.normal(60, 20, readings),
            "metric:humidity": generator.normal(50, 10, readings),
        }
    )


def _columnar(rules: Sequence[CompiledRule], frame: pl.DataFrame) -> float:
    whole, began = RuleSet(rules), time.process_time()
    for begin in range(0, frame.height, FRAME):
        whole.evaluate(frame[begin : begin + FRAME])
    return len(rules) * frame.height / (time.process_time() - began)


def _rows_for(seconds: float, rules: Sequence[CompiledRule], frame: pl.DataFrame) -> int:
    """How many rows keep the evaluator busy for so long."""
    few = frame.head(100)
    rate = _single(rules, few)
    return int(min(frame.height, max(few.height, rate * seconds / len(rules))))


def _single(rules: Sequence[CompiledRule], frame: pl.DataFrame) -> float:
    began = time.process_time()
    for rule in rules:
        rule.when.single.column(frame)
    return len(rules) * frame.height / (time.process_time() - began)


def _bare(texts: Sequence[str], frame: pl.DataFrame) -> float:
    """The expressions as anybody would have cel-expr-python evaluate them, over rows that are dicts already."""
    programs = _programs(texts)
    rows = frame.select(temperature="metric:temperature", humidity="metric:humidity").to_dicts()
    began = time.process_time()
    for program in programs:
        for row in rows:
            program.eval(data=row).value()
    return len(programs) * len(rows) / (time.process_time() - began)


def _programs(texts: Sequence[str]) -> list[Any]:
    env = cel.NewEnv(variables={"temperature": cel.Type.DYN, "humidity": cel.Type.DYN})
    return [env.compile(_with_doubles(text)) for text in texts]


def _with_doubles(text: str) -> str:
    """Plain CEL does not combine doubles and ints."""
    return re.sub(r"(?<![\w.])(\d+)(?![\w.])", r"\1.0", text)


def _agree(rules: Sequence[CompiledRule], frame: pl.DataFrame) -> None:
    few = frame.head(1_000)
    rows = few.select(temperature="metric:temperature", humidity="metric:humidity").to_dicts()
    programs = _programs([rule.rule.when for rule in rules])
    for rule, found, program in zip(rules, RuleSet(rules).evaluate(few), programs, strict=True):
        single = rule.when.single.column(few)[0].to_list()
        if not found.raised.to_list() == single == [program.eval(data=row).value() for row in rows]:
            raise RuntimeError(f"the contestants disagree about {rule.rule.when}")
