"""`make test`, when some tests failed: those few once more, with the machine for themselves.

Tests on real processes have bounds of time, and a machine that is shared stands still at times; one such pause among ten
thousand tests must not hide what the others say. A failure stays printed whole; what passes only now is named as unsteady,
to be mended and not believed. Many failures are no accident and are not run again. The examples of property tests are the
same in every run, so what they find is found again.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

SOME_FAILED, NONE_CHOSEN = 1, 5  # pytest's exit codes
MOST_MODULES = 3
CACHE = Path(".pytest_cache/of-make-test")  # by itself and cleared before each run: holds the failures of that run only


def failed_tests(cache: Path) -> list[str]:
    """The names of the tests that failed in the run whose cache this is."""
    kept = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(kept.read_text())) if kept.exists() else []


def verdict(status: int, arguments: Sequence[str], cache: Path, run: Callable[[Sequence[str]], int]) -> int:
    """The exit code of a run that ended with `status`, after another look at what failed; `run` calls pytest.

    `arguments`: the run's choice of tests, `-m` and a marker first.
    """
    if status == NONE_CHOSEN and len(arguments) > 2:
        return 0  # what somebody chose is all in the other run
    failed = failed_tests(cache)
    modules = {name.partition("::")[0] for name in failed}
    if status != SOME_FAILED or not failed or len(modules) > MOST_MODULES:
        return status
    print(f"\nOnce more, by themselves:{_listed(failed)}", flush=True)
    again = run(["--last-failed", "-o", f"cache_dir={cache}", *arguments])
    if again == 0:
        print(f"\nUNSTEADY, failed at first and passed by themselves:{_listed(failed)}", flush=True)
    return again


def _listed(names: Sequence[str]) -> str:
    return "".join(f"\n  {name}" for name in names)


def _pytest(arguments: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(verdict(int(sys.argv[1]), sys.argv[2:], CACHE, _pytest))
