"""Streams of records over raw sockets: results while records come, slow clients, clients that leave, a producer in trouble."""

import asyncio
import gzip
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError

from connectors.ingress import v3_records_outcomes
from tests.connectors.ingress.fake_cluster import CLUSTER
from tests.connectors.ingress.served import KEY, Served, options, serving

PATH = f"/v3/clusters/{CLUSTER}/topics/free/records"
END = b"0\r\n\r\n"


class Stream:
    """One request that is sent in chunks; `results` gives what came back of it."""

    def __init__(self, connection: socket.socket, headers: str = "") -> None:
        self.connection = connection
        self._received = b""
        self._length: int | None = None  # of an answer that came in one piece
        head = f"POST {PATH} HTTP/1.1\r\nhost: test\r\nx-api-key: {KEY}\r\ncontent-type: application/json\r\n{headers}"
        self.raw(head.encode() + b"transfer-encoding: chunked\r\n\r\n")

    def raw(self, content: bytes) -> None:
        self.connection.sendall(content)

    def send(self, content: bytes) -> None:
        self.raw(b"%x\r\n%s\r\n" % (len(content), content))

    def results(self, count: int) -> list[Any]:
        """The next results, at least so many unless the answer ends before."""
        while True:
            lines = [line for line in self._received.split(b"\n") if line.startswith(b"{") and line.endswith(b"}")]
            if len(lines) >= count or self.ended:
                self._received = self._received.rpartition(b"\n")[2] if not self.ended else END
                return [json.loads(line) for line in lines]
            part = self.connection.recv(1_000_000)
            assert part, self._received
            self._received += part
            whole = re.search(rb"content-length: (\d+)\r\n", self._received)
            if whole is not None:
                self._length = int(whole[1])

    @property
    def ended(self) -> bool:
        if self._length is not None and len(self._received.partition(b"\r\n\r\n")[2]) >= self._length:
            return True
        return self._received == END or self._received.endswith(b"\n" + END)  # a correlation id may end with 0

    def rest(self) -> list[Any]:
        """The results up to the answer's end."""
        found = []
        while not self.ended:
            found += self.results(1)
        return found

    def close(self) -> list[Any]:
        """End the request; the results that were not taken yet."""
        self.raw(END)
        return self.rest()


@contextmanager
def streaming(served: Served, headers: str = "") -> Iterator[Stream]:
    with socket.create_connection(("127.0.0.1", served.port), 20) as connection:
        yield Stream(connection, headers)


def record(number: int) -> bytes:
    return b'{"value":{"type":"JSON","data":%d}}' % number


def codes(results: list[Any]) -> list[int]:
    return [one["error_code"] for one in results]


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_results_flow_while_records_still_come(served: Served) -> None:
    with streaming(served) as stream:
        for number in range(3):
            stream.send(record(number))
            (result,) = stream.results(1)
            assert (result["error_code"], result["offset"]) == (200, number)
        stream.send(record(3)[:20])
        stream.send(record(3)[20:] + record(4))
        assert codes(stream.results(2)) == [200, 200]
        assert stream.close() == []
    assert [sent.value for sent in served.producer.sent] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_result_waits_for_the_broker_and_keeps_its_place(served: Served) -> None:
    served.producer.hold = True
    with streaming(served) as stream:
        stream.send(record(1) + b'{"partition_id":77}' + record(2))
        wait_until(lambda: served.producer.queued == 2)
        stream.connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            stream.results(1)
        stream.connection.settimeout(20)
        served.call(served.producer.release)
        assert codes(stream.results(3)) == [200, 40403, 200]
        stream.close()


def test_a_failure_of_the_first_record_does_not_end_the_stream(served: Served) -> None:
    with streaming(served) as stream:
        stream.send(b'{"partition_id":77}')
        assert codes(stream.results(1)) == [40403]
        stream.send(record(1))
        assert codes(stream.results(1)) == [200]
        stream.close()


