"""How the port suites open a store: the in-memory version, and the real thing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import polars as pl
from clickhouse_driver import Client

from connectors.clickhouse_store import ClickHouseRowStore
from connectors.memory import MemoryKeyedStore, MemoryRowStore
from connectors.redis_store import RedisKeyedStore
from infra.settings import Settings
from schemas.log import TopicPartition
from schemas.table import PROVENANCE, Column, ColumnType, Table

A, B = TopicPartition("fleet.telemetry", 0), TopicPartition("fleet.telemetry", 1)
OTHER = TopicPartition("fleet.heartbeats", 0)

# A column of every type, nullable where it may be, and names that SQL has a meaning for.
TABLE = Table(
    "measured",
    (
        *PROVENANCE,
        Column("reading", ColumnType.LONG, "Place in the record; it's from 0."),
        Column("device_id", ColumnType.STRING, "Device."),
        Column("metric", ColumnType.LABEL, "Metric."),
        Column("unit", ColumnType.LABEL, "Unit, or null.", nullable=True),
        Column("at", ColumnType.TIMESTAMP, "When."),
        Column("seen", ColumnType.TIMESTAMP, "When seen, or null.", nullable=True),
        Column("value", ColumnType.DOUBLE, "Value."),
        Column("limit", ColumnType.DOUBLE, "Limit, or null.", nullable=True),
        Column("good", ColumnType.BOOLEAN, "Whether it is good."),
        Column("checked", ColumnType.BOOLEAN, "Whether it was checked, or null.", nullable=True),
        Column("total", ColumnType.LONG, "Total, or null.", nullable=True),
        Column("note", ColumnType.STRING, "Note, or null.", nullable=True),
        Column("loads", ColumnType.DOUBLES, "Loads."),
        Column("files", ColumnType.STRINGS, "Files."),
    ),
    order=("device_id", "at"),
    identity=("topic", "partition", "offset", "reading"),
)

Store = Any  # one of the ports' stores; both kinds are driven by the same suites


def row(source: TopicPartition, offset: int, reading: int = 0, **values: Any) -> dict[str, Any]:
    """A row of TABLE."""
    plain = {
        "device_id": f"device-{offset % 3}",
        "metric": "temperature",
        "unit": None,
        "at": 1_700_000_000_000_000 + offset,
        "seen": None,
        "value": offset / 8,
        "limit": None,
        "good": True,
        "checked": None,
        "total": None,
        "note": None,
        "loads": [0.5, float(reading)],
        "files": [],
    }
    return {"topic": source.topic, "partition": source.partition, "offset": offset, "reading": reading} | plain | values


SCHEMA = {
    "topic": pl.String,
    "unit": pl.String,
    "note": pl.String,
    "seen": pl.Int64,
    "limit": pl.Float64,
    "checked": pl.Boolean,
    "total": pl.Int64,
    "loads": pl.List(pl.Float64),
    "files": pl.List(pl.String),
}


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a projection hands them over."""
    if not rows:
        return frame([row(A, 0)]).clear()
    return pl.DataFrame(rows, schema_overrides=SCHEMA, infer_schema_length=None)


def rows_of(source: TopicPartition, first: int, following: int, readings: int = 2) -> pl.DataFrame:
    """`readings` rows of each record."""
    return frame([row(source, offset, reading) for offset in range(first, following) for reading in range(readings)])


@dataclass
class Opened:
    """One view in one store. `open` gives a handle as another process would have it: on the same view."""

    kind: str
    open: Callable[[], Store]

    @property
    def keyed(self) -> bool:
        return self.kind in ("memory documents", "redis")

    def write(self, store: Store, version: int, source: TopicPartition, first: int, following: int) -> None:
        """Anything, written from the last of the records [first, following)."""
        if self.keyed:
            store.commit(version, source, first, following, {})
        else:
            store.append(version, source, first, following, rows_of(source, max(first, following - 20), following))


def open_view(kind: str, settings: Settings, handles: list[Store]) -> Opened:
    """A view that nobody else uses. Every handle is put into `handles`, for the caller to close."""
    name = f"t{uuid4().hex}"
    table = Table(f"v{uuid4().hex}", TABLE.columns, TABLE.order, TABLE.identity)
    memory: Store = MemoryKeyedStore() if kind == "memory documents" else MemoryRowStore(table)

    def opened() -> Store:
        if kind.startswith("memory"):
            return memory
        if kind == "redis":
            handles.append(RedisKeyedStore(settings.redis, name))
        else:
            handles.append(ClickHouseRowStore(settings.clickhouse, settings.clickhouse_port, "default", "", "suite", table))
        return handles[-1]

    return Opened(kind, opened)


def clickhouse(settings: Settings) -> Client:
    """The plain driver."""
    return Client(settings.clickhouse, port=settings.clickhouse_port)
