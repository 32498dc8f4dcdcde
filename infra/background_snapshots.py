"""Snapshots made by a worker while it runs: every so many records or seconds, each by a process of its own, so that neither
the fold nor its memory is the worker's."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Mapping

import faust

from connectors.view_snapshots import ViewSnapshots
from infra.settings import Settings, child_environment
from schemas.log import TopicPartition

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0
SETTLE_SECONDS = 60.0
"""A worker that has just started has better to do: it catches up."""
Ends = Callable[[], Mapping[TopicPartition, int]]


class BackgroundSnapshots(faust.Service):  # type: ignore[misc]
    """Makes snapshots of some views, one at a time. Whatever fails is said in the log and tried again in its time."""

    def __init__(self, settings: Settings, snapshots: ViewSnapshots, views: Mapping[str, Ends]) -> None:
        """`views`: by name, up to where the partitions that this worker has can be read."""
        self._settings, self._snapshots, self._views = settings, snapshots, views
        self._tried = dict.fromkeys(views, time.monotonic())
        self._process: asyncio.subprocess.Process | None = None
        super().__init__()

    async def on_stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()  # what it has begun to write is nobody's, and removed by the next
            await self._process.wait()

    @faust.Service.task  # type: ignore[untyped-decorator]
    async def _look(self) -> None:
        while not self.should_stop:
            await self.sleep(LOOK_SECONDS)
            for view in self._views:
                if not self.should_stop and await asyncio.to_thread(self.due, view, time.monotonic()):
                    await self.make(view)

    def due(self, view: str, now: float) -> bool:
        """Whether a snapshot is to be made: there are records that the newest does not hold, and so many of them or so late
        that it is time. `now` is by the clock time.monotonic."""
        waited = now - self._tried[view]
        if waited < min(SETTLE_SECONDS, self._settings.snapshot_seconds):
            return False
        heads, _ = self._snapshots.heads(view)
        positions = heads[0].positions if heads else {}
        new = sum(max(0, end - positions.get(str(source), 0)) for source, end in self._views[view]().items())
        return new > 0 and (new >= self._settings.snapshot_records or waited >= self._settings.snapshot_seconds)

    async def make(self, view: str) -> None:
        """Make one, in a process of its own."""
        pipe, command = asyncio.subprocess.PIPE, (sys.executable, "-P", "-m", "infra.cli.main", "snapshot", "make", view)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
                env=child_environment(self._settings.environment()),
                start_new_session=True,
            )
            told, wrong = await self._process.communicate()
        except OSError as error:
            log.warning("no snapshot of %s was made: %s", view, error)
        else:
            if self._process.returncode:
                log.warning("no snapshot of %s was made: %s", view, wrong.decode(errors="replace").strip()[-1_000:])
            else:
                log.info("%s", told.decode(errors="replace").strip())
        self._tried[view] = time.monotonic()
