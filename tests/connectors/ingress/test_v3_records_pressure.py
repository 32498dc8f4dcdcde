"""Streams of records under pressure: a full queue, a broker that is away, slow clients, clients that leave, limits."""

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError

from connectors.ingress import v3_records_outcomes
from tests.connectors.ingress.served import Served, options, serving
from tests.connectors.ingress.v3_stream import END, PATH, codes, record, streaming, wait_until


def test_a_full_queue_slows_the_stream_and_loses_nothing(served: Served) -> None:
    served.producer.hold, served.producer.most_queued = True, 10
    with streaming(served) as stream:
        stream.send(b"".join(map(record, range(100))))
        found: list[Any] = []
        while len(found) < 100:
            wait_until(lambda: served.producer.queued > 0)
            served.call(served.producer.release)
            found += stream.results(1)
        assert set(codes(found)) == {200}
        stream.close()
    assert [sent.value for sent in served.producer.sent] == [b"%d" % number for number in range(100)]


def test_a_queue_that_stays_full_is_told_as_429(hurried: Served) -> None:
    hurried.producer.hold, hurried.producer.most_queued = True, 1
    started = time.monotonic()
    with streaming(hurried) as stream:
        stream.send(record(1) + record(2) + record(3))
        found = stream.results(3)
        assert codes(found) == [50003, 42901, 42901]
        assert "may yet be written" in found[0]["message"]
        assert time.monotonic() - started < 3
        hurried.call(hurried.producer.release)
        stream.send(record(4))
        wait_until(lambda: hurried.producer.queued == 1)
        hurried.call(hurried.producer.release)
        assert codes(stream.results(1)) == [200]
        stream.close()


def test_a_full_queue_is_told_to_a_single_record_at_once(served: Served) -> None:
    served.producer.most_queued = 0
    answer = served.post(PATH, record(1))
    assert (answer.status_code, answer.json()["error_code"], answer.headers["retry-after"]) == (429, 42901, "2")
    batch = served.post(f"{PATH}:batch", {"entries": [{"id": "1"}, {"id": "2", "partition_id": 9}]})
    assert (batch.status_code, batch.json()["error_code"], batch.headers["retry-after"]) == (429, 42901, "2")
    assert [one["error_code"] for one in batch.json()["failures"]] == [42901, 40403]


def test_a_broker_that_is_away_is_waited_for(served: Served) -> None:
    with streaming(served) as stream:
        stream.send(record(1))
        assert codes(stream.results(1)) == [200]
        served.producer.away = "no broker"
        stream.send(record(2) + record(3))
        time.sleep(0.1)
        served.producer.away = ""
        assert codes(stream.results(2)) == [200, 200]
        stream.close()


def test_a_broker_that_stays_away_is_told_for_each_record(hurried: Served) -> None:
    with streaming(hurried) as stream:
        stream.send(record(1))
        stream.results(1)
        hurried.producer.away = "no broker"
        stream.send(b"".join(map(record, range(50))))
        found = stream.results(50)
        assert codes(found) == [50003] * 50
        assert "no broker" in found[49]["message"]
        stream.close()


def test_each_refusal_of_the_broker_is_told(served: Served) -> None:
    errors = {
        b"1": KafkaError(KafkaError.NOT_ENOUGH_REPLICAS, retriable=True),
        b"2": KafkaError(KafkaError.MSG_SIZE_TOO_LARGE),
    }
    errors[b"3"] = KafkaError(KafkaError.INVALID_TIMESTAMP)
    served.producer.error_of = lambda sent: errors.get(sent.value or b"")
    with streaming(served) as stream:
        stream.send(b"".join(map(record, range(5))))
        assert codes(stream.results(5)) == [200, 50003, 413, 422, 200]
        stream.close()


def test_a_record_that_is_too_large_is_skipped(tmp_path: Path) -> None:
    with serving(options(tmp_path, max_body_bytes=50_000)) as served, streaming(served) as stream:
        large = b'{"value":{"type":"STRING","data":"%s"}}'
        stream.send(record(1) + large % (b"x" * 10_000))
        for _ in range(20):
            stream.send((large % (b"y" * 200_000))[:100_000] + (large % (b"y" * 200_000))[100_000:])
        stream.send(record(2))
        assert codes(stream.results(23)) == [200, 200] + [413] * 20 + [200]
        assert served.ingress.bodies.buffered < 50_000
        stream.close()


def test_a_client_that_leaves_frees_what_it_held(served: Served) -> None:
    with streaming(served) as stream:
        stream.send(record(1) + b'{"value":{"type":"STRING","data":"' + b"x" * 100_000)
        stream.results(1)
        wait_until(lambda: served.ingress.bodies.buffered > 100_000)
    wait_until(lambda: served.ingress.bodies.buffered == 0)
    wait_until(lambda: not served.server.connections)
    assert served.call(lambda: [task for task in asyncio.all_tasks() if "Intake" in repr(task)]) == []
    assert [sent.value for sent in served.producer.sent] == [b"1"]


def test_a_client_that_reads_nothing_is_not_read_from(served: Served) -> None:
    """It is held back by its own results: what waits for it is bounded, as is what is taken of it."""
    with streaming(served) as stream:
        stream.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        stream.connection.settimeout(1)
        sent, lines = 0, b"".join(map(record, range(1000)))
        with suppress(TimeoutError):
            while sent < 2_000_000:
                stream.send(lines)
                sent += 1000
        written = len(served.producer.sent)
        assert written < sent + 1000 < 1_000_000
        stream.connection.settimeout(20)
        while len(served.producer.sent) == written:
            assert stream.connection.recv(10_000_000)


def test_what_is_on_its_way_is_bounded(served: Served) -> None:
    served.producer.hold = True
    most = v3_records_outcomes.MOST_RECORDS
    with streaming(served) as stream:
        stream.send(b"".join(map(record, range(most + 500))))
        wait_until(lambda: served.producer.queued == most)
        time.sleep(0.05)
        assert served.producer.queued == most
        served.call(served.producer.release)
        wait_until(lambda: served.producer.queued == 500)
        served.call(served.producer.release)
        stream.raw(END)
        assert sum(len(stream.results(1)) for _ in iter(lambda: stream.ended, True)) == most + 500


def test_too_much_held_by_all_requests_is_waited_for_and_told(tmp_path: Path) -> None:
    with serving(options(tmp_path, max_buffered_bytes=200_000, request_deadline=0.3)) as served:
        with streaming(served) as first, streaming(served) as second:
            first.send(b'{"value":{"type":"STRING","data":"' + b"x" * 150_000)
            wait_until(lambda: served.ingress.bodies.buffered >= 150_000)
            second.send(record(1))
            second.results(1)
            second.send(b'{"value":{"type":"STRING","data":"' + b"x" * 100_000)
            assert codes(second.rest()) == [42901]
            first.send(b'"}}')
            assert codes(first.results(1)) == [200]
            first.close()
            second.raw(END)
        assert served.ingress.bodies.buffered == 0
