"""Reconciliation: what was sent, acknowledged, logged and projected is the same set of records, or it is said which not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import polars as pl

from connectors.ports import KeyedStore, LogReader, RowStore
from infra.reconcile import gather, held
from infra.reconcile.corrected import CorrectedLogs, CorrectionsUntil, demand_unmoved, noted
from infra.reconcile.facts import KINDS, POSITION, Bounds, read_journal
from infra.reconcile.lifecycle_check import LifecycleVerdict
from infra.reconcile.log_check import LogVerdict, check_log
from infra.reconcile.registration_check import RegistrationVerdict
from infra.reconcile.registration_facts import reconcile_registrations
from infra.reconcile.view_check import ViewVerdict, check_documents, check_rows
from infra.simulator.journal import RECORDS, TOPICS, registrations
from projections.projection import KeyedProjection, Projection
from schemas.columns import ColumnDecoder
from schemas.contract import Contract, Schema
from schemas.record_columns import decoder_of

SchemaOf = Callable[[int], Schema]
DEAD_LETTERS = "fleet.dead-letters"


@dataclass(frozen=True)
class View:
    """A view and where it is stored."""

    projection: Projection
    store: KeyedStore | RowStore


@dataclass(frozen=True)
class Report:
    """The outcome."""

    log: LogVerdict
    undecodable: int
    views: Mapping[str, ViewVerdict]
    registrations: RegistrationVerdict | None = None
    """Of devices that registered themselves; None where the journal has none."""
    lifecycle: LifecycleVerdict | None = None
    """Of the views of registrations and certificates; None where they were not looked at."""

    @property
    def exact(self) -> bool:
        registered = self.registrations is None or self.registrations.exact
        decided = self.lifecycle is None or self.lifecycle.exact
        return self.log.exact and registered and decided and all(view.exact for view in self.views.values())

    @property
    def all_views(self) -> Mapping[str, ViewVerdict]:
        """Those of uploads and those of registrations and certificates."""
        return {**self.views, **({} if self.lifecycle is None else self.lifecycle.views)}

    def offenders(self) -> Iterable[str]:
        """The first offending records, in words."""
        for finding in (self.log.lost, self.log.duplicated, self.log.corrupted, self.log.unsent):
            yield from finding.named
        if self.registrations is not None:
            yield from (*self.registrations.lost.named, *self.registrations.duplicated.named)
        if self.lifecycle is not None:
            yield from self.lifecycle.missing.named
        for name, view in self.all_views.items():
            yield from (f"{name}: {text}" for text in (*view.lost.named, *view.duplicated.named, *view.changed.named))

    def as_json(self) -> dict[str, Any]:
        log = self.log
        return {
            "exact": self.exact,
            "sent": log.sent,
            "acknowledged": log.acknowledged,
            "logged": log.logged + self.undecodable,
            "log": {
                "lost": log.lost.count,
                "duplicated": log.duplicated.count,
                "corrupted": log.corrupted.count,
                "unsent": log.unsent.count,
                "unacknowledged": log.unacknowledged,
                "foreign": log.foreign,
                "expired": log.expired,
                "undecodable": self.undecodable,
            },
            "views": {
                name: {
                    "present": view.present,
                    "lost": view.lost.count,
                    "duplicated": view.duplicated.count,
                    "set_aside": view.set_aside,
                    "behind": view.behind,
                    "changed": view.changed.count,
                }
                for name, view in self.all_views.items()
            },
            "offenders": list(self.offenders()),
            **({} if self.registrations is None else {"registrations": self.registrations.as_json()}),
            **({} if self.lifecycle is None else {"certificates": self.lifecycle.as_json()}),
        }


class Reconciliation:
    """Gathers and compares; one use each."""

    def __init__(
        self,
        views: Mapping[str, View],
        log: LogReader,
        contract: Contract,
        schema_of: SchemaOf,
        journal: Path,
        corrections_until: CorrectionsUntil,
    ) -> None:
        """`log` as it lies; what devices sent is compared with it, and each view with the log as it counts there.
        `schema_of` gives the schema under an id, as for ColumnDecoder."""
        unknown = {topic for view in views.values() for topic in view.projection.topics} - set(TOPICS.values())
        if unknown:
            raise ValueError(f"no device writes to {', '.join(sorted(unknown))}: nothing to compare a view of it with")
        self._views, self._log, self._folder = views, log, journal
        self._logs = CorrectedLogs(log, corrections_until)
        self._contract, self._schema_of = contract, schema_of
        self._records = {TOPICS[kind]: contract.records[name] for kind, name in RECORDS.items()}
        self._decoders = {topic: decoder_of(contract.topics[topic], schema_of) for topic in self._records}
        self._letters = ColumnDecoder(contract.topics[DEAD_LETTERS].record, schema_of)

    def run(self, wait: float) -> Report:
        """Wait up to `wait` seconds for the views to come to the log's end of now, then compare.

        Raises:
            Away: the broker, the registry or a store does not answer; or what is compared changes again and again.
            JournalError: the journal is not readable, or there is none.
            NotANumber: a document counts in words.
        """
        return gather.unmoved(lambda: self._compare(wait))

    def _compare(self, wait: float) -> Report:
        # In this order: what was acknowledged by now is in the log by now, what is in the log by now was journalled.
        acknowledged = read_journal(self._folder).acknowledged
        bounds = self._log.bounds(TOPICS.values())
        journal = read_journal(self._folder)
        versions = {name: view.store.live() for name, view in self._views.items()}
        corrections = {name: noted(view.store, versions[name]) for name, view in self._views.items()}
        behind = self._wait(bounds, versions, wait)
        documents = {
            name: held.read_documents(cast(KeyedStore, view.store), versions[name], view.projection.counters)
            for name, view in self._views.items()
            if isinstance(view.projection, KeyedProjection)
        }
        # A letter is durable before the view passes its record: these are all letters of what was waited for.
        letters = gather.dead_letters(self._log, self._letters, DEAD_LETTERS)
        logs = {
            until: gather.LogGatherer(
                self._logs.log(until), self._decoders, self._records, journal, documents, letters
            ).read(bounds)
            for until in {0, *corrections.values()}
        }
        views: dict[str, ViewVerdict] = {}
        for name, view in self._views.items():
            own = self._logs.letters(corrections[name], letters.filter(pl.col("view") == name))
            topics = _Topics(view.projection.topics, bounds, logs[corrections[name]], own)
            if name in documents:
                verdict = topics.check_documents(logs[corrections[name]].documents[name], documents[name])
            else:
                verdict = topics.check_rows(self._rows(view, versions[name], topics.bounds))
            views[name] = replace(verdict, behind=behind.get(name, 0))
            demand_unmoved(name, view.store, versions[name], corrections[name])
        firsts = {source: first for source, (first, _) in bounds.items()}
        verdict_of_log = check_log(journal, acknowledged, logs[0].logged, firsts)
        return Report(verdict_of_log, len(logs[0].faulty), views, self._registrations())

    def _registrations(self) -> RegistrationVerdict | None:
        if not registrations(self._folder)[0]:
            return None
        return reconcile_registrations(self._log, self._contract, self._schema_of, self._folder)

    def _rows(self, view: View, version: int, bounds: Bounds) -> pl.DataFrame:
        counted = held.row_counts(cast(RowStore, view.store), version, bounds)
        return held.without_newer(counted, bounds, self._log.bounds(view.projection.topics))

    def _wait(self, bounds: Bounds, versions: Mapping[str, int], seconds: float) -> dict[str, int]:
        ends = {
            name: {
                source: end
                for source, (first, end) in bounds.items()
                if source.topic in view.projection.topics and end > first
            }
            for name, view in self._views.items()
        }
        positions = {name: partial(view.store.positions, versions[name]) for name, view in self._views.items()}
        return held.wait_for_views(positions, ends, seconds)


class _Topics:
    """The part of the log that one view reads."""

    def __init__(self, topics: Sequence[str], bounds: Bounds, log: gather.Log, letters: pl.DataFrame) -> None:
        self.bounds = {source: found for source, found in bounds.items() if source.topic in topics}
        read = pl.col("kind").is_in([int(KINDS[topic]) for topic in topics])
        self._logged, self._faulty = log.logged.filter(read), log.faulty.filter(read)
        self._set_aside = letters

    def check_rows(self, actual: pl.DataFrame) -> ViewVerdict:
        return check_rows(self._logged.select(*POSITION, "rows"), actual, self._faulty, self._set_aside)

    def check_documents(self, expected: pl.DataFrame, documents: held.Documents) -> ViewVerdict:
        cut = [source for source, (first, _) in self.bounds.items() if first > 0]
        partitions = pl.DataFrame(cut, {"topic": pl.String, "partition": pl.Int64}, orient="row")
        trimmed = documents.stamps.join(partitions, on=("topic", "partition")).select("device_id", counter="topic")
        return check_documents(expected, documents.counted, trimmed, self._faulty, self._set_aside)
