"""A carrier that is wrong on purpose: it commits the position before it writes what the records led to.

    python -m infra.chaos.broken --index 0

Chaos must catch it, else chaos proves nothing (tests/chaos/test_controls.py). As long as nothing dies its views are right;
killed between its two steps it loses the batch in hand, since its next life goes on behind it.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from connectors.clickhouse_client import ClickHouseServer
from connectors.clickhouse_ddl import Statements
from connectors.clickhouse_store import TIMEOUT, ClickHouseRowStore
from connectors.ports import Change
from connectors.redis_store import RedisKeyedStore
from infra import compose, logging, worker
from infra.settings import Settings, load
from infra.stack.service import Service
from projections.projection import KeyedProjection, Projection, RowProjection
from schemas.log import TopicPartition

PAUSE = 0.05  # seconds between the two steps, as if the store were busy


class PositionFirstDocuments(RedisKeyedStore):
    """A keyed store whose commit is two steps in the wrong order."""

    def commit(
        self, version: int, source: TopicPartition, expected: int, following: int, changes: Mapping[str, Change]
    ) -> None:
        super().commit(version, source, expected, following, {})
        time.sleep(PAUSE)
        super().commit(version, source, following, following, changes)


class PositionFirstRows(ClickHouseRowStore):
    """A row store whose append is two steps in the wrong order."""

    def __init__(self, settings: Settings, projection: RowProjection) -> None:
        host, port, database = settings.clickhouse, settings.clickhouse_port, settings.clickhouse_database
        user, password = settings.clickhouse_user, settings.clickhouse_password
        super().__init__(host, port, user, password, database, projection.table)
        self._columns, self._statements = projection.table.columns, Statements(database, projection.table)
        self._unguarded = ClickHouseServer(host, port, user, password, TIMEOUT)

    def append(self, version: int, batch_of: TopicPartition, first: int, following: int, rows: pl.DataFrame) -> None:
        super().append(version, batch_of, first, following, rows.clear())
        time.sleep(PAUSE)
        if not rows.is_empty():
            names = [column.name for column in self._columns]
            token = f"{batch_of}:{first}-{following}"
            self._unguarded.insert(self._statements.insert_rows(version), self._columns, rows.select(names), token)


def store(settings: Settings, projection: Projection) -> compose.Store:
    """The broken store of a view."""
    if isinstance(projection, KeyedProjection):
        return PositionFirstDocuments(settings.redis, projection.name)
    return PositionFirstRows(settings, projection)


def in_place_of_worker(service: Service) -> Service:
    """A worker's service with the broken carrier in its place; any other service as it is."""
    if not service.name.startswith("worker-"):
        return service
    index = service.name.removeprefix("worker-")
    return replace(service, command=(sys.executable, "-P", "-m", "infra.chaos.broken", "--index", index))


def main() -> int:
    parser = argparse.ArgumentParser(prog="infra.chaos.broken", description="a worker that is wrong on purpose")
    parser.add_argument("--index", type=int, required=True)
    options = parser.parse_args()
    settings = load()
    logging.configure(f"worker-{options.index}", settings.log_level)
    return worker.run(settings, options.index, store)


if __name__ == "__main__":
    sys.exit(main())
