"""The process that folds the log, as the ingress asks it: replies find their questions, and a process that dies or is slow
makes nobody wait for ever."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from connectors import as_of_process
from connectors.as_of import Question, Reply
from connectors.as_of_process import MOST_WAITING, AsOfProcess
from connectors.ports import Away, Busy
from infra.settings import child_environment

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import os, sys, time
import msgspec
from connectors.as_of import SIZE_BYTES, Question, Reply, framed
read = sys.stdin.buffer.read
while size := read(SIZE_BYTES):
    question = msgspec.msgpack.decode(read(int.from_bytes(size, "big")), type=Question)
    if question.view == "dies":
        os._exit(3)
    if question.view == "sleeps":
        time.sleep(0.5)
    sys.stdout.buffer.write(framed(Reply(question.number, body=question.view.encode())))
    sys.stdout.buffer.flush()
"""


def asked(work: Callable[[AsOfProcess], Awaitable[T]], seconds: float = 20.0) -> T:
    async def run() -> T:
        environment = child_environment({}) | {"PYTHONPATH": str(ROOT)}
        process = AsOfProcess((sys.executable, "-c", CHILD), environment, {"device_state": ("fleet.telemetry",)}, seconds)
        try:
            return await work(process)
        finally:
            await process.close()

    return asyncio.run(run())


def question(view: str) -> Question:
    return Question(view, 1, 2)


def test_each_question_has_its_own_reply() -> None:
    async def many(process: AsOfProcess) -> list[Reply]:
        return await asyncio.gather(*(process.ask(question(f"view-{number}")) for number in range(MOST_WAITING)))

    assert [reply.body for reply in asked(many)] == [b"view-%d" % number for number in range(MOST_WAITING)]


def test_a_process_that_dies_fails_who_waits_and_the_next_question_starts_another(caplog: pytest.LogCaptureFixture) -> None:
    async def twice(process: AsOfProcess) -> bytes:
        with pytest.raises(Away, match="has failed"):
            await process.ask(question("dies"))
        return (await process.ask(question("lives"))).body

    with caplog.at_level(logging.WARNING, as_of_process.__name__):
        assert asked(twice) == b"lives"
    assert "has ended with 3" in caplog.text


def test_too_many_questions_are_refused_and_a_slow_reply_is_away() -> None:
    async def crowd(process: AsOfProcess) -> list[object]:
        asking = (process.ask(question("sleeps")) for _ in range(MOST_WAITING + 1))
        return await asyncio.gather(*asking, return_exceptions=True)

    found = asked(crowd, seconds=0.2)
    assert [type(one) for one in found] == [Away] * MOST_WAITING + [Busy]


def test_what_can_not_be_started_is_away_and_an_unknown_view_has_no_topics() -> None:
    async def run() -> None:
        process = AsOfProcess(("/nowhere/at-all",), {}, {"device_state": ("fleet.telemetry",)}, 5.0)
        with pytest.raises(Away, match="can't be started"):
            await process.ask(question("device_state"))
        assert (process.topics("device_state"), process.topics("nope")) == (("fleet.telemetry",), ())
        await process.close()

    asyncio.run(run())
