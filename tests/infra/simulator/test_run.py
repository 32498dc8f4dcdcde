"""A fleet against an ingress over real HTTP: delivered until acknowledged, journalled as answered."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from infra.simulator.faults import Faults
from infra.simulator.journal import Kind, runs
from infra.simulator.run import NotAllowed, Simulation, Unreachable
from infra.stack.ports import free_ports
from tests.infra.simulator.driving import QUICK, SERIES, check_journal, run_at, simulate
from tests.infra.simulator.fake_ingress import FakeIngress, unavailable


def test_every_upload_is_acknowledged_and_journalled(tmp_path: Path) -> None:
    ingress = FakeIngress()
    tally, run = simulate(QUICK, tmp_path, ingress)
    check_journal(ingress, run)
    assert tally.sent == tally.acknowledged == len(ingress.log) == len(run.sent)
    assert (tally.registered, tally.refused, tally.retries, tally.errors) == (7, 0, 0, {})
    kinds = Counter(key[0] for key in ingress.log)
    assert kinds[Kind.REGISTRATION] == 7
    assert kinds[Kind.HEARTBEAT] >= 7
    assert 50 <= kinds[Kind.TELEMETRY] <= 300  # 250 a second were asked for
    assert kinds[Kind.EVENT] >= 7


def test_heartbeats_go_out_also_as_fast_as_possible(tmp_path: Path) -> None:
    ingress = FakeIngress()
    simulate(replace(QUICK, rate=0.0, heartbeat=0.2), tmp_path, ingress)
    heartbeats = Counter(key[1] for key in ingress.log if key[0] is Kind.HEARTBEAT)
    assert len(heartbeats) == 7
    assert min(heartbeats.values()) >= 2


def test_readings_are_the_series_own(tmp_path: Path) -> None:
    ingress = FakeIngress()
    simulate(QUICK, tmp_path, ingress)
    own = {
        metric.name: set(series.values[:, i].tolist())
        for series in SERIES
        for i, metric in enumerate(series.source.metrics)
        if metric.name != "air_temperature"
    }
    own["air_temperature"] = {
        v for series in SERIES if "temperature" in series.source.name for v in series.values[:, 0].tolist()
    }
    readings = [
        reading for key, (_, values) in ingress.log.items() if key[0] is Kind.TELEMETRY for reading in values["readings"]
    ]
    assert {reading["metric"] for reading in readings} == set(own)
    assert all(reading["value"] in own[reading["metric"]] for reading in readings)


def test_batches_are_answered_one_by_one(tmp_path: Path) -> None:
    """Some members of a batch are refused for now: the others' positions stand, and the batch goes again."""
    ingress = FakeIngress()
    take, refused = ingress.take, Counter[str]()

    def moody(kind: Kind, device_id: str, member: bytes) -> dict[str, Any]:
        sequence = str(json.loads(member).get("sequence"))
        if kind is Kind.TELEMETRY and int(sequence) % 3 == 1 and refused[device_id + sequence] < 2:
            refused[device_id + sequence] += 1
            return {"status": 503, "code": "BROKER_AWAY"}
        return take(kind, device_id, member)

    ingress.take = moody  # type: ignore[method-assign]
    tally, run = simulate(replace(QUICK, batch=5), tmp_path, ingress)
    check_journal(ingress, run)
    assert tally.sent == tally.acknowledged
    assert tally.errors.keys() == {"503 BROKER_AWAY"}
    assert tally.errors["503 BROKER_AWAY"] == refused.total() > 20


WRONG: dict[str, Callable[[], web.Response]] = {
    "503 BROKER_AWAY": unavailable,
    "500 no-code": lambda: web.Response(status=500, text="<html>"),
    "502 no-code": lambda: web.Response(status=502, text=""),
    "429 SLOW_DOWN": lambda: web.json_response({"code": "SLOW_DOWN"}, status=429),
    "200 with an answer that is not the API's": lambda: web.json_response({"ok": True}),
    "204 with an answer that is not the API's": lambda: web.Response(status=204),
    "200 with a position on fleet.other": lambda: web.json_response({"topic": "fleet.other", "partition": 0, "offset": 1}),
}


