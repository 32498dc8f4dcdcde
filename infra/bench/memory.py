"""What a worker holds in memory while 100,000 devices' state is in Redis.

The whole local stack but the ingress runs on free ports; its one worker runs every view, as `fleetlog up` starts it. The
topic is filled with telemetry of 100,000 devices, and the worker's resident memory is read when all of it is folded.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from infra import compose
from infra.bench.report import Figures
from infra.bench.topic import TOPIC, Fleet, fill
from infra.stack.harness import Stack, running_stack
from projections.catalogue import CATALOGUE
from schemas import contract as contracts

DEVICES = 100_000
RECORDS_EACH = 3
MOST_MEGABYTES = 300.0
PROCESSES = ("broker", "redis", "clickhouse", "registry", "topics", "schemas", "workers")

ABOUT = """\
Resident memory (RSS) of one worker that runs every view, after it folded the telemetry of 100,000 devices whose state is
in Redis, in megabytes (10^6 bytes). `at start` is the same worker before the first record, `highest` the most it ever
had."""


def run(seconds: float, devices: int = DEVICES) -> dict[str, Any]:
    """Fill the topic and wait until every view has folded all of it, at most `seconds`.

    Raises:
        StackError: the stack can't be started.
        RuntimeError: the worker did not finish in time.
    """
    records = devices * RECORDS_EACH
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=PROCESSES) as stack,
    ):
        pid = stack.pid("worker-0")
        at_start, _ = resident(pid)
        fill(stack.settings.kafka, Fleet(records, devices), registered(stack), create=False)
        took = wait_until_folded(stack, records, seconds)
        after, highest = resident(pid)
    return Figures(
        bench="memory",
        unit="MB",
        ours=after,
        limits={"at_most": MOST_MEGABYTES},
        targets={"at_most": 1.0},
        smaller_is_better=True,
        about=ABOUT,
        detail={
            "at_start": at_start,
            "highest": highest,
            "devices": devices,
            "records": records,
            "seconds_to_fold": took,
        },
    ).result()


def registered(stack: Stack) -> int:
    """The id of the telemetry schema in the stack's registry."""
    topic = contracts.load().topics[TOPIC]
    return compose.registry(stack.settings).register(topic.subject(topic.record), topic.record.schema)


def wait_until_folded(stack: Stack, records: int, seconds: float) -> float:
    """Seconds until every view of telemetry stands at the end of the topic."""
    began = time.monotonic()
    stores = [compose.store(stack.settings, view) for view in CATALOGUE if TOPIC in view.topics]
    try:
        while time.monotonic() - began < seconds:
            folded = [
                sum(following for source, following in store.positions(1).items() if source.topic == TOPIC)
                for store in stores
            ]
            if min(folded) == records:
                return time.monotonic() - began
            time.sleep(0.2)
    finally:
        for store in stores:
            store.close()
    raise RuntimeError(f"the worker folded {min(folded)} of {records} records in {seconds:.0f} s")


def resident(pid: int) -> tuple[float, float]:
    """The process's resident memory now and at its highest, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    now, highest = (int(fields[name][0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return now, highest
