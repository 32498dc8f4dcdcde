"""Requests with an idempotency key, on a producer that a test tells what to do."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from confluent_kafka import KafkaError

from connectors.ingress.access import Rights
from tests.connectors.ingress.fakes import Sent
from tests.connectors.ingress.keyed import (
    JSON_V2,
    body_of,
    check_positions,
    content,
    counted,
    marks,
    new_log,
    post,
    replayed,
    requests_facts,
)
from tests.connectors.ingress.served import Served, key_of, options, principal, serving

DEADLINE = 0.5
DAY = 86_400


@pytest.fixture
def hurried(tmp_path: Path) -> Iterator[Served]:
    with serving(options(tmp_path, request_deadline=DEADLINE)) as running:
        yield running


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(10) as made:
        yield made


def held(served: Served, count: int) -> None:
    """Waits until so many records are held back."""
    done = threading.Event()
    for _ in range(500):
        if served.producer.queued >= count:
            return
        done.wait(0.01)
    raise AssertionError(f"{served.producer.queued} records are held, not {count}")


def release_when(served: Served, count: int) -> None:
    held(served, count)
    served.call(served.producer.release)


def test_a_retry_is_given_the_same_answer_and_writes_nothing(served: Served) -> None:
    first, again = post(served, "k", [1, 2, 3]), post(served, "k", [1, 2, 3])
    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert (replayed(first), replayed(again)) == (False, True)
    assert counted(served.producer.log) == {1: 1, 2: 1, 3: 1}
    check_positions(served.producer.log, first, [1, 2, 3])
    assert requests_facts(served.producer.log) == 2


def test_records_are_marked_and_only_those_of_requests_with_a_key(served: Served) -> None:
    post(served, "k", [1, 2])
    served.client.post("/topics/free", content=body_of([3]), headers={"Content-Type": JSON_V2})
    first, second, without = marks(served)
    assert without is None
    assert first is not None
    assert second is not None
    assert first.endswith(b"/0")
    assert second == first[:-1] + b"1"
    assert requests_facts(served.producer.log) == 2


def test_another_request_under_the_same_key_is_refused(served: Served) -> None:
    first = post(served, "k", [1])
    others = [post(served, "k", [2]), post(served, "k", [1], "/topics/free/partitions/0")]
    others.append(post(served, "k", [1], "/topics/free?x=1"))
    assert {(other.status_code, other.json()["error_code"]) for other in others} == {(422, 42290)}
    assert counted(served.producer.log) == {1: 1}
    assert post(served, "k", [1]).content == first.content
    assert served.metric('fleetlog_ingress_idempotent_requests_total{outcome="refused"}') == 3


def test_principals_do_not_share_keys(tmp_path: Path) -> None:
    others = [principal(name, write=("free",)) for name in ("one", "two")]
    with serving(options(tmp_path), owner=Rights(write=("free",)), others=others) as served:
        for name in ("one", "two"):
            served.client.headers["X-API-Key"] = key_of(name)
            assert not replayed(post(served, "k", [name]))
        assert counted(served.producer.log) == {"one": 1, "two": 1}


def test_retries_at_once_wait_for_the_first(served: Served, pool: ThreadPoolExecutor) -> None:
    served.producer.hold = True
    jobs = [pool.submit(post, served, "k", [1, 2]) for _ in range(8)]
    release_when(served, 1)  # it began
    release_when(served, 2)  # its records
    answers = [job.result() for job in jobs]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sorted(map(replayed, answers)) == [False] + [True] * 7
    assert counted(served.producer.log) == {1: 1, 2: 1}


def test_nothing_is_written_before_the_log_knows_that_it_began(served: Served, pool: ThreadPoolExecutor) -> None:
    served.producer.hold = True
    job = pool.submit(post, served, "k", [1])
    held(served, 1)
    assert [sent.topic for sent in served.producer.sent] == ["fleet.rest.requests"]
    release_when(served, 1)
    release_when(served, 1)
    assert job.result().status_code == 200
    assert [sent.topic for sent in served.producer.sent] == ["fleet.rest.requests", "free", "fleet.rest.requests"]


def test_at_the_deadline_it_is_under_way_and_a_retry_waits_for_the_same_records(
    hurried: Served, pool: ThreadPoolExecutor
) -> None:
    hurried.producer.hold = True
    job = pool.submit(post, hurried, "k", [1, 2])
    release_when(hurried, 1)
    answer = job.result()
    assert (answer.status_code, answer.json()["error_code"]) == (503, 50390)
    assert "retry-after" in answer.headers
    assert (post(hurried, "k", [1, 2]).status_code, post(hurried, "k", [3]).status_code) == (503, 422)
    assert len(marks(hurried)) == 2
    again: Future[httpx.Response] = pool.submit(post, hurried, "k", [1, 2])
    release_when(hurried, 2)
    assert again.result().status_code == 200
    assert counted(hurried.producer.log) == {1: 1, 2: 1}
    check_positions(hurried.producer.log, again.result(), [1, 2])


def test_a_request_that_can_not_begin_in_time_writes_nothing_and_is_tried_anew(hurried: Served) -> None:
    hurried.producer.hold = True
    assert post(hurried, "k", [1]).status_code == 503
    hurried.producer.hold = False
    hurried.call(hurried.producer.release)
    answer = post(hurried, "k", [2])
    assert answer.status_code == 200
    assert not replayed(answer)
    assert counted(hurried.producer.log) == {2: 1}


@pytest.mark.parametrize("away", ["producer", "cluster"])
def test_while_the_broker_is_away_nothing_is_remembered(served: Served, away: str) -> None:
    part = getattr(served, away)
    part.away = "gone"
    assert post(served, "k", [1]).status_code == 503
    part.away = ""
    answer = post(served, "k", [2])
    assert (answer.status_code, replayed(answer)) == (200, False)
    assert counted(served.producer.log) == {2: 1}


def refuse(served: Served, code: int, number: int, retriable: bool = False) -> None:
    """From now on the record of `free` with this number in the order of sending is refused."""
    before = len(marks(served))

    def error_of(sent: Sent) -> KafkaError | None:
        of_free = [one for one in served.producer.sent if one.topic == "free"][before:]
        return KafkaError(code, retriable=retriable) if number < len(of_free) and of_free[number] is sent else None

    served.producer.error_of = error_of


def test_a_request_of_which_nothing_was_written_is_tried_anew(served: Served) -> None:
    refuse(served, KafkaError.MSG_SIZE_TOO_LARGE, 0)
    refused = post(served, "k", [1])
    assert refused.status_code == 422
    answer = post(served, "k", [2])
    assert (answer.status_code, replayed(answer)) == (200, False)
    assert counted(served.producer.log) == {2: 1}


def test_bad_requests_are_not_remembered(served: Served) -> None:
    bad = served.client.post("/topics/free", content=b"{", headers={"Content-Type": JSON_V2, "Idempotency-Key": "k"})
    assert bad.status_code == 400
    assert post(served, "k", [1]).status_code == 200


def test_what_may_be_tried_again_is_written_by_the_retry_and_the_rest_is_not(served: Served) -> None:
    refuse(served, KafkaError.NOT_ENOUGH_REPLICAS, 1, retriable=True)
    first = post(served, "k", [1, 2, 3])
    assert [one["error_code"] for one in first.json()["offsets"]] == [None, 2, None]
    again = post(served, "k", [1, 2, 3])
    assert (again.status_code, replayed(again)) == (200, False)
    assert counted(served.producer.log) == {1: 1, 2: 1, 3: 1}
    check_positions(served.producer.log, again, [1, 2, 3])
    third = post(served, "k", [1, 2, 3])
    assert (third.content, replayed(third)) == (again.content, True)
    assert served.metric('fleetlog_ingress_idempotent_requests_total{outcome="resumed"}') == 1


def test_what_is_refused_for_good_is_part_of_the_answer(served: Served) -> None:
    refuse(served, KafkaError.MSG_SIZE_TOO_LARGE, 1)
    first, again = post(served, "k", [1, 2, 3]), post(served, "k", [1, 2, 3])
    assert [one["error_code"] for one in first.json()["offsets"]] == [None, 1, None]
    assert (again.content, replayed(again)) == (first.content, True)
    assert counted(served.producer.log) == {1: 1, 3: 1}


def test_a_client_that_hangs_up_leaves_a_request_that_goes_on(served: Served) -> None:
    served.producer.hold = True
    with pytest.raises(httpx.ReadTimeout):
        post(served, "k", [1], timeout=0.2)
    served.producer.hold = False
    served.call(served.producer.release)
    answer = post(served, "k", [1])
    assert (answer.status_code, replayed(answer)) == (200, True)
    assert counted(served.producer.log) == {1: 1}


def test_a_key_is_forgotten_at_the_end_of_its_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(options(tmp_path, idempotency_seconds=DAY)) as served:
        now = [1_800_000_000 * 10**6]
        monkeypatch.setattr("connectors.ingress.retries._now", lambda: now[0])
        post(served, "k", [1])
        now[0] += DAY * 10**6 - 1
        assert replayed(post(served, "k", [1]))
        now[0] += 1
        assert not replayed(post(served, "k", [2]))
        assert counted(served.producer.log) == {1: 1, 2: 1}


def test_memory_is_bounded_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    with serving(options(tmp_path, idempotency_bytes=20_000)) as served:
        for number in range(200):
            post(served, f"k-{number}", [number])
        assert served.metric("fleetlog_ingress_idempotency_bytes") <= 20_000
        kept = int(served.metric("fleetlog_ingress_idempotency_keys"))
        assert 20 < kept < 80
        assert all(replayed(post(served, f"k-{number}", [number])) for number in range(200 - kept, 200))
        assert not replayed(post(served, "k-0", [0]))


def test_an_answer_outlives_the_process(tmp_path: Path) -> None:
    log = new_log()
    with serving(options(tmp_path), log) as served:
        first = post(served, "k", ["a", "b"])
    for _ in range(2):
        with serving(options(tmp_path), log) as served:
            again = post(served, "k", ["a", "b"])
            assert (again.content, again.headers["content-type"]) == (first.content, first.headers["content-type"])
            assert replayed(again)
            assert post(served, "k", ["c"]).status_code == 422
            assert len(content(log)) == 2
            assert log.traces.read == 0


def test_before_the_log_is_read_a_request_with_a_key_is_refused(tmp_path: Path) -> None:
    log = new_log()
    log.away = True
    with serving(options(tmp_path), log, ready=False) as served:
        answer = post(served, "k", [1])
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        without = served.client.post("/topics/free", content=body_of([1]), headers={"Content-Type": JSON_V2})
        assert without.status_code == 200
