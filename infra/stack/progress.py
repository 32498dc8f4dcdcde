"""How the start of the stack is shown: a table that changes in place on a terminal, lines elsewhere."""

import sys
from textwrap import shorten
from typing import Any

from infra.stack.state import StackState

LONGEST_REASON = 200  # characters; the log has all of it
STYLES = {"healthy": "green", "done": "green", "failed": "red", "unhealthy": "red", "backoff": "yellow"}


class Progress:
    """Pass `told` to a Supervisor; call `finish` when the stack is up or has failed."""

    def __init__(self, names: list[str]) -> None:
        self._states: dict[str, tuple[float, str, str]] = dict.fromkeys(names, (0.0, "waiting", ""))
        self._live: Any = None
        if sys.stdout.isatty():
            from rich.live import Live

            self._live = Live(get_renderable=self._table, refresh_per_second=8)
            self._live.start()

    def told(self, seconds: float, name: str, state: str, reason: str) -> None:
        self._states[name] = (seconds, state, reason)
        if self._live is None:
            print(line(seconds, name, state, reason), flush=True)

    def finish(self) -> None:
        """From here on changes are shown as lines."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        for head in ("process", "state", "at", ""):
            table.add_column(head)
        for name, (seconds, state, reason) in self._states.items():
            at = f"{seconds:.1f} s" if state != "waiting" else ""
            table.add_row(name, Text(state, STYLES.get(state, "")), at, Text(reason))
        return table


def line(seconds: float, name: str, state: str, reason: str = "") -> str:
    return f"{seconds:7.2f} s  {name:<12} {state}{': ' + shorten(reason, LONGEST_REASON) if reason else ''}"


def summary(state: StackState) -> str:
    """When each process became healthy, and when all were."""
    ready: dict[str, float] = {}
    for seconds, name, what in state.timeline:
        if what in ("healthy", "done"):
            ready.setdefault(name, seconds)
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(ready.items(), key=lambda item: item[1]))
    return f"healthy after {max(ready.values(), default=0.0):.1f} s ({parts})"
