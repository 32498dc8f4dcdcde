"""Where the views stand: versions and their states, position, lag, rate, and what was verified last."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.ports import LogReader
from infra import compose
from infra.settings import Settings
from projections.projection import KeyedProjection, Projection
from streams.versions import State, Version, versions_of

VERIFIED = "verified"
"""The fact of a version that says when and how it was verified last, as JSON."""


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """A version. Of one that is being built: the records folded by now of those there were, records per second, seconds
    that are left at this rate, and seconds since its builder gave a sign."""

    number: int
    state: str
    records: int | None = None
    total: int | None = None
    rate: float | None = None
    eta: float | None = None
    silent: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """A view's versions and where its live one stands.

    `folded` adds up its positions; `lag` counts records that are in the log and not yet folded. `rate` is how many were
    folded per second while it was looked at (None: it was looked at once), `eta` the seconds until the lag is gone at that
    rate (None: nothing moves). `verified` is what the last verification found and when, if there was one.
    """

    name: str
    kind: str
    topics: tuple[str, ...]
    live: int
    versions: tuple[VersionStatus, ...]
    folded: int
    lag: int
    halted: dict[str, str]
    verified: dict[str, Any] | None = None
    rate: float | None = None
    eta: float | None = None


def statuses(settings: Settings, views: Sequence[Projection], log: LogReader, seconds: float) -> list[ViewStatus]:
    """Where views stand, looked at twice with so many seconds in between, to know their rates."""
    before, started = {view.name: status(settings, view, log) for view in views}, time.monotonic()
    time.sleep(seconds)
    found = []
    for view in views:
        now = status(settings, view, log)
        moved = now.folded - before[view.name].folded if now.live == before[view.name].live else 0
        rate = max(0, moved) / max(1e-9, time.monotonic() - started)
        eta = 0.0 if not now.lag else now.lag / rate if rate else None
        found.append(replace(now, rate=rate, eta=eta))
    return found


def status(settings: Settings, projection: Projection, log: LogReader) -> ViewStatus:
    """Where a view stands."""
    store = compose.store(settings, projection)
    try:
        versions = versions_of(store)
        live = next(version for version in versions if version.state is State.LIVE)
        positions = store.positions(live.number)
    finally:
        store.close()
    bounds = log.bounds(projection.topics)
    verified = live.facts.get(VERIFIED)
    return ViewStatus(
        projection.name,
        "documents" if isinstance(projection, KeyedProjection) else "rows",
        projection.topics,
        live.number,
        tuple(_version(version) for version in versions),
        sum(positions.values()),
        sum(max(0, end - positions.get(source, low)) for source, (low, end) in bounds.items()),
        _halts(settings, projection.name),
        None if verified is None else json.loads(verified),
    )


def _version(version: Version) -> VersionStatus:
    if version.state in (State.LIVE, State.RETIRED, State.READY) or "records" not in version.facts:
        return VersionStatus(version.number, version.state, reason=version.facts.get("reason"))
    records, total, rate = (int(version.facts[name]) for name in ("records", "total", "rate"))
    building = version.state is State.BUILDING
    return VersionStatus(
        version.number,
        version.state,
        records,
        total,
        float(rate),
        (total - records) / rate if building and rate else None,
        version.seconds_silent(time.time()) if building else None,
        version.facts.get("reason"),
    )


def _halts(settings: Settings, view: str) -> dict[str, str]:
    """Partitions that the local workers say are halted, with the reason. A worker that does not answer says nothing:
    `fleetlog status` is where its absence shows."""
    halts: dict[str, str] = {}
    for index in range(settings.workers):
        url = f"http://{settings.host}:{settings.worker_metrics_port + index}/health"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                detail = json.load(answer)
        except urllib.error.HTTPError as error:
            detail = json.load(error)
        except OSError:
            continue
        halts |= detail["views"].get(view, {}).get("halted", {})
    return halts
