"""The drift sentinel of a worker: threads that look over the documents of the worker's partitions, and say and heal what
they find (streams.sentinel)."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import faust

from connectors.command_writer import CommandWriter
from connectors.ports import Away, Conflict, Superseded
from infra import compose, proof
from infra.settings import Settings
from projections.projection import KeyedProjection
from schemas import contract as contracts
from schemas.drift_messages import DRIFT_TOPIC, Drift, DriftFound, DriftHealed
from schemas.log import TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages
from streams.failure import backoff
from streams.heal import heal
from streams.identities import event_id
from streams.prove import Documents
from streams.sentinel import Finding, Pace, Stopped, check_folds, check_hashes, owned_buckets

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0  # between rounds, so that a small view does not keep the store busy
REMEMBERED = 10_000  # findings that were said already
STOP_SECONDS = 5.0

Owned = Callable[[], Iterable[TopicPartition]]


class Reports:
    """Says on the topic of drift what was found and healed, each finding once."""

    def __init__(self, settings: Settings, actor: str) -> None:
        self._settings, self._actor = settings, actor
        self._writer: CommandWriter | None = None
        self._said: dict[tuple[str, int, str], Finding] = {}

    def found(self, view: str, version: int, finding: Finding) -> bool:
        """Whether it is news; raises Away where it can't be written."""
        name = (view, version, finding.key)
        if self._said.get(name) == finding:
            return False
        log.error("%s: %s is not what the log implies (%s)", view, finding.key, finding.fault)
        event = DriftFound(
            **_about(self._actor, view, version, finding.key),
            fault=finding.fault,
            found_sha256=_hex(finding.found),
            expected_sha256=_hex(finding.expected),
        )
        self._write(event)
        if len(self._said) >= REMEMBERED:
            self._said.clear()
        self._said[name] = finding
        return True

    def healed(self, view: str, version: int, key: str, leaf: bytes | None) -> None:
        """Raises Away where it can't be written."""
        log.warning("%s: %s was made again from the log", view, key)
        self._write(DriftHealed(**_about(self._actor, view, version, key), sha256=_hex(leaf)))
        self._said.pop((view, version, key), None)

    def _write(self, event: Drift) -> None:
        if self._writer is None:
            topic, schemas = contracts.load().topics[DRIFT_TOPIC], compose.registry(self._settings)
            codec = Messages(topic, message_types(topic), schemas.register, schemas.schema)
            self._writer = CommandWriter(self._settings.kafka, {DRIFT_TOPIC: codec})
        self._writer.write(DRIFT_TOPIC, f"{event.view}/{event.key}", event)


def _about(actor: str, view: str, version: int, key: str) -> dict[str, Any]:
    command, now = str(uuid4()), time.time_ns() // 1_000
    return {
        "event_id": event_id(command, 0), "command_id": command, "correlation_id": command, "occurred_at": now,
        "received_at": now, "actor": actor, "view": view, "version": version, "key": key,
    }  # fmt: skip


def _hex(leaf: bytes | None) -> str | None:
    return None if leaf is None else leaf.hex()


@dataclass(frozen=True)
class Watched:
    """A view of documents that a worker runs, and which partitions are its just now."""

    projection: KeyedProjection
    owned: Owned


class Sentinel:
    """One worker's. Two threads share `settings.sentinel_share` of a core."""

    def __init__(self, settings: Settings, actor: str, watched: Iterable[Watched]) -> None:
        self._settings, self._actor, self._watched = settings, actor, tuple(watched)
        self._stop = Event()
        self._threads: list[Thread] = []

    def start(self) -> None:
        if self._settings.sentinel_share <= 0 or not self._watched:
            return
        for name, round_of in (("hashes", self.hash_round), ("folds", self.fold_round)):
            thread = Thread(target=self._run, args=(round_of,), name=f"sentinel-{name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def _run(self, round_of: Callable[[Watched, Pace, Reports], None]) -> None:
        """Rounds over all views until it is stopped. What a store or broker that is away interrupts begins again later."""
        pace = Pace(min(1.0, self._settings.sentinel_share) / 2, self._stop)
        reports, tries = Reports(self._settings, self._actor), 0
        try:
            while True:
                for watched in self._watched:
                    tries = self._survived(lambda one=watched: round_of(one, pace, reports), tries)  # type: ignore[misc]
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

    def hash_round(self, watched: Watched, pace: Pace, reports: Reports) -> None:
        """Check the documents of the worker's partitions against their hashes, once."""
        with self._documents(watched) as (documents, buckets):
            for finding in check_hashes(documents, buckets, pace):
                self._deal_with(documents, [finding], reports)

    def fold_round(self, watched: Watched, pace: Pace, reports: Reports) -> None:
        """Fold their keys anew from the log, once."""
        with self._documents(watched) as (documents, buckets):
            for _, findings in check_folds(documents, buckets, self._settings.sentinel_keys, pace):
                self._deal_with(documents, findings, reports)

    @contextmanager
    def _documents(self, watched: Watched) -> Iterator[tuple[Documents, list[int]]]:
        """The live version and the buckets to look over: none of a version whose documents have no hashes."""
        partitions = {source.partition for source in watched.owned()}
        with proof.parts_of(self._settings, watched.projection) as parts:
            documents = parts.documents
            complete = documents.leaves.complete(documents.version)
            yield documents, owned_buckets(documents, sorted(partitions)) if complete else []

    def _deal_with(self, documents: Documents, findings: list[Finding], reports: Reports) -> None:
        if not findings or documents.store.live() != documents.version:
            return  # a version that is being dropped has neither documents nor hashes
        view = documents.source.projection.name
        news = [finding.key for finding in findings if reports.found(view, documents.version, finding)]
        if self._settings.sentinel_heal and news:
            for key, leaf in heal(documents, news).items():
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
