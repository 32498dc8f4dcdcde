"""`fleetlog bench`: what it prints, what it writes, how it ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.bench.report import Figures
from infra.cli import bench
from infra.cli.main import main
from infra.stack.service import StackError


def figures(name: str) -> dict[str, Any]:
    return Figures(bench=name, ours=30.0, peers={"other": 10.0}, about=f"About {name}.").result()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Benches that take no time; the list fills with (name, seconds) of those that were run."""
    seen: list[tuple[str, float]] = []

    def instead(name: str) -> bench.Bench:
        def run(seconds: float) -> dict[str, Any]:
            seen.append((name, seconds))
            return figures(name)

        return run

    for name, (_, seconds) in list(bench.BENCHES.items()):
        monkeypatch.setitem(bench.BENCHES, name, (instead(name), seconds))
    return seen


def test_one_bench_as_json(asked: list[tuple[str, float]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "carrier", "--seconds", "5s", "--json"]) == 0
    assert asked == [("carrier", 5.0)]
    assert json.loads(capsys.readouterr().out) == figures("carrier")


def test_all_benches_as_json(asked: list[tuple[str, float]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "all", "--json"]) == 0
    names = list(bench.BENCHES)
    assert asked == [(name, bench.BENCHES[name][1]) for name in names], "each for its own time"
    assert [result["bench"] for result in json.loads(capsys.readouterr().out)] == names


def test_a_table_on_the_terminal(asked: list[tuple[str, float]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "sink"]) == 0
    printed = capsys.readouterr()
    assert "Sink: log to ClickHouse" in printed.out
    assert "3 x" in printed.out
    assert "sink: measuring for about" in printed.err


def test_the_page_holds_every_bench_with_the_command_that_made_it(asked: list[tuple[str, float]], tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    assert main(["bench", "all", "--write", str(page)]) == 0
    text = page.read_text("utf-8")
    assert len(asked) == len(bench.BENCHES)
    for name, (_, seconds) in bench.BENCHES.items():
        assert f"`fleetlog bench {name} --seconds {seconds:g}`" in text
        assert f"About {name}." in text


@pytest.mark.parametrize(
    ("error", "code"), [(RuntimeError("faust ended with 1"), 1), (StackError("the port 9092 is in use", 3), 3)]
)
def test_a_bench_that_fails_says_why_and_writes_no_page(
    error: Exception,
    code: int,
    asked: list[tuple[str, float]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def fails(seconds: float) -> dict[str, Any]:
        raise error

    monkeypatch.setitem(bench.BENCHES, "decode", (fails, 1.0))
    page = tmp_path / "benchmarks.md"
    assert main(["bench", "all", "--write", str(page)]) == code
    assert f"bench decode: {error}" in capsys.readouterr().err
    assert not page.exists(), "a page that lacks a bench would not show it"


def test_an_unknown_bench_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "everything"])
    assert stopped.value.code == 2
    assert "everything" in capsys.readouterr().err
