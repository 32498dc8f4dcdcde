"""How fast views are made anew from the log, and in how much memory; beside bare consumption and a fold record by record.

One topic of telemetry is rebuilt into both kinds of views. Each contestant is a process of its own (and its children), alone
at its time. First a quarter of the records, then all of them: a rate that stays the same says that the work is linear.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from infra import compose
from infra.bench.memory import registered
from infra.bench.report import Figures
from infra.bench.topic import MOST_RECORDS, Fleet, fill
from infra.settings import child_environment
from infra.stack.harness import Stack, running_stack
from projections.catalogue import find

RECORDS = 600_000
DEVICES = 2_000
VIEWS = ("device_state", "telemetry")
PROCESSES = 2
LIMIT = 600.0  # seconds that one contestant may take
MOST_MEGABYTES = 1_500.0
ONLY = ("broker", "redis", "clickhouse", "registry", "topics", "schemas")

ABOUT = """\
A topic of telemetry (three readings a record, 6 partitions) is made into new versions of the views `device_state` (documents
in Redis) and `telemetry` (rows in ClickHouse). Rates are records per second of CPU time of the process and its children, so
that neither idle waiting nor what else the machine does counts; the stores' own processes are not in it. fleetlog's rate is
that of both views together, beside

- `per_record`: fastavro and what `device_state` knows, a record at a time into dicts, as one writes it who needs no other
  view: no proof that records are canonical, no hashes, nothing stored (60,000 records). `per_record plain` is the same with
  the schema's logical types taken off, so that fastavro makes no datetimes;
- `librdkafka`: the limit, batches consumed by its Python client and nothing done with them, as many at once as is quickest.
  `librdkafka uncollected` is the same with Python's collector kept from the messages, as a rebuild keeps it. It decodes
  nothing: polars' decoder alone takes longer for a record than this limit.

`wall` are records per second of a clock on the wall. `linear` is the rate of all records divided by that of a quarter of
them, `faster` the clock's time in one process divided by that in two, both start-up included."""


def run(seconds: float, records: int = RECORDS, devices: int = DEVICES) -> dict[str, Any]:
    """Measure each contestant once; `seconds` is not looked at, the records say how long it takes.

    Raises:
        StackError: the stack can't be started.
        RuntimeError: a contestant failed; the message holds what it said.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=ONLY) as stack,
    ):
        quarter = max(1, records // 4)
        _fill(stack, quarter, devices, 1)
        early = {view: rebuilt(stack, view, 1) for view in VIEWS}
        _fill(stack, records - quarter, devices, 2)
        bare, barest, single, plain = (contest(stack, kind) for kind in ("bare", "barest", "per_record", "per_record_plain"))
        ours = {view: rebuilt(stack, view, 1) for view in VIEWS}
        more = {view: rebuilt(stack, view, PROCESSES) for view in VIEWS}
    together = sum(one["records"] for one in ours.values()) / sum(one["cpu"] for one in ours.values())
    detail: dict[str, Any] = {"records": records, "devices": devices, "librdkafka wall": bare["records"] / bare["seconds"]}
    detail |= {"librdkafka uncollected": _rate(barest), "per_record plain": _rate(plain)}
    for view in VIEWS:
        detail |= {
            f"{view} rate": _rate(ours[view]),
            f"{view} wall": ours[view]["records"] / ours[view]["seconds"],
            f"{view} linear": _rate(ours[view]) / _rate(early[view]),
            f"{view} faster": ours[view]["seconds"] / more[view]["seconds"],
        }
    most = max(one["megabytes"] for one in (*ours.values(), *more.values()))
    return Figures(
        bench="rebuild",
        ours=together,
        peers={"per_record": _rate(single)},
        limits={"librdkafka": _rate(bare)},
        unit="records/s of CPU",
        targets={"per_record": 10.0, "librdkafka": 0.5},
        about=ABOUT,
        detail=detail | {"megabytes": most, "at most": MOST_MEGABYTES},
    ).result()


def contest(stack: Stack, *arguments: str) -> dict[str, float]:
    """What a contestant says of itself (infra.bench.peers.rebuilding).

    Raises:
        RuntimeError: it failed, or took too long.
    """
    command = [sys.executable, "-m", "infra.bench.peers.rebuilding", *arguments]
    environment = child_environment(stack.settings.environment())
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT, env=environment)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{' '.join(arguments)} took more than {LIMIT:.0f} s") from error
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()[-2_000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def rebuilt(stack: Stack, view: str, processes: int) -> dict[str, float]:
    """What the rebuild of a view says of itself. The version that it made is removed again."""
    figures = contest(stack, "rebuild", view, str(processes))
    store = compose.store(stack.settings, find(view))
    try:
        store.drop(max(store.versions()))
    finally:
        store.close()
    return figures


def _fill(stack: Stack, records: int, devices: int, seed: int) -> None:
    schema = registered(stack)
    for first in range(0, records, MOST_RECORDS):
        part = Fleet(min(MOST_RECORDS, records - first), devices, seed + first // MOST_RECORDS)
        fill(stack.settings.kafka, part, schema, create=False)


def _rate(figures: dict[str, float]) -> float:
    """Records per second of CPU time."""
    return figures["records"] / figures["cpu"]
