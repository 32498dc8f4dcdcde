"""Whatever a client sends is answered with a clear 4xx that names code and place, and the next good upload is taken."""

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.connectors.ingress.bad_protocol import HTTP, REST
from tests.connectors.ingress.bad_requests import GOOD, TABLE, Bad
from tests.connectors.ingress.raw import Reply, ask, chunked, connect, replies, request
from tests.connectors.ingress.served import Served, options, serving
from tests.connectors.ingress.uploads import telemetry

ALL = [*TABLE, *REST, *HTTP]
LARGE = 100_000_000
READ_SECONDS = 1.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress"))) as running:
        yield running


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(options(tmp_path_factory.mktemp("ingress"), read_seconds=READ_SECONDS)) as running:
        yield running


def takes_the_next(served: Served, name: str) -> None:
    answer = served.post("/v1/devices/after/telemetry", telemetry(boot_id=name[:64] or "-"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["offset"] >= 0


def check_problem(reply: Reply, status: int, code: str, place: str) -> None:
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["title"]
    assert problem["detail"]
    assert place in [error["path"] for error in problem["errors"]], problem
    assert all(error["message"] for error in problem["errors"])


@pytest.mark.parametrize("bad", ALL, ids=lambda bad: bad.name)
def test_a_bad_request_is_refused_with_code_and_place(served: Served, bad: Bad) -> None:
    before = len(served.producer.sent)
    reply = ask(served.port, bad.content)
    if isinstance(bad.code, int):
        assert reply.status == bad.status, reply
        v3 = str(bad.path).startswith("/v3")  # whose answers are always plain JSON
        assert reply.headers["content-type"] == ("application/json" if v3 else "application/vnd.kafka.v2+json")
        assert reply.json["error_code"] == bad.code, reply
        assert bad.place in reply.json["message"], reply
    else:
        check_problem(reply, bad.status, bad.code, bad.place)
    assert len(served.producer.sent) == before, "nothing of it was written"
    takes_the_next(served, bad.name)


def test_names_in_the_table_are_unique() -> None:
    assert len({bad.name for bad in ALL}) == len(ALL) > 150


def test_wrong_methods_are_told_the_right_ones(served: Served) -> None:
    assert ask(served.port, request("GET")).headers["allow"] == "POST"
    assert ask(served.port, request("POST", "/health")).headers["allow"] == "GET, HEAD"


def test_malformed_json_is_told_by_line_and_column(served: Served) -> None:
    assert "line 2 column 3" in ask(served.port, request(body=b'{\n  x"a": 1}')).json["detail"]


@pytest.mark.parametrize("body", [b"a" * LARGE, chunked(b"a" * LARGE)], ids=["length", "chunked"])
def test_a_body_of_100_mb_is_refused_before_it_is_read(served: Served, body: bytes) -> None:
    framing = {} if body.startswith(b"a") else {"Transfer-Encoding": "chunked"}
    content = request(body=b"", headers=framing or {"Content-Length": str(LARGE)}, length=not framing)
    with connect(served.port) as connection:
        connection.sendall(content)
        sent = 0
        while sent < len(body):
            connection.settimeout(20)
            connection.sendall(body[sent : sent + 1_000_000])
            sent += 1_000_000
            connection.settimeout(0.001)
            try:
                seen = connection.recv(65_536)
                break
            except TimeoutError:
                continue
        else:
            pytest.fail("the answer came only after the whole body")
    assert seen.startswith(b"HTTP/1.1 413 ")
    assert sent <= 30_000_000
    assert served.call(lambda: served.ingress.bodies.buffered) == 0
    takes_the_next(served, f"large {bool(framing)}")


def test_a_client_that_sends_all_of_100_mb_gets_its_answer_and_the_connection_goes_on(served: Served) -> None:
    with connect(served.port) as connection:
        connection.sendall(request(body=b"a" * LARGE))
        connection.sendall(request(body=GOOD))
        refused, taken = replies(connection, 2)
    check_problem(refused, 413, "BODY_TOO_LARGE", "$")
    assert taken.status == 200


def test_a_client_that_asks_first_is_refused_without_a_body(served: Served) -> None:
    with connect(served.port) as connection:
        connection.sendall(request(headers={"Content-Length": str(LARGE), "Expect": "100-continue"}))
        (reply,) = replies(connection, 1)
        assert connection.recv(1) == b"", "what may or may not follow can't be understood: the connection is closed"
    check_problem(reply, 413, "BODY_TOO_LARGE", "$")
    assert reply.headers["connection"] == "close"


def test_a_client_that_asks_first_is_told_to_go_on(served: Served) -> None:
    with connect(served.port) as connection:
        connection.sendall(request(headers={"Content-Length": str(len(GOOD)), "Expect": "100-continue"}))
        assert connection.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(GOOD)
        (reply,) = replies(connection, 1)
    assert reply.status == 200


def test_every_fault_of_a_body_is_named(served: Served) -> None:
    problem = served.post(
        "/v1/devices/d/telemetry", {"boot_id": 1, "sequence": "x", "readings": [{"metric": ""}], "y": 1}
    ).json()
    assert {error["path"] for error in problem["errors"]} == {
        *("$.occurred_at", "$.boot_id", "$.sequence", "$.y"),
        *("$.readings[0].metric", "$.readings[0].at", "$.readings[0].value"),
    }


def test_of_a_name_that_comes_twice_the_last_counts(served: Served) -> None:
    body = GOOD.replace(b'"boot_id": "boot"', b'"boot_id": "first", "boot_id": "twice"')
    first = served.post("/v1/devices/d/telemetry", body)
    again = served.post("/v1/devices/d/telemetry", telemetry(boot_id="twice"))
    assert first.status_code == 200
    assert again.json() == first.json()


@pytest.mark.parametrize("moment", ["1970-01-01T00:00:00Z", 0, "2199-12-31T23:59:59.999999Z"])
def test_the_first_and_the_last_moment_are_taken(served: Served, moment: str | int) -> None:
    answer = served.post("/v1/devices/d/telemetry", telemetry(boot_id=f"at {moment}", occurred_at=moment))
    assert answer.status_code == 200, answer.text


# --- slow and strange clients


def open_ports(served: Served) -> set[int]:
    """The clients' ports of all connections that the server holds."""
    return {port for connection in tuple(served.server.connections) if (port := connection.peer.port)}


def test_a_head_that_drips_is_cut_off(hurried: Served) -> None:
    with connect(hurried.port) as connection:
        connection.sendall(b"POST /v1/devices/d/telemetry HTTP/1.1\r\n")
        started = time.monotonic()
        connection.settimeout(0.1)
        received = b""
        while time.monotonic() - started < 4 * READ_SECONDS and not received:
            connection.sendall(b"A")
            try:
                received = connection.recv(65_536)
            except TimeoutError:
                continue
    assert received.startswith(b"HTTP/1.1 408 ")
    assert b'"REQUEST_TIMEOUT"' in received
    takes_the_next(hurried, "drip")


def test_a_body_that_does_not_come_is_cut_off(hurried: Served) -> None:
    with connect(hurried.port) as connection:
        connection.sendall(request(headers={"Content-Length": "1000"}, body=b"{"))
        found = replies(connection, 2)
    (reply,) = found
    check_problem(reply, 408, "REQUEST_TIMEOUT", "request")
    takes_the_next(hurried, "half a body")


def test_a_client_that_takes_no_answers_is_cut_off(hurried: Served) -> None:
    body = b'{"records":[' + b",".join([b"{}"] * 10_000) + b"]}"
    records = request(path="/topics/free", body=body, headers={"Content-Type": "application/vnd.kafka.json.v2+json"})
    with connect(hurried.port) as connection:
        ours = connection.getsockname()[1]
        until = time.monotonic() + 20
        while ours not in open_ports(hurried):
            assert time.monotonic() < until
        with contextlib.suppress(ConnectionError):  # cut off before all is sent, on a slow machine
            for _ in range(24):  # each answer has half a megabyte, more in all than the kernel keeps
                connection.sendall(records)
        while ours in open_ports(hurried):
            assert time.monotonic() < until
            time.sleep(0.05)
    takes_the_next(hurried, "no answers taken")


def test_line_breaks_do_not_keep_a_connection_open_for_ever(hurried: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.http.connection.IDLE_SECONDS", READ_SECONDS)
    with connect(hurried.port) as connection:
        for _ in range(8):
            try:
                connection.sendall(b"\r\n")
            except OSError:
                break
            time.sleep(READ_SECONDS / 4)
        connection.settimeout(2)
        with contextlib.suppress(ConnectionResetError):  # which says the same as an end
            assert connection.recv(1) == b""


def test_answers_come_in_the_order_of_requests_sent_ahead(served: Served) -> None:
    several = [request(body=GOOD), request("GET", "/health/live"), request(body=b"{"), request("GET", "/nothing")]
    with connect(served.port) as connection:
        connection.sendall(b"".join(several) + b"rubbish\r\n\r\n")
        assert [reply.status for reply in replies(connection, 9)] == [200, 200, 400, 404, 400]


def test_too_many_requests_ahead_are_refused(served: Served) -> None:
    with connect(served.port) as connection:
        connection.sendall(request("GET", "/health/live") * 200)
        found = replies(connection, 200)
    assert 1 < len(found) < 100
    assert {reply.status for reply in found[:-1]} == {200}
    assert found[-1].json["code"] == "TOO_MANY_AHEAD"
    takes_the_next(served, "ahead")


@pytest.mark.parametrize("split", [False, True])
def test_a_request_that_asks_for_another_protocol_is_an_ordinary_one(served: Served, split: bool) -> None:
    """As Java's HttpClient asks, with the body and another request behind it."""
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAAA"}
    content = request(body=GOOD, headers=upgrade)
    with connect(served.port) as connection:
        if split:
            connection.sendall(content[:-20])
            time.sleep(0.05)
            connection.sendall(content[-20:])
        else:
            connection.sendall(content + request("GET", "/health/live", headers=upgrade) + request(body=b"{"))
        found = replies(connection, 1 if split else 3)
    assert [reply.status for reply in found] == ([200] if split else [200, 200, 400])


def test_http_1_0_and_whole_urls_are_understood(served: Served) -> None:
    old = ask(served.port, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert (old.status, old.headers["connection"]) == (200, "close")
    assert ask(served.port, request("GET", "http://test/health/live?x=1")).status == 200
    with connect(served.port) as connection:
        connection.sendall(request("HEAD", "/health/live") + request("GET", "/health/live", headers={"Connection": "close"}))
        received = connection.makefile("rb").read()
    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.count(b'{"status":"live"') == 1


def test_trailers_are_no_headers(served: Served) -> None:
    body = b"%x\r\n%s\r\n0\r\nX-API-Key: wrong\r\n\r\n" % (len(GOOD), GOOD)
    assert ask(served.port, request(body=body, headers={"Transfer-Encoding": "chunked"}, length=False)).status == 200


def wait_for_connections(served: Served, count: int) -> None:
    until = time.monotonic() + 10
    while len(served.server.connections) != count:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_more_connections_than_allowed_are_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serving(options(tmp_path_factory.mktemp("ingress"), max_connections=3)) as served:
        # Connections are taken in their order: after this one those before it have been counted, and are gone soon.
        assert served.client.get("/health/live", headers={"Connection": "close"}).status_code == 200
        wait_for_connections(served, 0)
        held = [connect(served.port) for _ in range(3)]
        wait_for_connections(served, 3)
        with connect(served.port) as connection:
            (refused,) = replies(connection, 1)
        check_problem(refused, 503, "TOO_MANY_CONNECTIONS", "request")
        assert refused.headers["retry-after"] == "1"
        for one in held:
            one.close()
        wait_for_connections(served, 0)
        takes_the_next(served, "connections")
