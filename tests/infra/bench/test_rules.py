"""The bench of rules at a tiny size: its contestants agree and its figures are there."""

from datetime import date

from infra.bench import rules
from infra.bench.report import parse, section


def test_a_small_run_tells_its_figures() -> None:
    result = rules.run(0.2, readings=4_000, rules=20)
    figures = parse(result)
    assert set(figures.peers) == {"record by record", "cel-expr-python"}
    assert all(rate > 0 for rate in (figures.ours, *figures.peers.values()))
    assert figures.targets == {"cel-expr-python": rules.AT_LEAST}
    assert "cel-expr-python" in section(result, "fleetlog bench rules", date(2026, 1, 31))
