"""Plans in which some places can't be written, carried out with and without a key."""

import asyncio
import json
from collections.abc import Sequence

import pytest

from connectors.http.request import Answer, Fault, Request
from connectors.ingress.deliveries import Outcomes, Plan
from connectors.ingress.rest_writer import NotWritten, Record, Written
from infra.cli.ingress import LONGEST_LIFE, _options
from infra.settings import SettingError, Settings
from tests.connectors.ingress.keyed import counted, marks, requests_facts
from tests.connectors.ingress.served import CONTRACT, KEY, PARTITIONS, Served

BAD = NotWritten("BAD", "is no record", retriable=False)
LATER = NotWritten("LATER", "the registry is away", retriable=True)


def record(value: int) -> Record:
    return Record("free", None, json.dumps(value).encode(), [])


def told(outcomes: Outcomes) -> Answer:
    return Answer(json.dumps([one.offset if isinstance(one, Written) else one.code for one in outcomes]).encode())


def once(served: Served, places: Sequence[Record | NotWritten]) -> Answer:
    """What `Retries.once` says to a plan of these places."""

    async def part() -> tuple[bytes, bool]:
        return b"", False

    async def plan() -> Plan:
        return Plan("free", PARTITIONS, places, told)

    async def run() -> Answer:
        request = Request("POST", b"/topics/free", {}, part)
        request.caller = served.ingress.application._authorize(_with_key(request))
        return await served.ingress.retries.once(request, "k", b"", plan)

    return asyncio.run_coroutine_threadsafe(run(), served.loop).result(10)


def _with_key(request: Request) -> Request:
    request.authorization = KEY.encode()
    return request


def again(answer: Answer) -> bool:
    return (b"idempotent-replayed", b"true") in answer.headers


def test_what_is_refused_for_good_is_part_of_the_final_answer(served: Served) -> None:
    places = [BAD, record(1), BAD, record(2)]
    first, second = once(served, places), once(served, places)
    assert json.loads(first.body) == ["BAD", 0, "BAD", 1]
    assert (second.body, again(first), again(second)) == (first.body, False, True)
    assert [str(mark).rsplit("/", 1)[1] for mark in marks(served)] == ["1'", "3'"]


def test_what_may_be_written_later_is_and_the_places_stay(served: Served) -> None:
    assert json.loads(once(served, [record(1), LATER, record(3)]).body) == [0, "LATER", 1]
    second = once(served, [record(1), record(2), record(3)])
    assert (json.loads(second.body), again(second)) == ([0, 2, 1], False)
    assert again(once(served, []))
    assert counted(served.producer.log) == {1: 1, 2: 1, 3: 1}


def test_a_plan_that_writes_nothing_leaves_nothing(served: Served) -> None:
    assert json.loads(once(served, [BAD, LATER]).body) == ["BAD", "LATER"]
    assert requests_facts(served.producer.log) == 0
    assert not again(once(served, [record(1)]))


def test_without_a_key_places_that_can_not_be_written_are_told_too(served: Served) -> None:
    plan = Plan("free", PARTITIONS, [BAD, record(1)], told)
    deliver = served.ingress.retries._deliveries.deliver(plan)
    answer = asyncio.run_coroutine_threadsafe(deliver, served.loop).result(10)
    assert json.loads(answer.body) == ["BAD", 0]
    assert plan.records == ()


def test_a_fault_of_the_plan_is_told_to_all_who_wait(served: Served) -> None:
    async def run() -> list[Answer | BaseException]:
        async def part() -> tuple[bytes, bool]:
            return b"", False

        async def plan() -> Plan:
            await asyncio.sleep(0.01)
            raise Fault(422, "BAD", "is none")

        request = _with_key(Request("POST", b"/topics/free", {}, part))
        request.caller = served.ingress.application._authorize(request)
        jobs = [served.ingress.retries.once(request, "k", b"", plan) for _ in range(3)]
        return await asyncio.gather(*jobs, return_exceptions=True)

    answers = asyncio.run_coroutine_threadsafe(run(), served.loop).result(10)
    assert [one.code for one in answers if isinstance(one, Fault)] == ["BAD"] * 3
    assert not again(once(served, [record(1)]))


@pytest.mark.parametrize("seconds", [0.0, -1.0, LONGEST_LIFE + 1.0, float("nan")])
def test_a_life_that_the_log_can_not_keep_is_a_wrong_setting(seconds: float) -> None:
    assert CONTRACT.topics["fleet.rest.requests"].retention_days * 86_400 == LONGEST_LIFE
    with pytest.raises(SettingError, match="FLEETLOG_IDEMPOTENCY_SECONDS"):
        _options(Settings(idempotency_seconds=seconds))
