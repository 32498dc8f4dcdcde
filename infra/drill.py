"""The disaster drill: a stack of its own is filled, archived, destroyed, restored and compared.

Nothing of the user's is touched: the stack has its own folder, ports and archive, whatever outside services the settings
name.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.archive import Archive
from connectors.folder_objects import FolderObjects
from connectors.kafka_log import KafkaLog
from infra import compose, deciders, views
from infra.archive import Archiving, milliseconds
from infra.restore import Restored, restore
from infra.settings import Settings, child_environment
from infra.stack.harness import Stack, running_stack
from projections.canonical import document_leaf
from projections.catalogue import CATALOGUE
from projections.projection import KeyedProjection, Projection
from schemas import contract as contracts
from schemas.transparency.merkle import leaf_hash, restored
from streams.archive_check import check
from streams.archiving import archived_ends

Say = Callable[[str], None]
STORES = ("broker", "redis", "clickhouse", "registry")
WRITERS = ("ingress", "authority", "worker-0")
SETTLED_SECONDS = 120.0
QUIET_SECONDS = 1.0


class DrillFailed(Exception):
    """The drill could not be carried through; the message says at what."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` of load by `devices` that register themselves, `rate` telemetry records a second over all; `lost_seconds` of
    load after the archive was written, which a restore can't bring back."""

    seconds: float = 10.0
    devices: int = 10
    rate: float = 300.0
    lost_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Content:
    """What a view held: a root over all keys, the hash of each, and its positions."""

    root: str
    hashes: Mapping[str, str]
    positions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ViewVerdict:
    view: str
    keys: int
    root: str
    equal: bool
    differing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """`rpo_records` were in the log and are in no archive, the oldest of them `rpo_seconds` old when the disaster came.
    `rto_seconds` from nothing, not even a process, until all views were made anew; of these `restore_seconds` for the log
    and the schemas."""

    archived_records: int
    archived_bytes: int
    rpo_records: int
    rpo_seconds: float
    rto_seconds: float
    restore_seconds: float
    restored: Restored
    views: tuple[ViewVerdict, ...]
    undecided: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return all(verdict.equal for verdict in self.views) and not self.undecided


@dataclass(frozen=True, slots=True)
class _Before:
    """What was there when the disaster came, at `at` (seconds since 1970)."""

    contents: Mapping[str, Content]
    records: int
    bytes: int
    lost: int
    oldest_lost: int | None
    at: float


def drill(plan: Plan, settings: Settings, folder: Path, say: Say) -> Report:
    """Carry the drill through in `folder`, which is empty.

    Raises:
        DrillFailed, StackError, and what archiving and restoring raise.
    """
    own = _own(settings, folder)
    say("starting a stack and filling it")
    with running_stack(folder / "before", settings=own) as stack:
        before = _fill(plan, stack, say)
    say("destroying it: Kafka, Redis, ClickHouse and the registry lose all they have")
    shutil.rmtree(folder / "before")
    destroyed = time.monotonic()
    with running_stack(folder / "after", only=STORES, settings=own) as stack:
        say("restoring the log and the schemas")
        began = time.monotonic()
        done = restore(stack.settings)
        restored_at = time.monotonic()
        say(f"{done.records:,} records at their offsets, {done.schemas:,} schemas; making the views anew")
        for view in CATALOGUE:
            views.rebuild_view(stack.settings, view, lambda progress: None)
        finished = time.monotonic()
        verdicts = tuple(_verdict(view.name, before.contents, content(stack.settings, view)) for view in CATALOGUE)
        undecided = tuple(_undecided(stack.settings))
    return Report(
        before.records,
        before.bytes,
        before.lost,
        0.0 if before.oldest_lost is None else before.at - before.oldest_lost / 1000,
        finished - destroyed,
        restored_at - began,
        done,
        verdicts,
        undecided,
    )


def _own(settings: Settings, folder: Path) -> Settings:
    """Settings of a stack that has nothing in common with the user's but its heaps and its Java."""
    kept = {name: getattr(settings, name) for name in ("java", "kafka_heap", "registry_heap", "host")}
    # What is archived, and when, is the drill's own to say.
    return replace(Settings(), **kept, archiver=0, archive=str((folder / "archive").resolve()))


