"""`fleetlog trends up | submit | list | stop`: the trends jobs of Apache Flink."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from infra.cli.command import Commands, add_command, add_group, fail, print_json
from infra.settings import Settings

if TYPE_CHECKING:
    from threading import Event

    from infra.trends import Cluster

NO_ANSWER = 3
LOOK_SECONDS = 3.0


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
    stop = add_command(actions, "stop", "end the job; nothing is lost", "fleetlog trends stop --savepoint", _stop)
    stop.add_argument(
        "--savepoint", action="store_true", help="make a savepoint first, from which another version can go on"
    )


def _up(options: argparse.Namespace, settings: Settings) -> int:
    import signal
    from threading import Event

    from infra.stack import flink, jars
    from infra.stack.harness import run_services
    from infra.stack.service import StackError

    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        jars.ensure(print)
        with run_services(flink.services(settings), flink.own(settings)):
            print(f"Flink answers at http://{settings.host}:{settings.trends_port}", flush=True)
            _keep(ended, settings)
    except StackError as error:
        return fail(str(error), error.code)
    return 0


def _keep(ended: "Event", settings: Settings) -> None:
    """Until `ended`, look after the job."""
    from infra import trends
    from infra.stack.service import StackError

    cluster = trends.Cluster(settings)
    try:
        while not ended.wait(LOOK_SECONDS):
            try:
                submitted = trends.keep(settings, cluster)
            except (trends.Away, trends.Refused, StackError) as error:  # to be tried again
                print(f"fleetlog trends: {error}", file=sys.stderr, flush=True)
            else:
                if submitted:
                    print(f"the job runs again: {submitted}", flush=True)
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


def _list(options: argparse.Namespace, settings: Settings) -> int:
    def work(cluster: "Cluster") -> int:
        found = [asdict(job) | {"checkpoints": cluster.checkpoints(job.id)["counts"]} for job in cluster.jobs()]
        if options.json:
            print_json(found)
            return 0
        for job in found:
            counts = job["checkpoints"]
            made = f"{counts['completed']} checkpoints, {counts['failed']} failed"
            print(f"{job['name']}  {job['state']:<10} {job['id']}  {made}")
        return 0

    return _with_cluster(settings, work)


def _stop(options: argparse.Namespace, settings: Settings) -> int:
    from infra import trends

    def work(cluster: "Cluster") -> int:
        running = cluster.live("trends")
        trends.wanted(settings, "trends").unlink(missing_ok=True)
        if running is None:
            return fail("no trends job runs", 1)
        if options.savepoint:
            print(cluster.stop(running.id))
        else:
            cluster.cancel(running.id)
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
