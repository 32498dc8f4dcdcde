"""The process of the admin client: no end of it is more than the calls that it had."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connectors.cluster import Refusal
from connectors.kafka_admin import KafkaAdmin
from connectors.kafka_questions import MOST_AT_ONCE
from connectors.ports import Away

# A process that ends, instead of answering, for each call but "groups"; "wait" is never answered.
CHILD = """
import sys, msgspec, os
from connectors.kafka_admin_process import *
while size := sys.stdin.buffer.read(SIZE_BYTES):
    call = msgspec.msgpack.decode(sys.stdin.buffer.read(int.from_bytes(size, "big")), type=Call)
    if call.name == "groups":
        sys.stdout.buffer.write(framed(Outcome(call.number, msgspec.Raw(msgspec.msgpack.encode(["a", str(os.getpid())])))))
        sys.stdout.buffer.flush()
    elif call.name == "refuse":
        sys.stdout.buffer.write(framed(Outcome(call.number, msgspec.Raw(msgspec.msgpack.encode(None)), 36, "is there")))
        sys.stdout.buffer.flush()
    elif call.name != "wait":
        os.abort()
"""


def test_a_process_that_can_t_be_started_is_told(tmp_path: Path) -> None:
    async def ask() -> None:
        made = KafkaAdmin("nowhere:1", 1.0)
        made._command = (str(tmp_path / "nothing"),)
        for _ in range(2):
            with pytest.raises(Away, match="can't be started"):
                await made.call("groups", told=list[str])

    asyncio.run(ask())


def admin(directory: Path, seconds: float = 2.0) -> KafkaAdmin:
    child = directory / "child.py"
    child.write_text(CHILD)
    made = KafkaAdmin("nowhere:1", seconds)
    made._command = (sys.executable, str(child))
    return made


async def ended(pid: int) -> None:
    """Wait until the process is gone."""
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await asyncio.sleep(0.01)


def test_the_process_is_started_by_the_first_call_and_ends_when_closed(tmp_path: Path) -> None:
    async def ask() -> None:
        made = admin(tmp_path)
        assert made.pid is None
        first, second = await asyncio.gather(made.call("groups", told=list[str]), made.call("groups", told=list[str]))
        assert first == second == ["a", str(made.pid)]
        pid = made.pid
        assert pid is not None
        await made.close()
        async with asyncio.timeout(10):
            await ended(pid)

    asyncio.run(ask())


def test_it_ends_with_its_input() -> None:
    """So it never outlives an ingress, however that ends."""
    module = "connectors.kafka_admin_process"
    running = subprocess.Popen((sys.executable, "-m", module, "127.0.0.1:1", "1"), stdin=subprocess.PIPE)
    assert running.stdin is not None
    running.stdin.close()
    assert running.wait(20) == 0


def test_when_it_dies_all_who_wait_are_told_and_the_next_call_has_another(tmp_path: Path) -> None:
    async def ask() -> None:
        made = admin(tmp_path)
        _, before = await made.call("groups", told=list[str])
        calls = [made.call("wait", told=None) for _ in range(5)] + [made.call("die", told=None)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in outcomes] == [Away] * 6
        _, after = await made.call("groups", told=list[str])
        assert after != before
        assert made.pid is not None
        os.kill(made.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            await ended(made.pid)
        await asyncio.sleep(0)
        await made.close()

    asyncio.run(ask())


def test_who_waits_too_long_is_told_and_so_many_wait_and_no_more(tmp_path: Path) -> None:
    async def ask() -> None:
        made = admin(tmp_path, seconds=0.1)
        await made.call("groups", told=list[str])
        calls = [made.call("wait", told=None) for _ in range(MOST_AT_ONCE + 1)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(one) for one in outcomes] == [Away] * (MOST_AT_ONCE + 1)
        assert "wait for an answer" in str(outcomes[-1])
        assert (await made.call("groups", told=list[str]))[0] == "a"
        await made.close()

    asyncio.run(ask())


def test_what_the_cluster_refuses_is_told(tmp_path: Path) -> None:
    async def ask() -> None:
        made = admin(tmp_path)
        with pytest.raises(Refusal, match="is there"):
            await made.call("refuse", told=None)
        await made.close()

    asyncio.run(ask())
