"""What another look at failed tests may say, and what not."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.again import MOST_MODULES, verdict

CHOICE = ["-m", "stack"]


def run(folder: Path, *arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis", "-p", "no:xdist", *arguments]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode


def judged(folder: Path, source: str, modules: int = 1) -> tuple[int, int]:
    """How often pytest was called again for a run of this test, and the exit code at last."""
    for number in range(modules):
        (folder / f"test_{number}.py").write_text(f"from pathlib import Path\n\n\ndef test() -> None:\n    {source}\n")
    cache, calls = folder / "cache", 0
    status = run(folder, "-o", f"cache_dir={cache}", "--cache-clear")

    def once_more(arguments: Sequence[str]) -> int:
        nonlocal calls
        calls += 1
        return run(folder, *[one for one in arguments if one not in CHOICE])

    code = verdict(status, CHOICE, cache, once_more)
    return calls, code


def test_what_passes_is_not_run_again(tmp_path: Path) -> None:
    assert judged(tmp_path, "assert True") == (0, 0)


def test_what_fails_twice_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(tmp_path, "assert False") == (1, 1)
    assert "UNSTEADY" not in capsys.readouterr().out


def test_what_fails_once_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = tmp_path / "was here"
    fails_first = f"mark = Path({str(mark)!r}); was = mark.exists(); mark.touch(); assert was"
    assert judged(tmp_path, fails_first) == (1, 0)
    assert "UNSTEADY, failed at first and passed by themselves:\n  test_0.py::test" in capsys.readouterr().out


def test_many_failures_are_no_accident(tmp_path: Path) -> None:
    assert judged(tmp_path, "assert False", MOST_MODULES + 1) == (0, 1)


@pytest.mark.parametrize(
    ("status", "arguments", "code"),
    [(5, CHOICE, 5), (5, [*CHOICE, "-k", "name"], 0), (2, CHOICE, 2), (3, CHOICE, 3), (1, CHOICE, 1)],
)
def test_what_is_no_failed_test_is_left_as_it_is(tmp_path: Path, status: int, arguments: list[str], code: int) -> None:
    (tmp_path / "v" / "cache").mkdir(parents=True)
    (tmp_path / "v" / "cache" / "lastfailed").write_text(json.dumps({}))
    never: Callable[[Sequence[str]], int] = pytest.fail  # type: ignore[assignment]
    assert verdict(status, arguments, tmp_path, never) == code
