"""A back-test in a process of its own: it takes memory and the interpreter for a while, which the ingress can't spare."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from connectors.ports import Away, Busy
from infra.settings import Settings, child_environment
from schemas.moments import text
from schemas.rules.document import Rule, canonical

MOST_SECONDS = 120.0
AWAY = 3  # exit code


class NotBacktested(Exception):
    """The rule can't be evaluated over what is there; the message says why."""


def backtested(settings: Settings, rule: Rule, between: tuple[int, int]) -> dict[str, Any]:
    """What `fleetlog rule backtest --json` says of a rule from one time to another (microseconds).

    Raises:
        Away: broker or registry do not answer.
        Busy: it has taken longer than a request may.
        NotBacktested: it was refused.
    """
    begins, ends = between
    with tempfile.TemporaryDirectory(prefix="fleetlog-backtest-") as folder:
        file = Path(folder) / "rule.json"
        file.write_bytes(canonical(rule))
        words = ["rule", "backtest", str(file), f"--from={text(begins)}", f"--to={text(ends)}", "--json"]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "infra.cli.main", *words],
                env=child_environment(settings.environment()),
                capture_output=True,
                timeout=MOST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Busy(f"the back-test has taken longer than {MOST_SECONDS:g} s; ask for a shorter time") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").removeprefix("fleetlog: ").strip()
        raise Away(said) if done.returncode == AWAY else NotBacktested(said.replace(str(file), rule.id))
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found