def _fill(plan: Plan, stack: Stack, say: Say) -> _Before:
    settings = stack.settings
    _simulate(settings, plan, plan.seconds, registering=True)
    say("waiting until all that was sent is decided and folded")
    _settle(settings)
    for name in WRITERS[1:]:
        stack.stop(name)
    contents = {view.name: content(settings, view) for view in CATALOGUE}
    say("archiving")
    archiving = Archiving(settings)
    try:
        archiving.run(all_of_it=True)
    finally:
        archiving.close()
    archive = Archive(FolderObjects(Path(settings.archive)))
    for finding in check(archive, deep=True).findings:
        raise DrillFailed(f"the archive is not whole: {finding.place}: {finding.what}")
    if plan.lost_seconds:
        say("more load, which no archive takes")
        _simulate(settings, plan, plan.lost_seconds, registering=False)
    sizes = [one.size for one in archive.objects.list("topics")]
    lost, oldest = _lost(settings, archive)
    records = sum(found[0].records for topic in archive.topics() if (found := archive.manifest(topic)))
    return _Before(contents, records, sum(sizes), lost, oldest, milliseconds() / 1000)


def _simulate(settings: Settings, plan: Plan, seconds: float, registering: bool) -> None:
    arguments = (
        *("simulate", "--json", "--for", f"{seconds:g}s", "--devices", str(plan.devices), "--rate", f"{plan.rate:g}"),
        *("--heartbeat", "1s", "--seed", "1" if registering else "2", *(("--mtls",) if registering else ())),
    )
    done = subprocess.run(
        (sys.executable, "-P", "-m", "infra.cli.main", *arguments),
        env=child_environment(settings.environment()),
        cwd=settings.data,
        capture_output=True,
        text=True,
        timeout=seconds + 180,
        check=False,
    )
    if done.returncode:
        raise DrillFailed(f"the load failed: {done.stderr.strip()[-1000:]}")


def _settle(settings: Settings) -> None:
    """Wait until every view has folded and every decider has decided all that is in the log."""
    log, until = KafkaLog(settings.kafka), time.monotonic() + SETTLED_SECONDS
    archiving, topics = Archiving(settings), list(contracts.load().topics)
    try:
        while time.monotonic() < until:
            bounds = log.bounds(topics)
            waiting = (
                len(part)  # what lies behind a decider's offset may be markers of its transactions only
                for source, offset in archiving.needed().items()
                for part in log.records(source, max(offset, bounds[source][0]), bounds[source][1])
            )
            if not any(waiting):
                time.sleep(QUIET_SECONDS)
                if log.bounds(topics) == bounds:
                    return
            time.sleep(0.2)
    finally:
        archiving.close()
        log.close()
    raise DrillFailed(f"the views or deciders were still behind after {SETTLED_SECONDS:g} s")


def content(settings: Settings, view: Projection) -> Content:
    """What the live version of a view holds."""
    store = compose.store(settings, view)
    try:
        version = store.live()
        positions = store.positions(version)
        if isinstance(view, KeyedProjection):
            scanned = store.scan(version)  # type: ignore[union-attr]
            hashes = {key: document_leaf(key, document).hex() for key, document in scanned}
        else:
            hashes = store.digests(version, positions)  # type: ignore[union-attr]
    finally:
        store.close()
    leaves = b"".join(leaf_hash(f"{key}\0{hashes[key]}".encode()) for key in sorted(hashes))
    stands = {str(source): offset for source, offset in positions.items() if offset}
    return Content(restored(leaves).root().hex(), hashes, stands)


def _verdict(view: str, before: Mapping[str, Content], after: Content) -> ViewVerdict:
    was = before[view]
    keys = was.hashes.keys() | after.hashes.keys()
    differing = sorted(key for key in keys if was.hashes.get(key) != after.hashes.get(key))
    places = sorted(place for place in was.positions.keys() | after.positions.keys())
    moved = [f"position of {place}" for place in places if was.positions.get(place) != after.positions.get(place)]
    return ViewVerdict(view, len(keys), after.root, not differing and not moved, (*moved, *differing))


def _lost(settings: Settings, archive: Archive) -> tuple[int, int | None]:
    """Records that are in the log and in no archive, and the timestamp of the oldest."""
    log, ends = KafkaLog(settings.kafka), archived_ends(archive)
    times: list[int] = []
    try:
        for source, (low, end) in log.bounds(list(contracts.load().topics)).items():
            for part in log.records(source, max(low, ends.get(str(source), 0)), end):
                times += part.timestamps
    finally:
        log.close()
    return len(times), min(times, default=None)


def _undecided(settings: Settings) -> list[str]:
    """What of the commands in the restored log is not as its decider would have decided it."""
    return [f"{name}: {verdict}" for name, verdict in deciders.verify(settings).items() if not verdict.equal]
