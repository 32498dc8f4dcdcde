"""What a bench found, in every form it is shown in."""

import re
from datetime import date
from pathlib import Path

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
    made = section(figures().result(), "fleetlog bench carrier --seconds 80", date(2026, 3, 1))
    head, made_by, about, *_ = made.split("\n\n")
    assert (head, about) == ("## Carrier: log to view", "What is measured.")
    assert made_by.startswith("`fleetlog bench carrier --seconds 80` (2026-03-01, ")
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


def test_a_page_keeps_the_sections_of_other_benches_as_they_are() -> None:
    day, later = date(2026, 3, 1), date(2026, 4, 1)
    before = document([({"bench": name, "ours": 1.0}, f"old {name}") for name in ("carrier", "decode", "sink")], day)
    page = document([({"bench": name, "ours": 2.0}, f"new {name}") for name in ("decode", "proof")], later, before)
    found = re.findall(r"^## (.*)\n\n`(.*)` \((\S+),", page, re.MULTILINE)
    assert found == [
        ("Carrier: log to view", "old carrier", "2026-03-01"),
        ("Decoding", "new decode", "2026-04-01"),
        ("Sink: log to ClickHouse", "old sink", "2026-03-01"),
        ("Proof: hashes while folding", "new proof", "2026-04-01"),
    ]
    assert document([], later, page) == page


def test_a_page_of_before_sections_said_when_is_taken_over() -> None:
    page = Path(__file__).parents[3].joinpath("docs/benchmarks.md").read_text("utf-8")
    assert document([], date(2026, 3, 1), page) == page, "or writing one section would change the others"
