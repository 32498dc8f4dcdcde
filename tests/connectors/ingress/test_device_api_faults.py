"""The device API while the broker is away, slow, or refuses, and while clients leave or are too many."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from tests.connectors.ingress.served import Served, options, serving
from tests.connectors.ingress.uploads import telemetry

PATH = "/v1/devices/d-1/telemetry"


def test_a_broker_that_is_away_is_told_with_503_and_nothing_is_kept(served: Served) -> None:
    served.producer.away = "no broker"
    for body in (telemetry(1), {"records": [telemetry(2), telemetry(3)]}):
        answer = served.post(PATH, body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "no broker" in answer.text
    ready = served.client.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["broker"]) == (503, "no broker")
    assert served.metric("fleetlog_ingress_broker_up") == 0
    assert served.metric('fleetlog_ingress_produce_errors_total{reason="unsent"') == 3
    served.producer.away = ""
    assert served.post(PATH, telemetry(1)).status_code == 200


def test_what_is_not_acknowledged_in_time_is_503_and_the_retry_finds_out(hurried: Served) -> None:
    hurried.producer.hold = True
    late = hurried.post(PATH, telemetry(1))
    assert (late.status_code, late.json()["code"], late.headers["retry-after"]) == (503, "NOT_ACKNOWLEDGED", "2")
    batch = hurried.post(PATH, {"records": [telemetry(1), telemetry(2)]})
    assert batch.status_code == 503
    assert [result["code"] for result in batch.json()["results"]] == ["NOT_ACKNOWLEDGED"] * 2
    hurried.call(hurried.producer.release)
    found = hurried.post(PATH, telemetry(1))
    assert (found.status_code, found.json()["offset"]) == (200, 0)
    assert len(hurried.producer.sent) == 2, "each was written once"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, 503, "BROKER_REFUSED"),
        (KafkaError.MSG_SIZE_TOO_LARGE, 413, "RECORD_TOO_LARGE"),
    ],
)
def test_what_the_broker_refuses_is_no_200_and_may_be_sent_again(served: Served, error: int, status: int, code: str) -> None:
    served.producer.error_of = lambda sent: KafkaError(error)
    refused = served.post(PATH, telemetry(1))
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert served.metric('fleetlog_ingress_produce_errors_total{reason="refused"') == 1
    served.producer.error_of = lambda sent: None
    assert served.post(PATH, telemetry(1)).json()["offset"] == 0


def test_of_a_batch_each_record_has_its_own_fate(served: Served) -> None:
    served.producer.error_of = lambda sent: (
        KafkaError(KafkaError.NOT_ENOUGH_REPLICAS) if b"\x08boot\x04" in (sent.value or b"") else None
    )
    answer = served.post(PATH, {"records": [telemetry(1), telemetry(2), telemetry(3)]})
    assert answer.status_code == 207
    assert [result["status"] for result in answer.json()["results"]] == [200, 503, 200]


def test_a_record_that_is_too_large_for_the_producer_is_413(served: Served) -> None:
    served.producer.too_large = 10
    answer = served.post(PATH, telemetry())
    assert (answer.status_code, answer.json()["code"]) == (413, "RECORD_TOO_LARGE")


def test_a_full_queue_is_429_and_memory_stays_bounded(hurried: Served) -> None:
    hurried.producer.hold, hurried.producer.most_queued = True, 50
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda n: hurried.post(PATH, {"records": [telemetry(n * 10 + i) for i in range(10)]}), range(40))
        )
    # 503: of those that were taken, since no report comes.
    assert {answer.status_code for answer in answers} == {429, 503}
    assert len(hurried.producer.sent) == 50, "what the queue can't take is refused, not kept"
    assert hurried.call(lambda: len(hurried.ingress.uploads["telemetry"]._pending)) == 50
    assert hurried.ingress.bodies.buffered == 0
    assert hurried.metric("fleetlog_ingress_requests_in_flight") == 0


def test_bodies_of_all_requests_together_are_bounded(tmp_path: Path) -> None:
    with serving(options(tmp_path, max_buffered_bytes=3_000_000)) as served:
        gate = threading.Event()

        def slow() -> Iterator[bytes]:
            yield b" " * 2_000_000
            gate.wait(10)
            yield b"{}"

        with ThreadPoolExecutor(1) as pool:
            holding = pool.submit(served.client.post, PATH, content=slow(), headers={"Content-Type": "application/json"})
            while served.ingress.bodies.buffered < 2_000_000:
                time.sleep(0.01)
            refused = served.post(PATH, b" " * 2_000_000)
            assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (429, "OVERLOADED", "1")
            gate.set()
            assert holding.result().status_code == 422
        assert served.ingress.bodies.buffered == 0


def test_a_client_that_leaves_gets_its_record_written_once(served: Served) -> None:
    served.producer.hold = True
    with pytest.raises(Exception, match="timed out"):  # httpx's own
        served.client.post(PATH, json=telemetry(1), timeout=0.2)
    served.producer.hold = False
    served.call(served.producer.release)
    assert served.post(PATH, telemetry(1)).json()["offset"] == 0
    assert len(served.producer.sent) == 1


def test_a_stop_waits_for_the_requests_in_hand(tmp_path: Path) -> None:
    with serving(options(tmp_path)) as served:
        served.producer.hold = True
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(served.post, PATH, telemetry(1))
            while served.call(lambda: len(served.producer._held)) == 0:
                time.sleep(0.01)
            served.call(served.server.stop)
            time.sleep(0.1)
            assert not asked.done()
            served.call(served.producer.release)
            answer = asked.result()
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
