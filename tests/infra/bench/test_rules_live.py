"""The bench of live rules: what its figures say."""

from infra.bench import report, rules_live


def test_the_figures_say_what_was_met_and_what_was_missed() -> None:
    ours = rules_live.Measured([float(number) for number in range(1, 101)], 5_000.2, 0.456)
    bare = rules_live.Measured([10.0] * 100, 5_000.0, 0.1)
    found = report.parse(rules_live.figures(ours, bare, 1.234))
    assert (found.ours, found.peers["bare transaction"], found.met("500 ms")) == (99.0, 10.0, True)
    assert (found.detail["p50_ms"], found.detail["bare_p50_ms"], found.detail["records_per_second"]) == (50.0, 10.0, 5_000)
    assert (found.detail["processor_of_the_worker"], found.detail["processor_of_the_bare_process"]) == (0.46, 0.1)
    slow = report.parse(rules_live.figures(rules_live.Measured([900.0], 5_000.0, 0.5), bare, 1.0))
    assert slow.met("500 ms") is False


def test_what_the_bare_process_writes_names_its_cause() -> None:
    assert rules_live._named(b"3/77") == (3, 77)
