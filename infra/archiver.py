"""The archiver process: writes closed segments of the log to the archive, again and again, and lets the log lose what is
old, archived and proven.

It keeps nothing that the archive does not: killed at any point, the next one goes on. While the broker, the registry, a
view's store or the archive is away it waits. What waiting does not mend (an archive of another log, a damaged object) it
says in its log, its health and its metrics, and archives all the rest meanwhile.
"""

import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.process_collector import ProcessCollector

from connectors.archive import Overtaken
from connectors.objects import Refused
from connectors.ports import Away
from connectors.process import give_back_memory
from connectors.prometheus import serve
from infra.archive import Archiving
from infra.settings import Settings
from schemas.archive.segment import Damaged
from streams.archive_guard import Verdict
from streams.archiving import BrokenOff, Outcome

log = logging.getLogger(__name__)

GUARD_SECONDS = 60.0  # between two rounds of the guard: it lets go of what is days old
GRACE_SECONDS = 10.0  # after its start its health tells of no trouble: the stack is not to fail for an archive


class Work(Protocol):
    """See infra.archive.Archiving."""

    def run(self, all_of_it: bool, report: Callable[[Outcome], None]) -> list[Outcome]: ...

    def guard(self, dry: bool) -> list[Verdict]: ...


class Figures:
    """What the process has done, for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.records = self._counter("fleetlog_archived_records", "Records archived", "topic")
        self.bytes = self._counter("fleetlog_archived_bytes", "Bytes of segments written", "topic")
        self.released = self._counter("fleetlog_archive_released_offsets", "Offsets that the log let go of", "topic")
        self.failures = self._counter("fleetlog_archive_failures", "Rounds that were not finished", "why")
        self.waiting = self._gauge("fleetlog_archive_waiting_offsets", "Offsets in segments that are still open", "topic")
        self.oldest = self._gauge(
            "fleetlog_archive_oldest_waiting_timestamp_seconds",
            "Of the oldest record that is not archived; 0: none",
            "topic",
        )
        self.held = self._gauge("fleetlog_archive_held", "1 while the guard holds what is old enough", "topic", "partition")
        self.finished = self._gauge("fleetlog_archive_last_run_timestamp_seconds", "When a round was finished last")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def archived(self, outcome: Outcome) -> None:
        self.records.labels(outcome.topic).inc(outcome.records)
        self.bytes.labels(outcome.topic).inc(outcome.bytes)
        self.waiting.labels(outcome.topic).set(outcome.waiting)
        self.oldest.labels(outcome.topic).set((outcome.oldest_waiting or 0) / 1000)

    def guarded(self, verdict: Verdict) -> None:
        self.released.labels(verdict.source.topic).inc(verdict.now - verdict.before)
        self.held.labels(verdict.source.topic, str(verdict.source.partition)).set(bool(verdict.held))


class ArchiverProcess:
    """Rounds of archiving and guarding.

    Attributes:
        away: what the newest round waits for; empty if for nothing.
        trouble: what kept the newest round from being whole and waiting does not mend; empty if nothing.
        held: what the guard holds though it is old enough, and why, by partition.
    """

    def __init__(self, work: Work, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: seconds."""
        self._work, self._clock = work, clock
        self._began, self._guarded = clock(), float("-inf")
        self.figures = Figures()
        self.away = self.trouble = ""
        self.held: dict[str, str] = {}

    def round(self) -> None:
        """Archive what is closed, and from time to time let go of what may go."""
        try:
            self._work.run(False, self.figures.archived)
            if self._clock() - self._guarded >= GUARD_SECONDS:
                self._guard(self._work.guard(dry=False))
                self._guarded = self._clock()
        except (Away, Overtaken) as away:
            self.figures.failures.labels("away").inc()
            if str(away) != self.away:
                log.warning("archiving waits: %s", away)
            self.away, self.trouble = str(away), ""
        except (BrokenOff, Damaged, Refused) as trouble:
            self.figures.failures.labels("trouble").inc()
            if str(trouble) != self.trouble:
                log.error("not all is archived: %s", trouble)
            self.away, self.trouble = "", str(trouble)
        else:
            self.figures.finished.set_to_current_time()
            self.away = self.trouble = ""

    def _guard(self, verdicts: Sequence[Verdict]) -> None:
        held = {str(verdict.source): verdict.held for verdict in verdicts if verdict.held}
        for source, why in held.items():
            if self.held.get(source) != why:
                log.warning("%s: nothing more may leave the log: %s", source, why)
        self.held = held
        for verdict in verdicts:
            self.figures.guarded(verdict)

    def health(self) -> tuple[bool, object]:
        """Whether all is well, and the details."""
        young = self._clock() - self._began < GRACE_SECONDS
        return young or not self.trouble, {"waits for": self.away, "trouble": self.trouble, "held": self.held}


def run(settings: Settings) -> int:
    """Run until a signal asks to stop; returns the exit code.

    Raises:
        OSError: the metrics port is taken.
        SettingError: FLEETLOG_ARCHIVE names no place for an archive.
    """
    archiving = Archiving(settings)
    process = ArchiverProcess(archiving)
    serve(settings.host, settings.archiver_metrics_port, process.figures.registry, process.health)
    # Whatever a round is at: it loses nothing by ending here.
    signal.signal(signal.SIGTERM, _end)
    try:
        while True:
            process.round()
            give_back_memory()
            time.sleep(settings.archive_every)
    finally:
        archiving.close()


def _end(*_: object) -> NoReturn:
    sys.exit(0)
