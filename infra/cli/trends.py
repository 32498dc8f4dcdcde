"""`fleetlog trends up | submit | list | stop`: the trends jobs of Apache Flink."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from threading import Event

    from infra.trends import Cluster

NO_ANSWER = 3
LOOK_SECONDS = 3.0
END = 2**53  # microseconds since 1970, the year 2255


def add(commands: Commands) -> None:
    actions = add_group(
        commands, "trends", "windows over telemetry, computed by Apache Flink", "fleetlog trends up && fleetlog trends list"
    )
    add_command(
        actions,
        "up",
        "start Flink's job manager and task manager beside a running stack and keep them; `make flink` installs Flink",
        "fleetlog trends up",
        _up,
    )
    add_command(
        actions,
        "keep",
        "submit the job, and again whenever Flink has forgotten it, until this process is stopped",
        "fleetlog trends keep",
        _stay,
    )
    submit = add_command(
        actions,
        "submit",
        "hand the job to the cluster; it goes on from the newest checkpoint or savepoint, if there is one",
        "fleetlog trends submit",
        _submit,
    )
    submit.add_argument("--anew", action="store_true", help="begin with the topic, from no checkpoint")
    listed = add_command(
        actions, "list", "the jobs of the cluster and their checkpoints", "fleetlog trends list --json", _list
    )
    listed.add_argument("--json", action="store_true", help="print JSON")
    _add_backfill(actions)
    stop = add_command(actions, "stop", "end the job; nothing is lost", "fleetlog trends stop --savepoint", _stop)
    stop.add_argument(
        "--savepoint", action="store_true", help="make a savepoint first, from which another version can go on"
    )


def _add_backfill(actions: Commands) -> None:
    backfill = add_command(
        actions,
        "backfill",
        "write the windows of a time anew, from the whole of the topic, beside the job that runs; returns when it is done",
        "fleetlog trends backfill --from 2026-05-01T00:00Z --to 2026-05-02T00:00Z",
        _backfill,
    )
    for name, what in (("--from", "begin"), ("--to", "end")):
        backfill.add_argument(
            name,
            type=_moment,
            metavar="WHEN",
            help=f"only windows that {what} then, or {'after' if what == 'begin' else 'before'}",
        )


def _up(options: argparse.Namespace, settings: Settings) -> int:
    from infra.stack import flink, jars
    from infra.stack.harness import run_services
    from infra.stack.service import StackError

    ended = _ending()
    try:
        jars.ensure(print)
        with run_services(flink.services(settings), flink.own(settings)):
            print(f"Flink answers at http://{settings.host}:{settings.trends_port}", flush=True)
            _keep(ended, settings)
    except StackError as error:
        return fail(str(error), error.code)
    return 0


def _stay(options: argparse.Namespace, settings: Settings) -> int:
    from infra.stack import flink

    ended = _ending()
    flink.folder(settings).mkdir(parents=True, exist_ok=True)
    flink.wanted(settings, "trends").touch()
    _keep(ended, settings)
    return 0


def _ending() -> "Event":
    """Set when this process is told to end."""
    import signal
    from threading import Event

    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _keep(ended: "Event", settings: Settings) -> None:
    """Until `ended`, look after the job."""
    from infra import trends
    from infra.stack.service import StackError

    cluster = trends.Cluster(settings)
    try:
        while not ended.is_set():
            try:
                submitted = trends.keep(settings, cluster)
            except (trends.Away, trends.Refused, StackError) as error:  # to be tried again
                print(f"fleetlog trends: {error}", file=sys.stderr, flush=True)
            else:
                if submitted:
                    print(f"submitted: {submitted}", flush=True)
            ended.wait(LOOK_SECONDS)
    finally:
        cluster.close()


def _submit(options: argparse.Namespace, settings: Settings) -> int:
    from infra import trends
    from infra.stack.service import StackError

    def work(cluster: "Cluster") -> int:
        running = cluster.live("trends")
        if running is not None:
            return fail(f"the job runs already: {running.id}", 1)
        submitted, origin = trends.begin(settings, options.anew)
        print(f"{submitted} from {origin or 'the beginning of the topic'}")
        return 0

    try:
        return _with_cluster(settings, work)
    except StackError as error:
        return fail(str(error), error.code)


def _moment(text: str) -> int:
    """Microseconds since 1970 of a time such as 2026-05-01T12:00Z; without a zone UTC."""
    from datetime import UTC, datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-05-01T12:00Z") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def _backfill(options: argparse.Namespace, settings: Settings) -> int:
    from infra import trends
    from infra.stack.service import StackError
    from streams.trends.flink.job import Span

    span = Span(vars(options)["from"] or 0, END if options.to is None else options.to)
    if span.since >= span.until:
        return fail("--from is not before --to", 2)

    def work(cluster: "Cluster") -> int:
        print(trends.backfill(settings, cluster, span))
        return 0

    try:
        return _with_cluster(settings, work)
    except StackError as error:
        return fail(str(error), error.code)


def _list(options: argparse.Namespace, settings: Settings) -> int:
    def work(cluster: "Cluster") -> int:
        found = [asdict(job) | _more(cluster, job.id) for job in cluster.jobs()]
        if options.json:
            print_json(found)
            return 0
        for job in found:
            counts = job["checkpoints"]
            made = f"{counts['completed']} checkpoints, {counts['failed']} failed"
            print(f"{job['name']}  {job['state']:<10} {job['id']}  {made}")
            if job["failure"]:
                print(f"    last failure: {job['failure']}")
        return 0

    return _with_cluster(settings, work)


def _more(cluster: "Cluster", job: str) -> dict[str, Any]:
    return {"checkpoints": cluster.checkpoints(job)["counts"], "failure": cluster.failure(job)}


def _stop(options: argparse.Namespace, settings: Settings) -> int:
    from infra import trends

    def work(cluster: "Cluster") -> int:
        savepoint = trends.end(settings, cluster, options.savepoint)
        if savepoint:
            print(savepoint)
        return 0

    return _with_cluster(settings, work)


def _with_cluster(settings: Settings, work: "Callable[[Cluster], int]") -> int:
    from infra.trends import Away, Cluster, Refused

    cluster = Cluster(settings)
    try:
        return work(cluster)
    except Away as error:
        return fail(str(error), NO_ANSWER)
    except Refused as error:
        return fail(str(error), 1)
    finally:
        cluster.close()
