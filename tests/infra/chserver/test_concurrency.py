"""Many connections at a time, cancelled statements, and clients that leave."""

import threading
import time
from collections.abc import Callable
from typing import Any

from clickhouse_driver import errors
from clickhouse_driver.protocol import ServerPacketTypes

LONG = "SELECT sum(sipHash64(number)) FROM numbers(100000000000)"


def in_threads(count: int, work: Callable[[int], None]) -> list[BaseException]:
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except (errors.Error, EOFError, OSError, AssertionError) as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return failed


def test_eight_threads_insert_and_select(server: Any, table: str) -> None:
    server.client().execute(f"CREATE TABLE {table} (k Int32, v String) ENGINE = MergeTree ORDER BY k")

    def work(number: int) -> None:
        client = server.client(compression="lz4" if number % 2 else False)
        for turn in range(1, 11):
            client.execute(f"INSERT INTO {table} VALUES", [[number] * 1000, ["x" * turn] * 1000], columnar=True)
            mine = client.execute(f"SELECT count() FROM {table} WHERE k = %(k)s", {"k": number})
            assert mine == [(1000 * turn,)]

    assert in_threads(8, work) == []
    assert server.client().execute(f"SELECT count() FROM {table}") == [(80_000,)]


def test_http_and_native_at_a_time(server: Any, table: str) -> None:
    server.client().execute(f"CREATE TABLE {table} (k Int32) ENGINE = MergeTree ORDER BY k")

    def work(number: int) -> None:
        for _ in range(10):
            if number % 2:
                server.client().execute(f"INSERT INTO {table} VALUES", [(number,)] * 10)
            else:
                assert server.http(f"INSERT INTO {table} FORMAT CSV", f"{number}\n".encode() * 10)[0] == 200

    assert in_threads(8, work) == []
    assert server.client().execute(f"SELECT count() FROM {table}") == [(800,)]


def test_settings_of_one_connection_do_not_reach_another(server: Any) -> None:
    def work(number: int) -> None:
        client = server.client()
        for _ in range(20):
            got = client.execute("SELECT getSetting('max_block_size')", settings={"max_block_size": 1000 + number})
            assert got == [(1000 + number,)]

    assert in_threads(8, work) == []


def running(server: Any) -> int:
    sql = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64%' AND query NOT LIKE '%processes%'"
    return int(server.client().execute(sql)[0][0])


def test_cancel_ends_a_long_statement(server: Any, eventually: Callable[..., None]) -> None:
    for sql in (LONG, f"CREATE TEMPORARY TABLE x ENGINE = Memory AS {LONG}"):
        client = server.client()
        client.execute("SELECT 1")
        connection = client.connection
        connection.send_query(sql)
        connection.send_external_tables([])
        eventually(lambda: running(server) == 1)
        began = time.monotonic()
        connection.send_cancel()
        while connection.receive_packet().type != ServerPacketTypes.END_OF_STREAM:
            pass
        assert time.monotonic() - began < 5
        assert client.execute("SELECT 2") == [(2,)]
        assert client.connection is connection
        assert running(server) == 0


def test_cancel_in_the_middle_of_rows(server: Any) -> None:
    client = server.client()
    rows = client.execute_iter("SELECT number FROM numbers(1000000000)")
    assert next(rows) == (0,)
    client.cancel()
    assert client.execute("SELECT 2") == [(2,)]


def test_a_client_that_leaves_ends_its_statement(server: Any, eventually: Callable[..., None]) -> None:
    client = server.client()
    client.execute("SELECT 1")
    client.connection.send_query(LONG)
    client.connection.send_external_tables([])
    eventually(lambda: running(server) == 1)
    client.disconnect()
    eventually(lambda: running(server) == 0)
