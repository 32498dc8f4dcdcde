"""Hashes over the rows of a view in ClickHouse (port Chunks), worked out by the server: nothing is done while rows are
written, and a million rows of telemetry take it 0.3 s on one core when they are asked for.

    fleetlog.telemetry_v1_chunks   hashes of chunks that are kept: the newest of each counts
"""

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.chunks import Range
from connectors.clickhouse_client import ClickHouseServer, Gone
from connectors.clickhouse_ddl import Statements, quote
from schemas.log import TopicPartition
from schemas.table import Table

TIMEOUT = 300.0  # seconds of silence after which the server is Away


class ClickHouseChunks:
    """Of one row view in one ClickHouse database."""

    def __init__(self, host: str, port: int, user: str, password: str, database: str, table: Table) -> None:
        self._sql, self._table = Statements(database, table), table
        self._server = ClickHouseServer(host, port, user, password, TIMEOUT)
        row = f"SHA256(formatRow('RowBinary', {', '.join(f'`{name}`' for name in table.names)}))"
        # As text on the way: of a fixed string's bytes the server would leave off zeros at the end.
        self._hash = f"lower(hex(SHA256(unhex(arrayStringConcat(arraySort(groupArray(hex({row}))))))))"

    def computed(self, version: int, rows_of: Range, size: int) -> dict[int, bytes]:
        return {
            int(number): bytes.fromhex(hashed)
            for number, hashed in self._asked(
                f"SELECT intDiv(offset, {size}), {self._hash} FROM {self._sql.rows(version)} FINAL "
                f"WHERE {_within(rows_of)} GROUP BY 1"
            )
        }

    def by_key(self, version: int, rows_of: Range, keys: Sequence[str] | None = None) -> dict[str, bytes]:
        only = "" if keys is None else f" AND `{self._table.key}` IN ({', '.join(map(quote, keys))})"
        if keys is not None and not keys:
            return {}
        found = self._asked(
            f"SELECT `{self._table.key}`, {self._hash} FROM {self._sql.rows(version)} FINAL "
            f"WHERE {_within(rows_of)}{only} GROUP BY 1"
        )
        return {str(key): bytes.fromhex(hashed) for key, hashed in found}

    def keys(self, version: int, until: Mapping[TopicPartition, int]) -> int:
        if not until:
            return 0
        below = " OR ".join(f"({_within(Range(source, 0, position))})" for source, position in until.items())
        found = self._asked(f"SELECT uniqExact(`{self._table.key}`) FROM {self._sql.rows(version)} FINAL WHERE {below}")
        return int(found[0][0]) if found else 0

    def sample(self, version: int, keys: int) -> list[str]:
        key = f"`{self._table.key}`"
        found = self._asked(f"SELECT {key} FROM {self._sql.rows(version)} GROUP BY {key} ORDER BY rand() LIMIT {keys}")
        return [str(name) for (name,) in found]

    def sealed(self, version: int) -> dict[TopicPartition, dict[int, bytes]]:
        kept: dict[TopicPartition, dict[int, bytes]] = {}
        for topic, partition, number, hashed in self._asked(
            f"SELECT topic, partition, chunk, argMax(hash, turn) FROM {self._sql.chunks(version)} GROUP BY 1, 2, 3"
        ):
            kept.setdefault(TopicPartition(topic, partition), {})[int(number)] = bytes.fromhex(hashed)
        return kept

    def seal(self, version: int, source: TopicPartition, hashes: Mapping[int, bytes]) -> None:
        if not hashes or not self._server.query(self._sql.existing_columns(version)):
            return  # the version was dropped meanwhile
        name = self._sql.chunks(version)
        self._server.query(
            f"CREATE TABLE IF NOT EXISTS {name} (topic LowCardinality(String), partition Int64, chunk Int64, hash String, "
            "turn UInt64) ENGINE = ReplacingMergeTree(turn) ORDER BY (topic, partition, chunk) "
            f"COMMENT {quote(f'SHA-256 over chunks of the rows of version {version} of {self._table.name}.')}"
        )
        numbers = ", ".join(map(str, hashes))
        texts = ", ".join(quote(hashed.hex()) for hashed in hashes.values())
        self._server.query(
            f"INSERT INTO {name} (topic, partition, chunk, hash, turn) SELECT {quote(source.topic)}, {source.partition}, "
            f"kept.1, kept.2, (SELECT max(turn) + 1 FROM {name}) "
            f"FROM (SELECT arrayJoin(arrayZip([{numbers}], [{texts}])) AS kept)"
        )

    def close(self) -> None:
        self._server.close()

    def _asked(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of an answer; none where the version is not there."""
        try:
            return self._server.query(sql)
        except Gone:
            return []


def _within(rows_of: Range) -> str:
    source = rows_of.source
    return (
        f"topic = {quote(source.topic)} AND partition = {source.partition} "
        f"AND offset >= {rows_of.start} AND offset < {rows_of.stop}"
    )
