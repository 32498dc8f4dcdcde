"""kill -9 during inserts, sent again under the same tokens: nothing acknowledged is lost, nothing is there twice."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from clickhouse_driver import Client, errors

BLOCK = 5_000
TABLE = """CREATE TABLE fleetlog.r (sensor LowCardinality(String), ts DateTime64(6, 'UTC'), value Float64, part UInt32,
    off UInt64) ENGINE = {engine} ORDER BY (part, off) SETTINGS non_replicated_deduplication_window = 1000"""


def insert(client: Client, start: int, part: int = 0, rows: int = BLOCK) -> None:
    offsets = list(range(start, start + rows))
    columns = [["s"] * rows, [1704067200000000 + offset for offset in offsets], [1.0] * rows, [part] * rows, offsets]
    token = {"insert_deduplication_token": f"r:{part}:{start}:{start + rows}"}
    client.execute("INSERT INTO fleetlog.r VALUES", columns, columnar=True, settings=token)


class Writer(threading.Thread):
    """Inserts blocks, one after the other, until the server is gone. `acknowledged`: rows stored for sure."""

    def __init__(self, client: Client, start: int) -> None:
        super().__init__()
        self.client, self.acknowledged = client, start

    def run(self) -> None:
        try:
            while True:
                insert(self.client, self.acknowledged)
                self.acknowledged += BLOCK
        except (errors.Error, EOFError, OSError):
            return  # the server was killed


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_during_inserts(new_server: Callable[..., Any], seed: int) -> None:
    rng = random.Random(seed)
    server = new_server().start()
    client = server.client()
    client.execute("CREATE DATABASE fleetlog ENGINE = Atomic")
    client.execute(TABLE.format(engine="MergeTree"))
    acknowledged = 0
    for _ in range(3):
        writer = Writer(server.client(), acknowledged)
        writer.start()
        time.sleep(rng.uniform(0.3, 1.0))
        os.kill(server.process.pid, signal.SIGKILL)
        writer.join()
        server.stop()
        assert writer.acknowledged > acknowledged
        acknowledged = writer.acknowledged
        client = server.start().client()
        rows, distinct, end = client.execute("SELECT count(), uniqExact(off), max(off) + 1 FROM fleetlog.r")[0]
        assert rows == distinct == end  # no hole, no row twice
        assert rows % BLOCK == 0  # no part of a block
        assert acknowledged <= rows <= acknowledged + BLOCK  # the last block may be stored and not acknowledged
    insert(client, acknowledged)  # as a writer does that was not answered
    assert client.execute("SELECT count(), uniqExact(off) FROM fleetlog.r") == [(acknowledged + BLOCK,) * 2]
    assert all(is_sound for _, is_sound, _ in client.execute("CHECK TABLE fleetlog.r"))


def test_tokens_hold_across_a_restart_and_a_kill(new_server: Callable[..., Any]) -> None:
    server = new_server().start()
    client = server.client()
    client.execute("CREATE DATABASE fleetlog ENGINE = Atomic")
    client.execute(TABLE.format(engine="ReplacingMergeTree"))
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        for start in (0, BLOCK):
            insert(client, start)
            insert(client, start)
        server.stop(number)
        client = server.start().client()
        assert client.execute("SELECT count() FROM fleetlog.r") == [(2 * BLOCK,)]


def test_an_insert_of_several_blocks_under_one_token(new_server: Callable[..., Any]) -> None:
    server = new_server().start()
    client = server.client()
    client.execute("CREATE DATABASE fleetlog ENGINE = Atomic")
    client.execute(TABLE.format(engine="MergeTree"))
    rows = 100_000
    columns = [["s"] * rows, list(range(rows)), [1.0] * rows, [0] * rows, list(range(rows))]
    for last in (False, True):
        client.execute(
            "INSERT INTO fleetlog.r VALUES",
            columns,
            columnar=True,
            settings={"insert_deduplication_token": "big", "insert_block_size": 30_000},
        )
        assert client.execute("SELECT count(), uniqExact(off) FROM fleetlog.r") == [(rows, rows)]
        if not last:
            server.stop(signal.SIGKILL)
            client = server.start().client()
