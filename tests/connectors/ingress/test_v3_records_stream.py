"""Streams of records over raw sockets: results while records come, ends of every kind, gzip, bugs."""

import gzip
import time
import zlib

import pytest

from connectors.ingress import v3_records
from tests.connectors.ingress.served import KEY, Served
from tests.connectors.ingress.v3_stream import END, PATH, Stream, codes, record, streaming, wait_until


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


def test_one_bad_record_whose_last_chunk_comes_a_moment_later_is_no_200(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(v3_records, "GRACE_SECONDS", 10)
    with streaming(served) as stream:
        stream.send(b'{"partition_id":77}')
        time.sleep(0.05)
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


def test_gzip_flows_too(served: Served) -> None:
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
