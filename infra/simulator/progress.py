"""How a run shows itself, on standard error: a live line on a terminal, wrapped where that is narrow; else a plain line
every few seconds."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from infra.simulator.tally import Tally

LIVE_SECONDS = 0.5
PLAIN_SECONDS = 5.0
NAMED_ERRORS = 4


def line(tally: Tally, rate: float) -> str:
    """A run in one line; `rate` in acknowledged records/s."""
    errors = ", ".join(f"{name} {count:,}" for name, count in tally.errors.most_common(NAMED_ERRORS)) or "none"
    return (
        f"{tally.seconds:6.0f} s  devices {tally.registered:,}/{tally.devices:,}  sent {tally.sent:,}  "
        f"acknowledged {tally.acknowledged:,}  in flight {tally.in_flight}  {rate:,.0f} records/s  "
        f"retries {tally.retries:,}  errors: {errors}"
    )


class Progress:
    """Shows a run while it is open. `quiet` shows nothing."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True)
        terminal = self._console.is_terminal
        self.every = LIVE_SECONDS if terminal else PLAIN_SECONDS
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if terminal and not quiet else None
        self._quiet = quiet
        self._before = (time.monotonic(), 0)

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, tally: Tally) -> None:
        now = time.monotonic()
        then, acknowledged = self._before
        self._before = (now, tally.acknowledged)
        text = line(tally, (tally.acknowledged - acknowledged) / max(now - then, 1e-6))
        if self._live is not None:
            self._live.update(Text(text), refresh=True)
        elif not self._quiet:
            print(text, file=sys.stderr, flush=True)