@pytest.mark.parametrize(
    ("why", "done"), [*((why, False) for why in WRONG), ("502 no-code", True), ("503 BROKER_AWAY", True)]
)
def test_what_is_no_acknowledgement_is_sent_again_under_the_same_identity(tmp_path: Path, why: str, done: bool) -> None:
    def sometimes(number: int) -> web.Response | None:
        return WRONG[why]() if number % 4 == 1 else None

    ingress = FakeIngress(after=sometimes) if done else FakeIngress(misbehave=sometimes)
    tally, run = simulate(replace(QUICK, seconds=0.4), tmp_path, ingress)
    check_journal(ingress, run)
    assert tally.sent == tally.acknowledged > 20
    assert (tally.errors.keys(), tally.refused) == ({why}, 0)
    assert tally.retries == tally.errors[why] > 5
    arrived = Counter(ingress.arrivals)
    assert (max(arrived.values()) > 1) == done
    assert len(arrived) == len(run.sent)


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    times: dict[int, float] = {}
    loop_time = lambda: asyncio.get_running_loop().time()  # noqa: E731

    def once(number: int) -> web.Response | None:
        times[number] = loop_time()
        return unavailable("1") if number == 1 else None

    ingress = FakeIngress(misbehave=once)
    tally, run = simulate(replace(QUICK, devices=1, seconds=1.8), tmp_path, ingress)
    check_journal(ingress, run)
    assert tally.retries == 1
    assert 1.0 <= times[2] - times[1] < 1.6  # and the first back-off's jitter


def test_an_upload_refused_for_good_is_not_sent_again(tmp_path: Path) -> None:
    def odd(number: int) -> web.Response | None:
        return web.json_response({"code": "INVALID_BODY"}, status=422) if number == 30 else None

    ingress = FakeIngress(misbehave=odd)
    tally, run = simulate(QUICK, tmp_path, ingress)
    assert (tally.refused, tally.unacknowledged, tally.retries) == (1, 1, 0)
    assert tally.errors == {"422 INVALID_BODY": 1}
    assert len(run.sent) == len(run.acknowledged) + 1


def test_an_answer_with_another_position_is_journalled_too(tmp_path: Path) -> None:
    """An ingress that writes a retry again is what reconciliation is to find."""
    ingress = FakeIngress()
    answers = Counter[tuple[Any, ...]]()
    take = ingress.take

    def forgetful(kind: Kind, device_id: str, member: bytes) -> dict[str, Any]:
        answer = take(kind, device_id, member)
        answers[ingress.arrivals[-1]] += 1
        return {**answer, "offset": answer["offset"] + 10_000 * (answers[ingress.arrivals[-1]] - 1)}

    ingress.take = forgetful  # type: ignore[method-assign]
    tally, run = simulate(replace(QUICK, faults=Faults(duplicates=0.2)), tmp_path, ingress)
    again = len(run.acknowledged) - len({row[:3] for row in map(tuple, run.acknowledged.tolist())})
    assert again == tally.errors["retry answered with another position"] == tally.injected["duplicates"] > 0


def test_a_key_that_is_not_taken_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(NotAllowed, match="FLEETLOG_API_KEY"):
        simulate(QUICK, tmp_path, FakeIngress(), key="another")


def test_an_ingress_that_is_not_there_is_said_also_after_a_short_run(tmp_path: Path) -> None:
    plan = replace(QUICK, seconds=0.3, drain=0.5)
    with free_ports(1) as (port,), pytest.raises(Unreachable, match=r"no answer to \d+ requests in 1 s \(unreachable \d+\)"):
        asyncio.run(run_at(plan, tmp_path, port))


def test_an_ingress_that_starts_later_gets_everything(tmp_path: Path) -> None:
    ingress = FakeIngress()

    async def main() -> Simulation:
        with free_ports(1) as (port,):
            running = asyncio.ensure_future(run_at(QUICK, tmp_path, port))
            await asyncio.sleep(0.4)
        async with ingress.serving(port):
            return await running

    tally = asyncio.run(main()).tally
    (run,) = runs(tmp_path)
    check_journal(ingress, run)
    assert tally.sent == tally.acknowledged
    assert set(tally.errors) == {"unreachable"}


def test_what_was_not_acknowledged_at_the_end_is_told(tmp_path: Path) -> None:
    ingress = FakeIngress(misbehave=lambda number: unavailable() if number > 40 else None)
    tally, run = simulate(replace(QUICK, seconds=0.5, drain=0.5), tmp_path, ingress)
    assert tally.unacknowledged == len(run.sent) - len(run.acknowledged) > 0
    assert tally.summary("x")["unacknowledged"] == tally.unacknowledged


def test_an_answer_that_never_comes_is_a_time_out_and_sent_again(tmp_path: Path) -> None:
    ingress = FakeIngress()
    handle = ingress.handle

    async def slow(request: web.Request) -> web.Response:
        if ingress.requests == 20:
            ingress.requests += 1
            await asyncio.sleep(1.0)
        return await handle(request)

    ingress.handle = slow  # type: ignore[method-assign]
    tally, run = simulate(replace(QUICK, timeout=0.3), tmp_path, ingress)
    check_journal(ingress, run)
    assert tally.sent == tally.acknowledged
    assert tally.errors == {"timeout": 1}
