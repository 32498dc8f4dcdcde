"""An ingress that ends between any two steps, and another one on the same log: every record of a request that is sent again
is in the log once."""

import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.keyed import check_positions, content, counted, new_log, post, replayed, source
from tests.connectors.ingress.served import Served, options, serving

FULL = [1, 2, 3, 4]
STEPS = 2 * (1 + len(FULL) + 1)  # began, records, answered: each into the log and reported


class World:
    """What outlives an ingress."""

    def __init__(self, directory: Path, seed: int = 0) -> None:
        self.directory, self.log, self.registry = directory, new_log(), FakeRegistry()
        self.rng = random.Random(seed)

    def serving(self, **changes: Any) -> Any:
        return serving(options(self.directory, **{"request_deadline": 0.3, **changes}), self.log, self.registry)

    def crash(self, steps: int, key: str, values: list[Any], **changes: Any) -> httpx.Response | None:
        """Send a request to an ingress that ends after so many steps; its answer, if it came to that."""
        with self.serving(**changes) as served:
            return self.crash_of(served, steps, key, values)

    def crash_of(self, served: Served, steps: int, key: str, values: list[Any]) -> httpx.Response | None:
        served.producer.survives = lambda: self.rng.random() < 0.5
        served.producer.steps = steps
        with suppress(httpx.TimeoutException):
            answer = post(served, key, values, timeout=0.15)
            return answer if answer.status_code == 200 else None
        # On a busy machine the client has given up before the ingress came so far.
        end = time.monotonic() + 5
        while served.producer.steps > 0 and time.monotonic() < end:
            time.sleep(0.01)
        return None


@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_a_crash_after_any_step(tmp_path: Path, steps: int) -> None:
    world = World(tmp_path, steps)
    told = world.crash(steps, "k", FULL)
    with world.serving() as served:
        again, third = post(served, "k", FULL), post(served, "k", FULL)
    assert again.status_code == 200
    assert counted(world.log) == dict.fromkeys(FULL, 1)
    check_positions(world.log, again, FULL)
    assert (third.content, replayed(third)) == (again.content, True)
    if told is not None:
        assert again.content == told.content


@pytest.mark.parametrize("seed", range(8))
def test_crash_after_crash(tmp_path: Path, seed: int) -> None:
    """Several requests, each sent again and again to ingresses that end at any time."""
    world = World(tmp_path, seed)
    requests = {f"k-{n}": [f"{n}-{i}" for i in range(world.rng.randint(1, 5))] for n in range(3)}
    told: dict[str, bytes] = {}
    for _ in range(3):
        key = world.rng.choice(list(requests))
        answer = world.crash(world.rng.randint(0, 2 * len(requests[key]) + 4), key, requests[key])
        if answer is not None:
            assert told.setdefault(key, answer.content) == answer.content
    with world.serving() as served:
        for key, values in requests.items():
            answer = post(served, key, values)
            check_positions(world.log, answer, values)
            assert told.setdefault(key, answer.content) == answer.content
    assert counted(world.log) == {value: 1 for values in requests.values() for value in values}


BEGAN, HALF = 2, 2 + 4  # the log knows that it began; two of its records are written and reported


def half_written(world: World) -> None:
    world.rng.random = lambda: 1.0  # type: ignore[method-assign]
    world.crash(HALF, "k", FULL, request_deadline=2.0)  # also a busy machine comes so far
    assert counted(world.log) == {1: 1, 2: 1}


def test_another_request_under_the_key_of_an_interrupted_one(tmp_path: Path) -> None:
    world = World(tmp_path)
    half_written(world)
    with world.serving() as served:
        assert post(served, "k", [5]).status_code == 422
        assert post(served, "k", FULL).status_code == 200


def test_the_key_of_a_request_that_wrote_nothing_is_free_also_after_the_next_crash(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rng.random = lambda: 1.0  # type: ignore[method-assign]
    world.crash(BEGAN, "k", FULL)
    assert not content(world.log)
    with world.serving() as served:
        assert not replayed(post(served, "k", [5]))
    with world.serving() as served:
        assert replayed(post(served, "k", [5]))
        assert post(served, "k", FULL).status_code == 422


def test_what_was_looked_up_is_not_looked_up_from_the_beginning_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    half_written(world)
    for number in range(50):
        world.log.append(source(0), None, b"%d" % number)
    with world.serving():
        first = world.log.traces.read
    with world.serving() as served:
        assert world.log.traces.read == first
        check_positions(world.log, post(served, "k", FULL), FULL)
    assert first == 52


def until_ready(served: Served) -> None:
    for _ in range(500):
        if served.client.get("/health/ready").status_code == 200:
            return
        threading.Event().wait(0.01)
    raise AssertionError("the ingress is not ready")


def test_while_the_log_can_not_be_looked_up_a_retry_waits(tmp_path: Path) -> None:
    world = World(tmp_path)
    half_written(world)
    world.log.traces.away = "gone"
    with serving(options(tmp_path, request_deadline=0.3), world.log, world.registry, ready=False) as served:
        until_ready(served)
        answers = [post(served, "k", FULL) for _ in range(2)]
        assert {(answer.status_code, answer.json()["error_code"]) for answer in answers} == {(503, 50390)}
        assert not replayed(post(served, "another", ["x"]))
        world.log.traces.away = ""
        answer = post(served, "k", FULL)
        while answer.status_code == 503:  # each waits for the look-up, which is tried again after a second
            answer = post(served, "k", FULL)
        check_positions(world.log, answer, FULL)
    assert counted(world.log) == {1: 1, 2: 1, 3: 1, 4: 1, "x": 1}


def test_where_the_log_no_longer_says_what_was_written_nothing_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    half_written(world)
    for number in range(6):
        world.log.append(source(number), None, b"0")
        world.log.truncate(source(number), 1)
    for other in ("x", "y"):
        with world.serving() as served:
            answer = post(served, "k", FULL)
            assert (answer.status_code, answer.json()["error_code"]) == (409, 40990)
            assert not replayed(post(served, other, [other]))


def test_a_topic_that_was_made_anew_holds_nothing_of_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    half_written(world)
    world.log.traces.forgotten.add("free")
    with world.serving() as served:
        assert not replayed(post(served, "k", [7]))