def test_one_bad_record_whose_last_chunk_comes_a_moment_later_is_no_200(served: Served) -> None:
    with streaming(served) as stream:
        stream.send(b'{"partition_id":77}')
        time.sleep(0.002)
        stream.raw(END)
        assert stream.connection.recv(1000).startswith(b"HTTP/1.1 404 ")


def test_what_is_no_json_ends_the_answer_though_the_client_sends_on(served: Served) -> None:
    with streaming(served) as stream:
        stream.send(record(1) + b"?")
        assert codes(stream.rest()) == [200, 400]
        stream.send(record(2))
        stream.raw(END)
        # The rest was read and forgotten: the connection serves the next request.
        again = Stream(stream.connection)
        again.send(record(3))
        assert codes(again.results(1)) == [200]
        again.close()
    assert [sent.value for sent in served.producer.sent] == [b"1", b"3"]


def test_broken_chunking_is_told_after_the_results(served: Served) -> None:
    with streaming(served) as stream:
        stream.send(record(1))
        stream.results(1)
        stream.send(record(2) + b"{")
        stream.raw(b"zz\r\n")
        found = stream.rest()
        assert codes(found) == [200, 400]
        assert "record 3 (byte 68)" in found[1]["message"]
        assert stream.connection.recv(10) == b""


def test_requests_sent_ahead_are_answered_after_the_stream(served: Served) -> None:
    with streaming(served) as stream:
        stream.send(record(1))
        stream.results(1)
        ahead = f"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\nGET {PATH} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n\r\n"
        stream.raw(END + ahead.encode())
        received = b""
        while b"HTTP/1.1 405" not in received:
            received += stream.connection.recv(65_536)
        assert received.index(END) < received.index(b"HTTP/1.1 200") < received.index(b"HTTP/1.1 405")


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
        with pytest.raises(TimeoutError):
            for _ in range(10_000):
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


def test_gzip_flows_too(served: Served) -> None:
    import zlib

    packer = zlib.compressobj(wbits=31)
    with streaming(served, "content-encoding: gzip\r\n") as stream:
        for number in range(3):
            stream.send(packer.compress(record(number)) + packer.flush(zlib.Z_SYNC_FLUSH))
            assert codes(stream.results(1)) == [200]
        stream.send(packer.flush() + gzip.compress(record(4)))  # another member
        assert codes(stream.results(1)) == [200]
        stream.close()
    assert [sent.value for sent in served.producer.sent] == [b"0", b"1", b"2", b"4"]


def test_a_gzip_bomb_ends_the_stream(served: Served) -> None:
    with streaming(served, "content-encoding: gzip\r\n") as stream:
        stream.send(gzip.compress(record(1) + b" " * 50_000_000))
        assert codes(stream.close()) == [200, 413]


def test_gzip_that_is_cut_off_is_told(served: Served) -> None:
    with streaming(served, "content-encoding: gzip\r\n") as stream:
        stream.send(gzip.compress(record(1))[:-4])
        assert codes(stream.close()) == [200, 400]


def test_a_stop_ends_a_stream_with_the_reason(served: Served) -> None:
    with streaming(served) as stream:
        stream.send(record(1))
        stream.results(1)
        served.loop.call_soon_threadsafe(served.server.stop)
        (told,) = stream.rest()
        assert told["error_code"] == 503
        assert "stopping" in told["message"]


def test_a_bug_breaks_the_answer_off(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with streaming(served) as stream:
        stream.send(record(1))
        stream.results(1)
        monkeypatch.setattr(served.producer, "send", lambda *given: 1 / 0)
        stream.send(record(2))
        with pytest.raises((AssertionError, ConnectionResetError)):
            stream.results(1)
        assert not stream.ended


def test_a_bug_in_a_single_record_is_500(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served.producer, "send", lambda *given: 1 / 0)
    answer = served.post(PATH, record(1))
    assert (answer.status_code, answer.json()["error_code"]) == (500, 500)
