"""One process of the stack: started, watched, started again when it dies, stopped."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path

from infra.settings import child_environment
from infra.stack.logs import LogFile
from infra.stack.service import Service, StackError, Unhealthy

LAUNCHER = Path(__file__).with_name("launcher.py")
FIRST_BACKOFF, LONGEST_BACKOFF = 0.2, 10.0  # seconds before the first restart, doubled up to the longest
STEADY_SECONDS = 30.0  # healthy for this long: the next restart begins again with the first back-off
FIRST_TRIES = 3  # a process that has never been healthy is started so often
POLL_STARTING, POLL_HEALTHY = 0.1, 2.0  # seconds between health checks


class Failed(StackError):
    """A process did not become healthy at the stack's start."""


class Child:
    """`state` is one of: waiting, starting, healthy, unhealthy (alive, but the last check failed), backoff, done (a
    step that runs once), failed, stopped. All methods belong to the supervisor's event loop."""

    def __init__(self, service: Service, log: Path, pool: Executor, changed: Callable[["Child"], None]) -> None:
        self.service, self.log_path = service, log
        self.state, self.reason = "waiting", ""
        self.since = time.time()
        self.restarts = 0
        self.lives = 0  # processes ended
        self.pid: int | None = None
        self.ready_once = asyncio.Event()
        self._pool, self._changed = pool, changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    # -- what the supervisor asks for

    def begin(self, after: list[asyncio.Event]) -> None:
        """Start, once all of `after` are set, and keep it running until `stop`.

        Raises:
            StackError: it was begun before and not stopped.
        """
        if self._task is not None and not self._task.done():
            raise StackError(f"{self.service.name} is running already")
        self._stopping = False
        self._task = asyncio.create_task(self._run(after), name=self.service.name)

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after the service's bound; returns when the process is gone."""
        self._stopping = True
        if self._process is None and self._task is not None:  # waiting, in back-off, or never begun
            self._task.cancel()
        elif self._process is not None:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(asyncio.shield(self._process.wait()), self.service.stop_seconds)
            except TimeoutError:
                self._signal(signal.SIGKILL)
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        if self.state != "done":
            self._set("stopped")

    @property
    def failure(self) -> BaseException | None:
        """Why it gave up, if it did."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        return self._task.exception()

    # -- how it lives

    async def _run(self, after: list[asyncio.Event]) -> None:
        for event in after:
            await event.wait()
        backoff, tries = FIRST_BACKOFF, 0
        while not self._stopping:
            tries += 1
            healthy_seconds, why = await self._live_once()
            if self._stopping or self.state == "done":
                return
            if not self.ready_once.is_set() and tries >= FIRST_TRIES:
                self._set("failed", why)
                raise Failed(f"{self.service.name} {why}")
            if healthy_seconds >= STEADY_SECONDS:
                backoff = FIRST_BACKOFF
            self._set("backoff", why)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)
            self.restarts += 1

    async def _live_once(self) -> tuple[float, str]:
        """One life of the process: seconds that it was healthy, and how it ended."""
        self._set("starting")
        try:
            log, process = await self._spawn()
        except (StackError, OSError) as error:
            return 0.0, f"could not be started: {error}"
        self._process, self.pid = process, process.pid
        self._changed(self)
        pump = asyncio.create_task(_pump(process, log))
        watch = asyncio.create_task(self._watch())
        code = await process.wait()
        watch.cancel()
        watched = (await asyncio.gather(watch, return_exceptions=True))[0]
        await _finish(pump, log)
        self._process, self.pid = None, None
        self.lives += 1
        if self.service.once and code == 0:
            self._set("done")
            self.ready_once.set()
        if isinstance(watched, Unhealthy):
            return 0.0, f"did not become healthy in {self.service.start_seconds:.0f} s: {watched}"
        return (watched if isinstance(watched, float) else 0.0), _ending(code)

    async def _spawn(self) -> tuple[LogFile, asyncio.subprocess.Process]:
        service = self.service
        service.directory.mkdir(parents=True, exist_ok=True)
        if service.prepare is not None:
            await asyncio.get_running_loop().run_in_executor(self._pool, service.prepare)
        log = LogFile(self.log_path)
        # A session of its own: Ctrl-C in the terminal reaches the supervisor only, which stops all in order.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), *service.command),
            cwd=service.directory,
            env=child_environment(service.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return log, process

    async def _watch(self) -> float:
        """Check health until cancelled; returns the seconds since it was first healthy.

        Raises:
            Unhealthy: not healthy within start_seconds (the process has been killed then).
        """
        check = self.service.check
        if check is None:
            return 0.0
        loop = asyncio.get_running_loop()
        started, first_healthy = time.monotonic(), None
        try:
            while True:
                try:
                    await loop.run_in_executor(self._pool, check)
                except Unhealthy as error:
                    if first_healthy is None and time.monotonic() - started > self.service.start_seconds:
                        self._signal(signal.SIGKILL)
                        raise
                    if first_healthy is not None and not self._stopping:
                        self._set("unhealthy", str(error))
                else:
                    first_healthy = first_healthy or time.monotonic()
                    self._set("healthy")
                    self.ready_once.set()
                await asyncio.sleep(POLL_HEALTHY if self.state == "healthy" else POLL_STARTING)
        except asyncio.CancelledError:
            return time.monotonic() - first_healthy if first_healthy else 0.0

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def _set(self, state: str, reason: str = "") -> None:
        if (state, reason) != (self.state, self.reason):
            if state != self.state:
                self.since = time.time()
            self.state, self.reason = state, reason
            self._changed(self)


async def _pump(process: asyncio.subprocess.Process, log: LogFile) -> None:
    """Output of the process -> its log file. A disk that is full loses log lines, and stops nothing."""
    assert process.stdout is not None
    while data := await process.stdout.read(65_536):
        try:
            log.feed(data)
        except OSError as error:
            print(f"fleetlog: cannot write {log.path}: {error}", file=sys.stderr)


async def _finish(pump: asyncio.Task[None], log: LogFile) -> None:
    """The process is gone: read the rest of its output, bounded in case a child of its own still holds the pipe."""
    await asyncio.wait([pump], timeout=1.0)
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)
    log.close()


def _ending(code: int) -> str:
    return f"exited with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
