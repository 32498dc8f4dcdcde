"""A rebuild in several processes: each folds partitions of its own into the same version.

The store moves each partition's position by itself, so processes need not agree on anything. Partitions of one number
stay together: a device's records lie in the partition of the same number of every topic, so that two processes seldom
touch one document (where they do, the store has one of them fold again).
"""

import multiprocessing
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from connectors.ports import LogReader, ViewStore
from infra import compose
from infra.settings import Settings
from projections.catalogue import find
from projections.projection import RowProjection
from schemas import contract as contracts
from schemas.log import TopicPartition
from streams.folding import Fold, Stalled, Stops, Tick, fold_here
from streams.pieces import Size

# Rows cost the same in small blocks as in large ones, but for the memory.
MOST_RECORDS_OF_ROWS = 25_000
WORTH_A_PROCESS = 50_000  # records; starting one takes as long as folding so many
LISTEN_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Work:
    """What a process needs to know to fold: the view, and up to which of the corrections the log is corrected."""

    settings: Settings
    view: str
    corrections: int


class ProcessFailed(Exception):
    """A process of a rebuild ended with an error; the message is the error's."""


def folder(work: Work, store: compose.Store, log: LogReader) -> Fold:
    """A fold in this process."""
    settings, projection = work.settings, find(work.view)
    decoders = compose.decoders(projection, contracts.load(), compose.registry(settings))
    make_runner = compose.runner_maker(settings, projection, store, decoders)
    records = settings.rebuild_records
    if isinstance(projection, RowProjection):
        records = min(records, MOST_RECORDS_OF_ROWS)
    return fold_here(log, make_runner, settings.rebuild_stall_seconds, Size(records))


def fold_in_processes(work: Work, store: ViewStore, processes: int, alone: Fold) -> Fold:
    """A fold in up to `processes` processes; small ones are left to `alone`.

    The fold raises Stalled when no process makes progress for the time that is set, and ProcessFailed.
    """

    def fold(version: int, stops: Stops, tick: Tick) -> None:
        shares = shared_out(stops, store.positions(version), processes)
        if len(shares) < 2:
            alone(version, stops, tick)
        else:
            _together(work, version, shares, tick)

    return fold


def shared_out(stops: Stops, stored: Mapping[TopicPartition, int], processes: int) -> list[dict[TopicPartition, int]]:
    """The partitions as shares of about the same number of records, partitions of one number in the same share."""
    sizes: dict[int, int] = {}
    for source, stop in stops.items():
        sizes[source.partition] = sizes.get(source.partition, 0) + max(0, stop - stored.get(source, 0))
    most = min(processes, max(1, sum(sizes.values()) // WORTH_A_PROCESS))
    loads = [0] * most
    chosen: dict[int, int] = {}
    for number in sorted(sizes, key=lambda number: (-sizes[number], number)):
        chosen[number] = loads.index(min(loads))
        loads[chosen[number]] += sizes[number]
    shares: list[dict[TopicPartition, int]] = [{} for _ in loads]
    for source, stop in stops.items():
        shares[chosen[source.partition]][source] = stop
    return [share for share in shares if share]


def _together(work: Work, version: int, shares: list[dict[TopicPartition, int]], tick: Tick) -> None:
    spawning = multiprocessing.get_context("spawn")  # librdkafka and polars have threads, which a fork does not take along
    ends: dict[Connection, BaseProcess] = {}
    try:
        for share in shares:
            ours, theirs = spawning.Pipe(duplex=False)
            ends[ours] = spawning.Process(target=_fold_share, args=(theirs, work, version, share), daemon=True)
            ends[ours].start()
            theirs.close()
        _listen(ends, work.settings.rebuild_stall_seconds, tick)
    finally:
        for end, process in ends.items():
            process.terminate()
            process.join()
            end.close()


def _listen(ends: Mapping[Connection, BaseProcess], patience: float, tick: Tick) -> None:
    """Pass on what the processes tell until all are done."""
    open_ends, heard = set(ends), time.monotonic()
    while open_ends:
        ready = wait(list(open_ends), LISTEN_SECONDS)
        for end in ready:
            assert isinstance(end, Connection)
            told = _received(end, ends[end])
            if told is None:
                open_ends.discard(end)
            else:
                tick(told)
                heard = time.monotonic()
        if not ready:
            tick(0)
            if time.monotonic() - heard > patience:
                raise Stalled(f"no progress for {patience:.0f} s in any of {len(open_ends)} processes")


def _received(end: Connection, process: BaseProcess) -> int | None:
    """Records folded, or None at the end of a process's work."""
    try:
        told = end.recv()
    except EOFError:
        process.join()
        raise ProcessFailed(f"process {process.pid} of the rebuild ended with code {process.exitcode}") from None
    if isinstance(told, str):
        raise ProcessFailed(told)
    assert told is None or isinstance(told, int)
    return told


def _fold_share(end: Connection, work: Work, version: int, share: dict[TopicPartition, int]) -> None:
    """A process's work. Should the one that listens be gone, telling it fails, and that ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one decides
    log = compose.log_reader(work.settings, work.corrections)
    store = compose.store(work.settings, find(work.view))
    try:
        folder(work, store, log)(version, share, end.send)
        end.send(None)
    except BrokenPipeError:
        return
    except Exception as error:
        end.send(f"{type(error).__name__}: {error}")
        raise
    finally:
        log.close()
        store.close()
