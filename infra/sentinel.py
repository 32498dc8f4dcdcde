"""The drift sentinel of a worker: threads that look over the documents of the worker's partitions, and say and heal what
they find (streams.sentinel)."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread

import faust

from connectors.ports import Away, Conflict, Superseded
from infra import proof
from infra.drift import Reports
from infra.settings import Settings
from projections.projection import KeyedProjection
from schemas.corrections import made_with
from schemas.log import TopicPartition
from streams.failure import backoff
from streams.heal import heal
from streams.prove import Documents
from streams.sentinel import Finding, Pace, Stopped, check_folds, check_hashes, owned_buckets
from streams.settled import demand_settled

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0  # between rounds, so that a small view does not keep the store busy
STOP_SECONDS = 5.0

Owned = Callable[[], Iterable[TopicPartition]]


@dataclass(frozen=True)
class Watched:
    """A view of documents that a worker runs, and which partitions are its just now."""

    projection: KeyedProjection
    owned: Owned


Round = Callable[[Watched, proof.Decoders, Pace, Reports], None]


class Sentinel:
    """One worker's. Two threads share `settings.sentinel_share` of a core."""

    def __init__(self, settings: Settings, actor: str, watched: Iterable[Watched]) -> None:
        self._settings, self._actor, self._watched = settings, actor, tuple(watched)
        self._stop = Event()
        self._threads: list[Thread] = []

    def start(self) -> None:
        if self._settings.sentinel_share <= 0 or not self._watched:
            return
        # A round of hashes is all its own thread's work; polars and the client fold in threads of their own.
        rounds: tuple[tuple[str, Round, Callable[[], float]], ...] = (
            ("hashes", self.hash_round, time.thread_time),
            ("folds", self.fold_round, time.monotonic),
        )
        for name, round_of, clock in rounds:
            thread = Thread(target=self._run, args=(round_of, clock), name=f"sentinel-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def _run(self, round_of: Round, clock: Callable[[], float]) -> None:
        """Rounds over all views until it is stopped. What a store or broker that is away interrupts begins again later."""
        # Once: each round would pay for them a hundred times over, by resting.
        mine = [(watched, proof.decoders_of(self._settings, watched.projection)) for watched in self._watched]
        pace = Pace(min(1.0, self._settings.sentinel_share) / 2, self._stop, clock)
        reports, tries = Reports(self._settings, self._actor), 0
        try:
            while True:
                for watched, decoders in mine:
                    work = partial(round_of, watched, decoders, pace, reports)
                    tries = self._survived(work, tries)
                    pace.wait(backoff(tries) if tries else IDLE_SECONDS)
        except Stopped:
            return

    def _survived(self, work: Callable[[], None], tries: int) -> int:
        """How often in a row it was in vain."""
        try:
            work()
        except (Away, Superseded, Conflict) as error:
            log.info("the sentinel waits: %s", error)
            return tries + 1
        except ValueError as error:
            log.warning("the sentinel can't fold: %s", error)
            return tries + 1
        return 0

    def hash_round(self, watched: Watched, decoders: proof.Decoders, pace: Pace, reports: Reports) -> None:
        """Check the documents of the worker's partitions against their hashes, once."""
        with self._documents(watched, decoders) as (documents, buckets, corrections):
            for finding in check_hashes(documents, buckets, pace):
                self._deal_with(documents, corrections, [finding], reports)

    def fold_round(self, watched: Watched, decoders: proof.Decoders, pace: Pace, reports: Reports) -> None:
        """Fold their keys anew from the log, once."""
        with self._documents(watched, decoders) as (documents, buckets, corrections):
            for _, findings in check_folds(documents, buckets, self._settings.sentinel_keys, pace):
                self._deal_with(documents, corrections, findings, reports)

    @contextmanager
    def _documents(self, watched: Watched, decoders: proof.Decoders) -> Iterator[tuple[Documents, list[int], int]]:
        """The live version, the buckets to look over (none of a version whose documents have no hashes), and which
        corrections the version has."""
        partitions = {source.partition for source in watched.owned()}
        with proof.parts_of(self._settings, watched.projection, decoders) as parts:
            documents = parts.documents
            complete = documents.leaves.complete(documents.version)
            buckets = owned_buckets(documents, sorted(partitions)) if complete else []
            yield documents, buckets, made_with(parts.facts)

    def _deal_with(self, documents: Documents, corrections: int, findings: list[Finding], reports: Reports) -> None:
        if not findings or documents.store.live() != documents.version:
            return  # a version that is being dropped has neither documents nor hashes
        # After the documents were read: what a redrive had made anew by then was no drift.
        demand_settled(documents.store, documents.version, corrections)
        view = documents.source.projection.name
        for finding in findings:
            reports.found(view, documents.version, finding)
        if self._settings.sentinel_heal:  # also what was said before: healing may have been interrupted
            for key, leaf in heal(documents, [finding.key for finding in findings]).items():
                reports.healed(view, documents.version, key, leaf)


class SentinelService(faust.Service):  # type: ignore[misc]
    """Runs a sentinel inside the worker's life."""

    logger = logging.getLogger(f"{__name__}.Service")

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        super().__init__()

    async def on_start(self) -> None:
        self._sentinel.start()

    async def on_stop(self) -> None:
        await asyncio.to_thread(self._sentinel.stop)
