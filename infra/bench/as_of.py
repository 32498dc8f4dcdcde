"""How fast one device, and the fleet, is told as of a time: from a snapshot, beside the same answer folded from the log's
beginning.

A real broker holds one topic of telemetry. A snapshot of device_state holds all of it but the newest records; the answers
with and without it are compared before any figure counts.
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from connectors.ports import LogReader
from connectors.view_snapshot_files import ViewSnapshotFiles
from connectors.view_snapshots import MemoryViewSnapshots
from infra import compose
from infra.bench.memory import registered
from infra.bench.report import Figures
from infra.bench.topic import FIRST_MOMENT, Fleet, fill
from infra.stack.harness import Stack, running_stack
from projections.as_of import Moment
from projections.catalogue import DEVICE_STATE
from schemas import contract as contracts
from schemas.log import Batch, TopicPartition
from streams.as_of import AsOf
from streams.snapshotting import Parts, make

T = TypeVar("T")
RECORDS, DEVICES = 600_000, 10_000
SINCE = 60_000
"""Records behind the snapshot: what comes in a minute at 1,000/s."""
MOST_MILLISECONDS = 100.0
SERVICES = ("broker", "registry", "topics", "schemas")

ABOUT = """\
Milliseconds until the state of one device as of a time is told (device_state; the median of different devices and times),
from a topic of telemetry with 6 partitions on a real broker, three readings in a record. `at_most` is what it may take.

- `fleetlog`: from the snapshot, which holds all but the newest records: its document, and what its partition holds since;
- `without snapshots`: the same question, folded from the log's beginning.

The details give the same for the fleet, in seconds for each million records since a snapshot of a sixth of the log (at most
5), what of them is processor time, and what a snapshot costs. Every answer was the same with and without the snapshot,
document by document."""


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A log as it was when it held so many records of each partition."""

    log: LogReader
    share: float

    def bounds(self, topics: Iterable[str]) -> dict[TopicPartition, tuple[int, int]]:
        return {source: (low, int(end * self.share)) for source, (low, end) in self.log.bounds(topics).items()}

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        return self.log.read(source, start, stop)

    def close(self) -> None:
        self.log.close()


def run(seconds: float, records: int = RECORDS, devices: int = DEVICES, since: int = SINCE) -> dict[str, Any]:
    """Ask for devices for about `seconds`, and for the fleet once each way.

    Raises:
        StackError: the stack can't be started.
        RuntimeError: an answer is another one without the snapshot.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=SERVICES) as stack,
    ):
        fill(stack.settings.kafka, Fleet(records, devices), registered(stack), create=False)
        with_it, without = _parts(stack, Path(directory) / "snapshots")
        last = Moment(*[FIRST_MOMENT + 1_000 * records] * 2)
        detail = _fleet(with_it, without, records, last)
        made = _took(lambda: make(replace(with_it, log=_Earlier(with_it.log, 1 - since / records)), 2))[0]
        moments = [Moment(at, at) for at in range(last.at - 1_000 * since, last.at, 17 * since)]
        ours, theirs, processor = _devices(AsOf(with_it), AsOf(without), moments, devices, seconds)
        with_it.log.close()
    about = {"records": records, "devices": devices, "records_since_the_snapshot": since, "devices_asked_for": len(ours)}
    return Figures(
        bench="as-of",
        unit="ms",
        ours=median(ours),
        peers={"without snapshots": median(theirs)},
        limits={"at_most": MOST_MILLISECONDS},
        targets={"at_most": 1.0},
        smaller_is_better=True,
        about=ABOUT,
        detail={
            **about,
            "slowest_ms": max(ours),
            "processor_ms": processor,
            **detail,
            "seconds_to_make_the_later_snapshot": made,
        },
    ).result()


def _fleet(with_it: Parts, without: Parts, records: int, moment: Moment) -> dict[str, float]:
    """Seconds for the fleet with a sixth of the log in a snapshot, and with none; and what of them is processor time."""
    make(replace(with_it, log=_Earlier(with_it.log, 1 / 6)), 1)
    ours, cpu, fleet = _took(lambda: dict(AsOf(with_it).documents(moment)[0]))
    theirs, their_cpu, expected = _took(lambda: dict(AsOf(without).documents(moment)[0]))
    if fleet != expected:
        raise RuntimeError("the fleet is another one without the snapshot")
    millions = records * 5 / 6 / 1e6
    return {
        "fleet_seconds_per_million_since": ours / millions,
        "fleet_processor_seconds_per_million_since": cpu / millions,
        "fleet_seconds": ours,
        "fleet_seconds_without": theirs,
        "fleet_processor_seconds_without": their_cpu,
    }


def _parts(stack: Stack, directory: Path) -> tuple[Parts, Parts]:
    """What as-of is made with: with files for snapshots, and without any."""
    log = compose.log_reader(stack.settings)
    decoders = compose.decoders(DEVICE_STATE, contracts.load(), compose.registry(stack.settings))
    with_it = Parts(DEVICE_STATE, log, decoders, ViewSnapshotFiles(directory))
    return with_it, replace(with_it, snapshots=MemoryViewSnapshots())


def _devices(
    ours: AsOf, theirs: AsOf, moments: list[Moment], devices: int, seconds: float
) -> tuple[list[float], list[float], float]:
    """Milliseconds of each question, both ways (the first of each warms up); and how many of ours are processor time."""
    until, found, processor = time.monotonic() + seconds, (list[float](), list[float]()), list[float]()
    for number, moment in enumerate(moments * 20):
        key = f"device-{number * 7919 % devices:06}"
        took, cpu, (document, _) = _took(partial(ours.document, key, moment))
        found[0].append(took * 1e3)
        processor.append(cpu * 1e3)
        if number % 20 == 0:
            took, _, (expected, _) = _took(partial(theirs.document, key, moment))
            found[1].append(took * 1e3)
            if document != expected:
                raise RuntimeError(f"{key} is another one without the snapshot, at {moment}")
        if time.monotonic() > until and len(found[1]) > 1:
            break
    return found[0][1:], found[1][1:], median(processor[1:])


def _took(work: Callable[[], T]) -> tuple[float, float, T]:
    """Seconds, and processor seconds, that something takes; and what it gives."""
    began, cpu = time.perf_counter(), time.process_time()
    done = work()
    return time.perf_counter() - began, time.process_time() - cpu, done
