"""The stack in the foreground: start, do the main job or wait for a signal, stop. `up --detach` runs this as a module, with
the names of the processes as its argument."""

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence

from infra.logging import JsonFormatter
from infra.settings import Settings, load
from infra.stack import jars, metrics, state
from infra.stack.logs import LogFile
from infra.stack.ports import check_free, free_ports
from infra.stack.progress import Progress, summary
from infra.stack.service import Port, StackError
from infra.stack.services import plan
from infra.stack.supervisor import Supervisor

INTERRUPTED = 130  # the exit code after Ctrl-C before the stack was up

# What to do while the stack is up: gets an event that is set when the user asks to stop; returns the exit code.
Job = Callable[[asyncio.Event], Awaitable[int]]


async def until_stopped(stop: asyncio.Event) -> int:
    """The job of `fleetlog up`."""
    await stop.wait()
    return 0


def run(settings: Settings, only: Sequence[str] | None, job: Job = until_stopped, cut_short: int = 0) -> int:
    """Start the stack, do the job, stop the stack; returns the job's exit code. Call it from the main thread.

    SIGINT asks the job to come to its end; a second one, SIGTERM or SIGHUP cut it short, and `cut_short` is returned.

    Raises:
        StackError: the stack cannot be started, or a process failed at its start (then all is stopped again).
    """
    jars.ensure(lambda text: print(text, flush=True))
    with state.lock(settings.data), free_ports(1, settings.host) as (management_port,):
        state.clear_leftovers(settings.data)
        services = plan(settings, only, management_port)
        own = Port("supervisor_metrics_port", settings.supervisor_metrics_port)
        check_free(settings.host, [own, *(port for service in services for port in service.ports)])
        progress = Progress([service.name for service in services])
        try:
            supervisor = Supervisor(services, settings.data, _told(settings, progress))
            with metrics.served(supervisor, settings):
                return asyncio.run(_supervise(supervisor, progress, job, cut_short))
        finally:
            progress.finish()


async def _supervise(supervisor: Supervisor, progress: Progress, job: Job, cut_short: int) -> int:
    asked, at_once = asyncio.Event(), asyncio.Event()
    _listen_to_signals(asked, at_once)
    try:
        if await _first(supervisor.start(), asked.wait()) != 0:
            return INTERRUPTED
        progress.finish()
        print(summary(supervisor.state), flush=True)
        results: list[int] = []

        async def work() -> None:
            results.append(await job(asked))

        await _first(work(), at_once.wait(), supervisor.failed())
        return results[0] if results else cut_short
    finally:
        progress.finish()
        print("stopping", flush=True)
        await supervisor.stop()


def _listen_to_signals(asked: asyncio.Event, at_once: asyncio.Event) -> None:
    def interrupted() -> None:
        if asked.is_set():
            at_once.set()
        asked.set()

    def ended() -> None:
        asked.set()
        at_once.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, ended)
    loop.add_signal_handler(signal.SIGHUP, ended)


async def _first(*works: Awaitable[object]) -> int:
    """Wait until one has ended; returns which one, or raises its exception. The others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended = next(number for number, task in enumerate(tasks) if task.done())
        tasks[ended].result()
        return ended
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _told(settings: Settings, progress: Progress) -> Callable[[float, str, str, str], None]:
    """Shows each change, and logs it in supervisor.log."""
    log = LogFile(settings.data / "logs" / "supervisor.log")

    def told(seconds: float, name: str, what: str, reason: str) -> None:
        progress.told(seconds, name, what, reason)
        level = "WARNING" if what in ("backoff", "unhealthy", "failed") else "INFO"
        log.say(f"{name}: {what}{': ' + reason if reason else ''}", level)

    return told


def main(arguments: Sequence[str]) -> int:
    """Entry of the detached supervisor; its output goes where its parent sent it."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter("supervisor"))
    logging.basicConfig(handlers=[handler], force=True)
    try:
        return run(load(), arguments[0].split(",") if arguments else None)
    except StackError as error:
        print(f"fleetlog: {error}", file=sys.stderr)
        return error.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
