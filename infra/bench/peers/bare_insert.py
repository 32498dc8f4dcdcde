"""The limit of the sink: clickhouse-driver inserts the topic's rows, which are in memory already, as columns.

Run with `python -m infra.bench.peers.bare_insert HOST PORT DATABASE RECORDS BLOCK`; a block has BLOCK records. Making a
block's columns ready is not part of the time. They are lists of Python's own types, with times as integers.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from clickhouse_driver import Client

from connectors.clickhouse_ddl import Statements
from infra.bench.peers.result import SECONDS
from infra.bench.topic import TOPIC, Fleet, blocks
from projections.projection import with_position
from projections.telemetry import TELEMETRY
from schemas import contract as contracts
from schemas.columns import ColumnDecoder
from schemas.log import Batch, TopicPartition


def columns(fleet: Fleet, size: int) -> Iterator[list[list[Any]]]:
    """The columns of each block of the rows of `size` records, as if all records were in one partition."""
    record = contracts.load().topics[TOPIC].record
    decoder = ColumnDecoder(record, lambda schema_id: record.schema)
    source, first = TopicPartition(TOPIC, 0), 0
    for block in blocks(fleet):
        for start in range(0, len(block), size):
            part = block[start : start + size]
            keys, values = [key for key, _ in part], [value for _, value in part]
            batch = Batch(source, range(first, first + len(part)), keys, values)
            first += len(part)
            frame = TELEMETRY.rows(with_position(decoder.decode(values).frame, batch))
            yield [frame[name].to_list() for name in TELEMETRY.table.names]


def main() -> None:
    signal.alarm(SECONDS)
    host, port, database, records, size = sys.argv[1:]
    client = Client(host, port=int(port))
    into = Statements(database, TELEMETRY.table).insert_rows(1)
    rows, seconds = 0, 0.0
    for block in columns(Fleet(int(records), 1_000), int(size)):
        began = time.perf_counter()
        rows += client.execute(into, block, columnar=True)
        seconds += time.perf_counter() - began
    print(json.dumps({"records": rows, "seconds": seconds}))


if __name__ == "__main__":
    main()
