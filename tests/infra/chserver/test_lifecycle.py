"""Start, stop, and what must not start."""

import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from clickhouse_driver import errors

STOP_SECONDS = 8.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_data_stay(new_server: Callable[..., Any], number: int) -> None:
    server = new_server().start()
    assert server.http(path="/ping", headers={}, get=True)[2] == b"Ok.\n"
    client = server.client()
    client.execute("CREATE DATABASE fleetlog ENGINE = Atomic")
    client.execute("CREATE TABLE fleetlog.t (a Int32) ENGINE = MergeTree ORDER BY a")
    client.execute("INSERT INTO fleetlog.t VALUES", [(1,), (2,)])
    began = time.monotonic()
    assert server.stop(number) == 0
    assert time.monotonic() - began < STOP_SECONDS
    again = server.start().client()
    assert again.execute("SELECT sum(a) FROM fleetlog.t") == [(3,)]


def test_the_log_is_json_lines(new_server: Callable[..., Any]) -> None:
    server = new_server().start()
    with pytest.raises(errors.ServerException):
        server.client().execute("SELECT * FROM nope")
    server.stop()
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert {line["component"] for line in lines} == {"clickhouse"}
    failed = next(line for line in lines if line["message"] == "a statement failed")
    assert failed["context"]["code"] == 60
    assert "nope" in failed["context"]["error"]
    assert lines[-1]["message"] == "stopped"


def test_a_stop_waits_for_a_statement_and_refuses_new_ones(new_server: Callable[..., Any]) -> None:
    server = new_server().start()
    slow, late = server.client(), server.client()
    late.execute("SELECT 1")
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(slow.execute("SELECT sleep(2)")))
    thread.start()
    time.sleep(0.7)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    with pytest.raises(errors.ServerException) as caught:
        late.execute("SELECT 1")
    assert caught.value.code == 236
    assert server.stop() == 0
    thread.join()
    assert got == [[(0,)]]


def test_a_stop_ends_what_does_not_end_by_itself(new_server: Callable[..., Any]) -> None:
    server = new_server().start()
    client = server.client()
    caught: list[BaseException] = []

    def run() -> None:
        try:
            client.execute("SELECT sum(sipHash64(number)) FROM numbers(100000000000)")
        except (errors.Error, EOFError, OSError) as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < STOP_SECONDS
    thread.join()
    assert len(caught) == 1


def test_a_directory_belongs_to_one_process(new_server: Callable[..., Any]) -> None:
    first = new_server().start()
    second = new_server()
    second.log = second.log.with_name("second.log")
    process = second.launch()
    assert process.wait(timeout=30) == 3
    text = second.log.read_text()
    assert f"the data directory {second.path} is in use by another server (PID: {first.process.pid}" in text
    assert first.client().execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize("which", ["tcp_port", "http_port"])
def test_a_port_in_use(new_server: Callable[..., Any], which: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = new_server()
        setattr(server, which, port)
        assert server.launch().wait(timeout=30) == 3
    assert f"cannot listen on 127.0.0.1:{port}: " in server.log.read_text()
    assert not server.path.exists()


def test_a_directory_that_cannot_be_made(new_server: Callable[..., Any]) -> None:
    server = new_server("data")
    server.path.write_text("a file is here")
    assert server.launch().wait(timeout=30) == 3
    assert f"cannot use the data directory {server.path}: File exists" in server.log.read_text()


def test_clients_that_hold_connections_do_not_hold_up_the_stop(new_server: Callable[..., Any]) -> None:
    server = new_server().start()
    idle = [server.client() for _ in range(20)]
    for client in idle:
        client.execute("SELECT 1")
    silent = [server.connect(), server.connect(server.http_port)]
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < STOP_SECONDS
    for connection in silent:
        connection.close()
