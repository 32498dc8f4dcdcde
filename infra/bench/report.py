"""What a bench found: as JSON, as a table for a terminal, and as docs/benchmarks.md.

Every bench returns the same kind of dict; `Figures` makes it and `parse` reads it back.
"""

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

TITLES = {
    "carrier": "Carrier: log to view",
    "ingress": "Ingress: HTTP to log",
    "rest": "Kafka-REST: HTTP to log",
    "sink": "Sink: log to ClickHouse",
    "decode": "Decoding",
    "memory": "Memory of a worker",
    "registration": "Registration: device to ledger",
    "authority": "Authority: certificates issued",
    "decider": "Registration: decisions",
    "as-of": "As of a time: one device",
    "ledger": "Ledger: the tree and its proofs",
    "proof": "Proof: hashes while folding",
    "rules": "Rules: evaluation",
    "rules-live": "Rules: from a record to its alert",
    "rules-backtest": "Rules: a day tested in hindsight",
    "trends": "Trends: windows on Flink",
    "rebuild": "Rebuild: log to a new version",
    "transport": "Transport: what TLS costs",
}

HEAD = """\
# Benchmarks

Written by `fleetlog bench NAME --write docs/benchmarks.md` (`all`: every section); each section names the command that made
it, when, and on what. Figures depend on the machine and on what else it does: compare the ratios, which come from one run on
one machine. A ratio is ours divided by the other's rate.
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Rates in `unit`. `peers` do the same work otherwise, `limits` are what cannot be passed. `targets` holds ratios
    (ours / other) that are to be reached at least, or at most where `smaller_is_better`."""

    bench: str
    ours: float
    peers: Mapping[str, float] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    unit: str = "records/s"
    targets: Mapping[str, float] = field(default_factory=dict)
    about: str = ""
    smaller_is_better: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratios(self) -> dict[str, float]:
        return {name: self.ours / rate for name, rate in {**self.peers, **self.limits}.items()}

    def result(self) -> dict[str, Any]:
        """What `fleetlog bench --json` prints."""
        return {
            "bench": self.bench,
            "ours": self.ours,
            "peers": dict(self.peers),
            "limits": dict(self.limits),
            "ratios": self.ratios,
            "unit": self.unit,
            "targets": dict(self.targets),
            "about": self.about,
            "smaller_is_better": self.smaller_is_better,
            "detail": dict(self.detail),
        }

    def met(self, name: str) -> bool | None:
        """Whether the ratio to `name` reaches its target; None where there is none."""
        target = self.targets.get(name)
        if target is None:
            return None
        ratio = self.ratios[name]
        return ratio <= target if self.smaller_is_better else ratio >= target


def parse(result: Mapping[str, Any]) -> Figures:
    """The figures in a bench's result; what a bench leaves out has its default.

    Raises:
        KeyError: `bench` or `ours` is missing.
    """
    optional = ("peers", "limits", "unit", "targets", "about", "smaller_is_better", "detail")
    given = {name: result[name] for name in optional if name in result}
    return Figures(bench=result["bench"], ours=result["ours"], **given)


def rows(figures: Figures) -> list[tuple[str, str, str, str]]:
    """(name, rate, ratio, target) of ours and of each peer and limit, as text."""
    found = [("fleetlog", number(figures.ours), "", "")]
    for kind, rates in (("", figures.peers), (" (limit)", figures.limits)):
        for name, rate in rates.items():
            found.append((name + kind, number(rate), number(figures.ratios[name]), _target(figures, name)))
    return found


def _target(figures: Figures, name: str) -> str:
    target = figures.targets.get(name)
    if target is None:
        return ""
    bound = "at most" if figures.smaller_is_better else "at least"
    return f"{bound} {number(target)}: {'met' if figures.met(name) else 'missed'}"


def number(value: float) -> str:
    """Three significant digits below 1,000, whole numbers with thousands above."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def text(result: Mapping[str, Any]) -> str:
    """A table for a terminal."""
    figures = parse(result)
    table = [("", figures.unit, "ours is", "target"), *rows(figures)]
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    lines = [
        f"{name:<{widths[0]}}  {rate:>{widths[1]}}  {ratio and ratio + ' x':>{widths[2] + 2}}  {target}".rstrip()
        for name, rate, ratio, target in table[1:]
    ]
    return "\n".join([f"{TITLES.get(figures.bench, figures.bench)}, {figures.unit}", *lines])


def section(result: Mapping[str, Any], command: str, today: date) -> str:
    """One bench as a section of docs/benchmarks.md; `command` is what made the figures."""
    where = f"{today.isoformat()}, {os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}"
    figures = parse(result)
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows(figures))
    parts = [
        f"## {TITLES.get(figures.bench, figures.bench)}",
        f"`{command}` ({where})",
        figures.about,
        f"| | {figures.unit} | ours / theirs | target |\n| --- | ---: | ---: | --- |\n{table}",
        _details(figures.detail),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _details(detail: Mapping[str, Any]) -> str:
    """The plain values of a bench's detail; its nested ones are for `--json`."""
    plain = {name: value for name, value in detail.items() if isinstance(value, int | float | str)}
    shown = (f"{name} {value if isinstance(value, str) else number(value)}" for name, value in plain.items())
    return "; ".join(shown).replace("_", " ")


def document(results: Iterable[tuple[Mapping[str, Any], str]], today: date, before: str = "") -> str:
    """docs/benchmarks.md from results, each with the command that made it. `before`: the page as it is; its sections of
    other benches stay, those of the same are replaced where they stand, new ones come last."""
    kept = _sections(before)
    for result, command in results:
        made = section(result, command, today)
        kept[made.split("\n", 1)[0]] = made
    return "\n".join([HEAD, *kept.values()])


def _sections(page: str) -> dict[str, str]:
    """The sections of a page, by their heading."""
    found = (f"## {part.rstrip()}\n" for part in f"\n{page}".split("\n## ")[1:])
    return {part.split("\n", 1)[0]: part for part in found}
