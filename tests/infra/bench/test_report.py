"""What a bench found, in every form it is shown in."""

from datetime import date

import pytest

from infra.bench.report import Figures, document, number, parse, section, text


def figures(ours: float = 300.0, smaller_is_better: bool = False) -> Figures:
    return Figures(
        bench="carrier",
        ours=ours,
        peers={"slow": 10.0, "quick": 200.0},
        limits={"light": 600.0},
        targets={"slow": 20.0, "quick": 2.0, "light": 0.5},
        about="What is measured.",
        smaller_is_better=smaller_is_better,
        detail={"rounds": 3, "rates": {"slow": [9.0, 11.0]}},
    )


def test_a_ratio_is_ours_divided_by_the_other() -> None:
    assert figures().ratios == {"slow": 30.0, "quick": 1.5, "light": 0.5}


def test_the_json_has_the_documented_shape() -> None:
    result = figures().result()
    assert {name: result[name] for name in ("bench", "ours", "peers", "limits", "ratios")} == {
        "bench": "carrier",
        "ours": 300.0,
        "peers": {"slow": 10.0, "quick": 200.0},
        "limits": {"light": 600.0},
        "ratios": {"slow": 30.0, "quick": 1.5, "light": 0.5},
    }


def test_what_was_printed_reads_back() -> None:
    assert parse(figures().result()) == figures()


def test_a_result_with_the_least_there_is_reads_back() -> None:
    assert parse({"bench": "decode", "ours": 1.0}) == Figures(bench="decode", ours=1.0)


@pytest.mark.parametrize("missing", ["bench", "ours"])
def test_a_result_without_what_it_must_have_is_refused(missing: str) -> None:
    result = figures().result()
    del result[missing]
    with pytest.raises(KeyError, match=missing):
        parse(result)


def test_a_target_is_met_at_least_or_at_most() -> None:
    assert [figures().met(name) for name in ("slow", "quick", "light")] == [True, False, True]
    assert [figures(smaller_is_better=True).met(name) for name in ("slow", "quick", "light")] == [False, True, True]


def test_without_a_target_nothing_is_met_or_missed() -> None:
    assert Figures(bench="decode", ours=1.0, peers={"other": 2.0}).met("other") is None


def test_a_table_for_a_terminal_names_rates_ratios_and_targets() -> None:
    lines = text(figures().result()).splitlines()
    assert lines[0] == "Carrier: log to view, records/s"
    assert [line.split() for line in lines[1:]] == [
        ["fleetlog", "300"],
        ["slow", "10", "30", "x", "at", "least", "20:", "met"],
        ["quick", "200", "1.5", "x", "at", "least", "2:", "missed"],
        ["light", "(limit)", "600", "0.5", "x", "at", "least", "0.5:", "met"],
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1_234_567.8, "1,234,568"), (999.6, "1,000"), (999.4, "999"), (12.345, "12.3"), (0.16666, "0.167"), (0.0, "0")],
)
def test_numbers_have_three_digits_or_are_whole(value: float, shown: str) -> None:
    assert number(value) == shown


def test_a_section_shows_the_command_the_table_and_the_plain_details() -> None:
    made = section(figures().result(), "fleetlog bench carrier --seconds 80")
    assert made.startswith("## Carrier: log to view\n\n`fleetlog bench carrier --seconds 80`\n\nWhat is measured.\n")
    assert "| quick | 200 | 1.5 | at least 2: missed |" in made
    assert made.endswith("\nrounds 3\n")
    assert "9.0" not in made, "the rates of single rounds are for --json"


def test_the_page_has_a_section_for_each_bench_and_says_when_and_where() -> None:
    page = document(
        [(figures().result(), "first command"), ({"bench": "decode", "ours": 1.0}, "second command")], date(2026, 3, 1)
    )
    assert page.startswith("# Benchmarks\n")
    assert "2026-03-01" in page
    assert (
        page.index("## Carrier") < page.index("`first command`") < page.index("## Decoding") < page.index("`second command`")
    )
