"""What the windows of the trends job cost Flink, beside counting the records of the same topic."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra import trends
from infra.bench.memory import registered, resident
from infra.bench.report import Figures
from infra.bench.topic import READINGS, Fleet, fill
from infra.bench.transport import cpu_seconds
from infra.settings import Settings
from infra.stack import flink
from infra.stack.harness import Stack, run_services, running_stack
from streams.trends.flink import job as jobs

RECORDS, DEVICES = 300_000, 1_000
ONLY = ("broker", "registry", "topics", "schemas")
LIMIT = 600.0  # seconds that one job may take
EVERYTHING = jobs.Span(0, 2**53)

ABOUT = """\
A topic of telemetry (three readings a record, 6 partitions) is read to its end by a job of Flink on a cluster of one job
manager and one task manager, at a parallelism of 2. Rates are records per second of the task manager's CPU time, so that
neither what waits nor what else the machine does counts.

- `windows`: the job as it runs for good, minutes, hours and sliding hours of each device and metric, written exactly once to
  fleet.trends;
- `count`: records counted by device, written nowhere. It decodes the same records, and takes no reading out of them.

Each job runs twice, in turn; the second time counts, when the Java virtual machine has compiled what it runs. `wall` are
records per second of a clock on the wall, start and last checkpoint included; `submit` is the time from the command to the
job, `megabytes` what the task manager holds in the end."""


def run(seconds: float, records: int = RECORDS, devices: int = DEVICES) -> dict[str, Any]:
    """Measure each job; `seconds` is not looked at, the records say how long it takes.

    Raises:
        StackError: the stack or Flink can't be started.
        RuntimeError: a job failed.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=ONLY, settings=Settings()) as stack,
        run_services(flink.services(stack.settings), flink.own(stack.settings)) as engine,
    ):
        fill(stack.settings.kafka, Fleet(records, devices), registered(stack), create=False)
        return compared(stack, engine, records)


def compared(stack: Stack, engine: Stack, records: int) -> dict[str, Any]:
    """What `fleetlog bench trends --json` prints, from a topic that holds so many records."""
    for _ in range(2):
        counted, windows = contest(stack, engine, count(stack.settings)), contest(stack, engine, whole(stack.settings))
    detail = {"records": records, "readings/s": READINGS * records / windows["cpu"], "submit": windows["submit"]}
    detail |= {"wall": records / windows["seconds"], "count wall": records / counted["seconds"]}
    return Figures(
        bench="trends",
        ours=records / windows["cpu"],
        limits={"count": records / counted["cpu"]},
        unit="records/s of CPU",
        targets={"count": 0.5},
        about=ABOUT,
        detail=detail | {"megabytes": resident(engine.pid("flink-tasks"))[0]},
    ).result()


def whole(settings: Settings) -> jobs.Job:
    """All windows of the topic, with sums in memory as the job that runs for good has them."""
    made = trends.backfill_job(settings, EVERYTHING)
    return replace(made, configuration={**made.configuration, "state.backend.type": "hashmap"})


def count(settings: Settings) -> jobs.Job:
    made = whole(settings)
    statements = (
        made.statements[0],
        "CREATE TEMPORARY TABLE counted (device_id STRING, n BIGINT) WITH ('connector' = 'blackhole')",
        "INSERT INTO counted SELECT device_id, COUNT(*) FROM telemetry GROUP BY device_id",
    )
    return replace(made, name="count", statements=statements, configuration={**made.configuration, "pipeline.name": "count"})


def contest(stack: Stack, engine: Stack, job: jobs.Job) -> dict[str, float]:
    """Seconds until a job was submitted, seconds that it ran, and the task manager's CPU seconds meanwhile.

    Raises:
        RuntimeError: it failed, or does not end.
    """
    tasks = engine.pid("flink-tasks")
    cluster = trends.Cluster(stack.settings)
    try:
        began, spent = time.monotonic(), cpu_seconds(tasks)
        submitted = trends.submit(stack.settings, job)
        took = time.monotonic() - began
        while (state := cluster.state(submitted)) not in trends.ENDED:
            if time.monotonic() - began > LIMIT:
                raise RuntimeError(f"the job {job.name} does not end within {LIMIT:.0f} s")
            time.sleep(0.1)
        if state != "FINISHED":
            raise RuntimeError(f"the job {job.name} is {state}: {cluster.failure(submitted)}")
        ran = cluster.seconds(submitted)
        return {"submit": took, "seconds": ran, "cpu": cpu_seconds(tasks) - spent}
    except (trends.Away, trends.Refused) as error:
        raise RuntimeError(str(error)) from error
    finally:
        cluster.close()
