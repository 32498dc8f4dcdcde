"""The main job of `fleetlog run`: the simulator, then the reconciliation."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from infra.settings import Settings, child_environment
from infra.stack.child import LAUNCHER

CATCH_UP_SECONDS = 90.0  # the views are given this long after the last record
STOP_SECONDS = 90.0  # the simulator is given this long to get its outstanding uploads acknowledged


async def simulate_and_reconcile(settings: Settings, seconds: float | None, stop: asyncio.Event) -> int:
    """Run the simulator for `seconds` (None: until `stop`), wait for the views, print the reconciliation.

    Returns 0 if the simulator ended well and the reconciliation is exact, else the exit code of what was not.
    """
    span = () if seconds is None else ("--for", f"{seconds:.3f}s")
    async with _command(settings, "simulate", way(settings), *span) as simulator:
        simulated = await _until_done_or_stopped(simulator, stop)
    async with _command(settings, "reconcile", "--wait", f"{CATCH_UP_SECONDS:.0f}s") as shown:
        return await shown.wait() or simulated


def way(settings: Settings) -> str:
    """Devices register themselves and speak mTLS, but to an outside ingress, whose listeners are not known."""
    return "--plain" if settings.ingress_url else "--mtls"


def unlimited(settings: Settings) -> Settings:
    """`settings` without the usual limits on requests: the fleet plays its series faster than life, from one address. A
    limit that was set is kept."""
    usual = Settings()

    def lifted(limit: int, usually: int) -> int:
        return 0 if limit == usually else limit

    return replace(
        settings,
        limit_registrations=lifted(settings.limit_registrations, usual.limit_registrations),
        limit_heartbeats=lifted(settings.limit_heartbeats, usual.limit_heartbeats),
        limit_uploads=lifted(settings.limit_uploads, usual.limit_uploads),
    )


@asynccontextmanager
async def _command(settings: Settings, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A fleetlog command as a child that ends with this process; it shares the terminal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid())),
        *(sys.executable, "-P", "-m", "infra.cli.main", *arguments),
        env=child_environment(settings.environment()),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C reaches the supervisor only, which passes it on once
    )
    try:
        yield process
    finally:
        if process.returncode is None:  # the job is cut short
            process.kill()
            await process.wait()


async def _until_done_or_stopped(process: asyncio.subprocess.Process, stop: asyncio.Event) -> int:
    """The exit code of the simulator, which is asked to come to its end when `stop` is set."""
    ended, asked = asyncio.ensure_future(process.wait()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([ended, asked], return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.send_signal(signal.SIGINT)
            await asyncio.wait([ended], timeout=STOP_SECONDS)
        if not ended.done():
            process.kill()
        return await ended
    finally:
        asked.cancel()
