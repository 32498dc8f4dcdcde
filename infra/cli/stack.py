"""`fleetlog up | down | status | logs | run | jars`: the local stack."""

import argparse
import sys
import time

from infra.cli.command import Commands, add_command, duration, fail, print_json
from infra.settings import Settings

NO_STACK = 3


def add(commands: Commands) -> None:
    _add_up(commands)
    add_command(commands, "down", "stop the local stack cleanly", "fleetlog down", _down)
    status = add_command(
        commands,
        "status",
        "show the processes of the local stack (exit code 3: none runs)",
        "fleetlog status --json",
        _status,
    )
    status.add_argument("--json", action="store_true", help="as JSON")
    _add_logs(commands)
    run = add_command(
        commands,
        "run",
        "start the stack, replay real sensor data through it, and reconcile what was sent with what arrived",
        "fleetlog run --for 60s",
        _run,
    )
    run.add_argument("--for", dest="seconds", type=duration, help="stop by itself after this long, such as 60s")
    add_command(
        commands,
        "jars",
        "fetch the Java artifacts of the local stack and prepare their quick start; does nothing if all is there",
        "fleetlog jars",
        _jars,
    )


def _add_up(commands: Commands) -> None:
    up = add_command(
        commands, "up", "start the local stack and keep it running", "fleetlog up --detach --only broker,redis", _up
    )
    up.add_argument("--detach", action="store_true", help="return when all is healthy and leave it running")
    up.add_argument(
        "--only",
        metavar="NAMES",
        help="only these, separated by commas: broker, redis, clickhouse, registry (with its front), topics, schemas, "
        "ingress, worker-0 ..., workers, archiver",
    )


def _add_logs(commands: Commands) -> None:
    logs = add_command(commands, "logs", "show the log of one process", "fleetlog logs broker -f", _logs)
    logs.add_argument("name", help="the process, or: supervisor")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with new lines until interrupted")
    logs.add_argument("-n", "--lines", type=int, default=50, help="begin with this many last lines (default 50)")
    logs.add_argument("--json", action="store_true", help="the lines as they are, one JSON object each")


def _up(options: argparse.Namespace, settings: Settings) -> int:
    from infra.stack import control, foreground, jars, state
    from infra.stack.service import StackError

    only = [name.strip() for name in options.only.split(",") if name.strip()] if options.only else None
    try:
        if not options.detach:
            return foreground.run(settings, only)
        state.lock(settings.data).close()
        jars.ensure(print)
        control.detach(settings, only, print)
    except StackError as error:
        return fail(str(error), error.code)
    return 0


def _down(options: argparse.Namespace, settings: Settings) -> int:
    from infra.stack import control
    from infra.stack.service import StackError

    try:
        stopped = control.stop(settings)
    except StackError as error:
        return fail(str(error), error.code)
    print("stopped" if stopped else f"no stack runs on {settings.data}")
    return 0


def _status(options: argparse.Namespace, settings: Settings) -> int:
    from infra.stack import control, state

    running = state.running(settings.data)
    if running is None:
        if options.json:
            print_json({"healthy": False, "state": "none", "processes": {}})
            return NO_STACK
        return fail(f"no stack runs on {settings.data}", NO_STACK)
    report = control.report(running)
    if options.json:
        print_json(report)
    else:
        _print_table(report)
    return 0 if report["healthy"] else 1


def _print_table(report: dict[str, object]) -> None:
    processes = report["processes"]
    assert isinstance(processes, dict)
    print(f"{'process':<14} {'state':<10} {'pid':>7} {'uptime s':>9} {'restarts':>8} {'MB':>6}  note")
    for name, one in processes.items():
        megabytes = f"{one['rss_bytes'] / 1e6:.0f}" if one["rss_bytes"] else ""
        uptime = "" if one["uptime_seconds"] is None else f"{one['uptime_seconds']:.0f}"
        print(
            f"{name:<14} {one['state']:<10} {one['pid'] or '':>7} {uptime:>9} {one['restarts']:>8} {megabytes:>6}  "
            f"{one['reason']}".rstrip()
        )


def _logs(options: argparse.Namespace, settings: Settings) -> int:
    from infra.stack.logs import follow, readable, tail

    logs = settings.data / "logs"
    path = logs / f"{options.name}.log"
    if path.parent != logs or not path.exists():
        known = sorted(p.stem for p in logs.glob("*.log"))
        return fail(f"no log of {options.name!r}; there are logs of: {', '.join(known) or 'nothing'}", 2)
    shape = str if options.json else readable
    position = path.stat().st_size
    for line in tail(path, options.lines):
        print(shape(line))
    if options.follow:
        sys.stdout.flush()
        for line in follow(path, position, lambda: time.sleep(0.2)):
            print(shape(line), flush=True)
    return 0


def _run(options: argparse.Namespace, settings: Settings) -> int:
    from infra.stack import foreground
    from infra.stack.job import simulate_and_reconcile, unlimited
    from infra.stack.service import StackError

    settings = unlimited(settings)
    try:
        return foreground.run(settings, None, lambda stop: simulate_and_reconcile(settings, options.seconds, stop), 130)
    except StackError as error:
        return fail(str(error), error.code)


def _jars(options: argparse.Namespace, settings: Settings) -> int:
    from infra.stack import jars, train
    from infra.stack.service import StackError

    try:
        jars.ensure(print)
        train.ensure(settings, print)
    except StackError as error:
        return fail(str(error), NO_STACK)
    return 0
