"""A worker process: some or all views and deciders, live, in one Faust application."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import faust

from connectors.process import give_back_memory
from connectors.prometheus import PrometheusMonitor, serve
from infra import as_of, compose, deciders, rules
from infra.background_snapshots import BackgroundSnapshots
from infra.notifier import attach_notifier
from infra.sentinel import Sentinel, SentinelService, Watched
from infra.service_health import service_health
from infra.settings import SettingError, Settings
from projections.catalogue import CATALOGUE, UnknownView, find
from projections.projection import KeyedProjection, Projection
from schemas import contract as contracts
from streams.live import View, attach, make_app
from streams.live_decider import LiveDecider
from streams.live_notifier import LiveNotifier
from streams.live_rules import LiveRules

log = logging.getLogger(__name__)

TRIM_SECONDS = 2.0  # batches leave large holes in the heap: 100 MB of a worker's 310 under full load
StoreOf = Callable[[Settings, Projection], compose.Store]


def chosen(settings: Settings) -> tuple[Projection, ...]:
    """The views that a worker runs.

    Raises:
        SettingError: FLEETLOG_VIEWS names one that there is not.
    """
    if not settings.views:
        return CATALOGUE
    try:
        return tuple(find(name.strip()) for name in settings.views.split(","))
    except UnknownView as error:
        raise SettingError(f"FLEETLOG_VIEWS: {error}") from None


def make_worker(
    settings: Settings, index: int, store_of: StoreOf = compose.store
) -> tuple[faust.App, list[View], list[LiveDecider]]:
    """The application of worker `index`, its views and deciders, metrics served. `store_of` gives the store of a view."""
    contract = contracts.load()
    schemas = compose.registry(settings)
    monitor = PrometheusMonitor()
    app = make_app(f"fleetlog-worker-{index}", str(Path(settings.data) / f"faust-{index}"))
    views: list[View] = []
    watched: list[Watched] = []
    for projection in chosen(settings):
        store = store_of(settings, projection)
        make_runner = compose.runner_maker(
            settings,
            projection,
            store,
            compose.decoders(projection, contract, schemas),
            compose.dead_letters(settings, contract, schemas),
        )
        live = _prepared_live(store)
        views.append(attach(app, make_runner(1), live, compose.reader_maker(settings, projection, index), monitor))
        if isinstance(projection, KeyedProjection) and not projection.parks:
            watched.append(Watched(projection, views[-1].reader.assigned))
    app.service(SentinelService(Sentinel(settings, f"worker-{index}", watched)))
    decide = [deciders.attach_definition(app, settings, index, made, monitor) for made in deciders.chosen(settings)]
    notify = [attach_notifier(app, settings, index, monitor)] if settings.notifier else []
    if settings.snapshot_seconds > 0:
        snapped = {one.projection.name for one in watched}
        keyed = {view.name: view.reader.ends for view in views if view.name in snapped}
        app.service(BackgroundSnapshots(settings, as_of.snapshots(settings), keyed))
    engines = [rules.attach(app, settings, index, monitor)] if rules.wanted(settings) else []
    others: list[LiveNotifier | LiveRules] = [*notify, *engines]
    serve(settings.host, settings.worker_metrics_port + index, monitor.registry, lambda: _health(views, decide, others))
    service_health(settings, "worker", f"worker-{index}", monitor.registry).start()
    app.timer(TRIM_SECONDS)(_trim)
    return app, views, decide


async def _trim() -> None:
    await asyncio.to_thread(give_back_memory)


def _prepared_live(store: compose.Store) -> Callable[[], int]:
    """A function that gives the live version, made ready to be written. The store may be away when the worker starts,
    so this is done at the first assignment and not before."""
    prepared: set[int] = set()

    def live() -> int:
        version = store.live()
        if version not in prepared:
            store.prepare(version)
            prepared.add(version)
        return version

    return live


Live = View | LiveDecider | LiveNotifier | LiveRules


def _health(views: list[View], decide: list[LiveDecider], others: list[LiveNotifier | LiveRules]) -> tuple[bool, object]:
    running: list[Live] = [*views, *decide, *others]
    healthy = all(one.reader.alive and not one.halts for one in running)
    return healthy, {
        "views": {view.name: _detail(view) for view in views},
        "deciders": {decider.name: _detail(decider) for decider in decide},
        **{one.name: _detail(one) for one in others},
    }


def _detail(one: Live) -> object:
    return {
        "alive": one.reader.alive,
        "partitions": sorted(str(source) for source in one.reader.assigned()),
        "halted": {str(source): why for source, why in one.halts.items()},
        "waiting": {str(source): why for source, why in one.waits.items()},
    }


def run(settings: Settings, index: int, store_of: StoreOf = compose.store) -> int:
    """Run until a signal asks to stop; returns the exit code."""
    app, _, _ = make_worker(settings, index, store_of)
    worker = faust.Worker(app, loglevel=None, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None  # it writes to standard output, where only log lines belong
    worker.execute_from_commandline()
    return 0
