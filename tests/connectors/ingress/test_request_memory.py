"""The memory of requests with a key, against a model of it; and what facts in the log make of it."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.request import Answer
from connectors.ingress.idempotency_key import name_digest
from connectors.ingress.request_log import ANSWERED, BEGAN, Fact, remember
from connectors.ingress.request_memory import OVERHEAD, Done, RequestMemory, Unfinished, unpacked
from connectors.ingress.rest_writer import Written

LIFE = 100
PRINT = b"0123456789abcdef"


def done(at: int, body: bytes = b"{}") -> Done:
    return Done(at, PRINT, Answer(body, 200, b"application/json"))


def unfinished(name: str = "p/k", at: int = 0) -> Unfinished:
    return Unfinished(name, "id", PRINT, at)


@given(
    st.integers(0, 2**60),
    st.binary(min_size=16, max_size=16),
    st.integers(100, 599),
    st.binary(max_size=80),
    st.binary(max_size=300),
)
def test_packing_loses_nothing(at: int, mark: bytes, status: int, content_type: bytes, body: bytes) -> None:
    entry = Done(at, mark, Answer(body, status, content_type))
    assert unpacked(entry.packed()) == entry


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30), st.integers(0, 400)), max_size=60))
def test_it_keeps_the_newest_within_its_bounds(steps: list[tuple[int, int, int]]) -> None:
    """Each step: a name, how much time passes, the size of an answer."""
    most = 5 * OVERHEAD
    remembered, model, now = RequestMemory(most, LIFE), {}, 0
    for number, passed, size in steps:
        now += passed
        name = b"%d" % number
        entry = done(now, b"x" * size)
        model.pop(name, None)
        before = [one for one in model if remembered.find(one, now) is not None]
        model[name] = entry
        remembered.put(name, entry, now)
        kept = [one for one in model if remembered.find(one, now) is not None]
        assert all(remembered.find(one, now) == model[one] and now - model[one].began_at < LIFE for one in kept)
        assert kept == [*before, name][len(before) + 1 - len(kept) :]  # the newest
        taken = [OVERHEAD + len(model[one].packed()) for one in (*before, name)]
        assert remembered.bytes == sum(taken[len(taken) - len(kept) :]) <= most
        assert len(kept) == len(taken) or sum(taken[len(taken) - len(kept) - 1 :]) > most  # not more than need be forgotten


def test_what_is_being_carried_out_is_not_forgotten() -> None:
    remembered = RequestMemory(3 * OVERHEAD, LIFE)
    running = unfinished()
    running.task = object()  # type: ignore[assignment]
    remembered.put(b"running", running, 0)
    for number in range(10):
        remembered.put(b"%d" % number, done(number), number)
    assert remembered.find(b"running", 10 * LIFE) is running
    assert remembered.unfinished == [running]
    running.task = None
    assert remembered.find(b"running", 10 * LIFE) is None


def test_only_the_same_request_is_forgotten() -> None:
    remembered, one, other = RequestMemory(10_000, LIFE), unfinished(), unfinished()
    remembered.put(b"k", one, 0)
    remembered.put(b"k", other, 0)
    remembered.forget(b"k", one)
    assert remembered.find(b"k", 0) is other
    remembered.forget(b"k", other)
    assert (remembered.find(b"k", 0), len(remembered), remembered.bytes) == (None, 0, 0)


def head(request_id: str, at: int, key: str = "k") -> dict[str, Any]:
    return {"request_id": request_id, "principal": "p", "idempotency_key": key, "fingerprint": PRINT, "began_at": at}


def began(request_id: str, at: int = 0, written: Sequence[int] = (), key: str = "k") -> Fact:
    found = [{"index": i, "partition": 0, "offset": 10 + i, "timestamp": None} for i in written]
    return BEGAN, {**head(request_id, at, key), "topic": "t", "records": 3, "starts": [0], "written": found}


def answered(request_id: str, at: int = 0, status: int = 200, body: bytes = b"{}") -> Fact:
    return ANSWERED, {**head(request_id, at), "answered_at": at, "status": status, "content_type": "c", "body": body}


OPEN, FREE = "open", "free"


@pytest.mark.parametrize(
    ("facts", "outcome"),
    [
        ([began("1")], OPEN),
        ([began("1"), answered("1")], b"{}"),
        ([answered("1")], b"{}"),
        ([began("1"), answered("1", status=0)], FREE),
        ([began("1"), began("2"), answered("1", status=0)], OPEN),
        ([began("1"), answered("1", status=0), began("2"), answered("2", body=b"2")], b"2"),
        ([began("2"), began("1"), answered("2", body=b"2")], b"2"),  # the first record of a process that had died came late
        ([began("2"), answered("2", body=b"2"), began("1")], b"2"),
        ([began("2"), answered("2", body=b"2"), answered("1", status=0)], b"2"),
        ([answered("1", 0, body=b"1"), began("2", LIFE)], OPEN),
        ([answered("1", 0, body=b"1"), began("2", LIFE), answered("2", LIFE, body=b"2")], b"2"),
        ([], FREE),
    ],
)
def test_what_the_log_says_of_a_key(facts: list[Fact], outcome: str | bytes) -> None:
    remembered = RequestMemory(100_000, LIFE)
    remember(facts, remembered, LIFE)  # those that began at 0 have just outlived their life
    at_their_time = RequestMemory(100_000, LIFE)
    remember(facts, at_their_time, LIFE - 1)
    found = at_their_time.find(name_digest("p/k"), LIFE - 1)
    if isinstance(outcome, bytes):
        assert isinstance(found, Done)
        assert found.answer == Answer(outcome, 200, b"c")
    else:
        assert (found is None) is (outcome == FREE)
        assert found is None or (isinstance(found, Unfinished) and found.interrupted and found.durable)
    late = [values for _, values in facts if values["began_at"] == LIFE]
    assert (remembered.find(name_digest("p/k"), LIFE) is not None) is bool(late)


def test_what_was_found_before_is_known() -> None:
    remembered = RequestMemory(100_000, LIFE)
    remember([began("1"), began("1", written=[0, 2])], remembered, 0)
    (entry,) = remembered.unfinished
    assert entry.written == {0: Written(0, 10, None), 2: Written(0, 12, None)}


def test_the_newest_are_kept_where_there_are_too_many() -> None:
    remembered = RequestMemory(10 * (OVERHEAD + 1_000), LIFE)
    remember([began(str(n), at=n, key=str(n)) for n in range(40)], remembered, 40)
    kept = [entry.began_at for entry in remembered.unfinished]
    assert kept == list(range(40 - len(kept), 40))
    assert 5 < len(kept) < 40
