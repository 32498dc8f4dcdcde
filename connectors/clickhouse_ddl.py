"""The SQL of a row view in ClickHouse: pure text, no connection.

For the view `telemetry` in the database `fleetlog`, version 1:

    fleetlog.telemetry_v1            its rows (ReplacingMergeTree: a row written twice is one row after FINAL)
    fleetlog.telemetry_v1_positions  the offset that follows the last folded one, per partition
    fleetlog.telemetry_v1_facts      what is noted about the version; the row with the greatest `turn` counts
    fleetlog.telemetry_v1_chunks     the hashes of its chunks of rows (connectors.clickhouse_chunks)
    fleetlog.telemetry               what readers read: a VIEW on the rows of the live version

Beside the view's columns a table of rows has two that the view does not show: when a row was put in place of another
(AMENDED), and whether there is none in its place (GONE). Of the rows with equal sorting columns FINAL shows the one that was
amended last, and none where that one says so. So one block takes rows away and brings others, in one step for readers.

Types: LowCardinality(String) for labels, DateTime64(6, 'UTC') for timestamps, Nullable where a column may be null.
"""

import re
from collections.abc import Mapping

from connectors.rows import ARRAYS, check_table
from schemas.log import TopicPartition
from schemas.table import Column, ColumnType, Table

TYPES: Mapping[ColumnType, str] = {
    ColumnType.STRING: "String",
    ColumnType.LABEL: "String",
    ColumnType.LONG: "Int64",
    ColumnType.DOUBLE: "Float64",
    ColumnType.BOOLEAN: "Bool",
    ColumnType.TIMESTAMP: "DateTime64(6, 'UTC')",
    ColumnType.DOUBLES: "Array(Float64)",
    ColumnType.STRINGS: "Array(String)",
}

AMENDED = Column("_amended", ColumnType.TIMESTAMP, "When the row was put in place of another; 1970: it was not.")
GONE = Column("_gone", ColumnType.BOOLEAN, "There is no row in this place any more.")
HIDDEN = (AMENDED, GONE)
"""The columns of a table of rows that the view does not show."""

# The server drops a block whose token is among those of the last so many blocks of the table.
DEDUPLICATION_WINDOW = 1_000


def type_of(column: Column) -> str:
    """The ClickHouse type of a column, spelled as the server spells it."""
    plain = TYPES[column.type]
    inner = f"Nullable({plain})" if column.nullable and column.type not in ARRAYS else plain
    return f"LowCardinality({inner})" if column.type is ColumnType.LABEL else inner


def quote(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Statements:
    """The statements for one view.

    Raises:
        ValueError: the database or the table has a name that is not lower-case letters, digits and underscores or that
            could be mistaken for a version's, or the table is one that no row store takes (connectors.rows), or has a column
            of a name in HIDDEN.
    """

    def __init__(self, database: str, table: Table) -> None:
        for name in (database, table.name):
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or re.search(r"_v\d+(_positions|_facts|_chunks)?$", name):
                raise ValueError(f"not a name for a database or view: {name!r}")
        check_table(table)
        for column in HIDDEN:
            if column.name in table.names:
                raise ValueError(f"table {table.name} has a column {column.name}, which is the store's own")
        self.database, self.table = database, table
        self.columns = [(column.name, type_of(column)) for column in table.columns]
        self.sorting = (*table.order, *(name for name in table.identity if name not in table.order))
        self.view = f"{database}.{table.name}"
        self._names = ", ".join(f"`{name}`" for name in table.names)
        self._described = ",\n    ".join(
            f"`{column.name}` {type_of(column)} COMMENT {quote(column.doc)}" for column in table.columns
        )

    def rows(self, version: int) -> str:
        """The name of a version's table of rows."""
        return f"{self.view}_v{version}"

    def positions(self, version: int) -> str:
        """The name of a version's table of positions."""
        return f"{self.view}_v{version}_positions"

    def facts(self, version: int) -> str:
        """The name of a version's table of facts."""
        return f"{self.view}_v{version}_facts"

    def chunks(self, version: int) -> str:
        """The name of a version's table of the hashes of its rows."""
        return f"{self.view}_v{version}_chunks"

    def create_database(self) -> str:
        return f"CREATE DATABASE IF NOT EXISTS {self.database} ENGINE = Atomic"

    def create_rows(self, version: int) -> str:
        """No PARTITION BY: a block becomes one part, which is there whole or not at all, and on the disk before the position
        that follows it is stored. The index finds the rows of some offsets without reading all others."""
        return f"""CREATE TABLE IF NOT EXISTS {self.rows(version)} (
    {self._described},
    {_with_default(AMENDED)},
    {_with_default(GONE)},
    INDEX of_offsets (topic, partition, offset) TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree({AMENDED.name}, {GONE.name})
PRIMARY KEY ({", ".join(self.table.order)})
ORDER BY ({", ".join(self.sorting)})
SETTINGS non_replicated_deduplication_window = {DEDUPLICATION_WINDOW},
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT {quote(f"Version {version} of the view {self.table.name}. Read through {self.view}.")}"""

    def create_positions(self, version: int) -> str:
        return f"""CREATE TABLE IF NOT EXISTS {self.positions(version)} (
    topic LowCardinality(String), partition Int64, next_offset Int64
) ENGINE = ReplacingMergeTree(next_offset)
ORDER BY (topic, partition)
COMMENT {quote(f"The offset of the next record to fold, per partition, for version {version} of {self.table.name}.")}"""

    def create_facts(self, version: int) -> str:
        return f"""CREATE TABLE IF NOT EXISTS {self.facts(version)} (
    name String, value Nullable(String), turn UInt64
) ENGINE = ReplacingMergeTree(turn)
ORDER BY name
COMMENT {quote(f"What is noted about version {version} of {self.table.name}; a null takes a fact back.")}"""

    def create_view(self, version: int, replace: bool) -> str:
        """Replaced in one atomic step (the database's engine is Atomic)."""
        head = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW IF NOT EXISTS"
        return f"{head} {self.view} ({self._described}) AS SELECT {self._names} FROM {self.rows(version)} FINAL"

    def existing_columns(self, version: int) -> str:
        return f"SELECT name, type FROM system.columns WHERE {self._in_system(version)} ORDER BY position"

    def definition(self) -> str:
        return (
            f"SELECT as_select FROM system.tables WHERE database = {quote(self.database)} "
            f"AND name = {quote(self.table.name)}"
        )

    def live(self, definition: str) -> int:
        """The version on which the view's definition says it stands.

        Raises:
            ValueError: somebody else made the view.
        """
        found = re.fullmatch(rf"SELECT .* FROM {self.view}_v(\d+) FINAL", " ".join(definition.split()))
        if found is None:
            raise ValueError(f"{self.view} is not a view of one of its versions: {definition}")
        return int(found[1])

    def tables(self) -> str:
        pattern = quote(rf"^{self.table.name}_v\d+(_positions|_facts|_chunks)?$")
        return f"SELECT name FROM system.tables WHERE database = {quote(self.database)} AND match(name, {pattern})"

    def drop(self, version: int) -> list[str]:
        """Positions first: were the rows dropped and the positions kept, a version that is used again would pass over the
        records whose rows are gone."""
        return [
            f"DROP TABLE IF EXISTS {name} SYNC SETTINGS max_table_size_to_drop = 0"
            for name in (self.positions(version), self.facts(version), self.chunks(version), self.rows(version))
        ]

    def insert_rows(self, version: int) -> str:
        return f"INSERT INTO {self.rows(version)} ({self._names}) VALUES"

    def amend_rows(self, version: int) -> str:
        """As `insert_rows`, with the columns of HIDDEN."""
        hidden = ", ".join(column.name for column in HIDDEN)
        return f"INSERT INTO {self.rows(version)} ({self._names}, {hidden}) VALUES"

    def places(self, version: int, source: TopicPartition, start: int, stop: int) -> str:
        """Of the rows of the records [start, stop), whatever became of them: their sorting columns (timestamps in
        microseconds), and when they were amended last (the same)."""
        types = dict(self.columns)
        micros = {name for name in self.sorting if types[name] == TYPES[ColumnType.TIMESTAMP]}
        sorting = ", ".join(_micros(name) if name in micros else f"`{name}`" for name in self.sorting)
        return (
            f"SELECT {sorting}, max({_micros(AMENDED.name)}) FROM {self.rows(version)} "
            f"WHERE {_of(source)} AND offset >= {start} AND offset < {stop} "
            f"GROUP BY {', '.join(f'`{name}`' for name in self.sorting)}"
        )

    def store_position(self, version: int, source: TopicPartition, following: int) -> str:
        """A SELECT of constants: one exchange with the server, where VALUES takes two and a block."""
        values = f"{quote(source.topic)}, {source.partition}, {following}"
        return f"INSERT INTO {self.positions(version)} (topic, partition, next_offset) SELECT {values}"

    def stored_positions(self, version: int) -> str:
        return f"SELECT topic, partition, max(next_offset) FROM {self.positions(version)} GROUP BY topic, partition"

    def stored_position(self, version: int, source: TopicPartition) -> str:
        return f"SELECT max(next_offset) FROM {self.positions(version)} WHERE {_of(source)}"

    def beyond(self, version: int, stored: Mapping[TopicPartition, int]) -> str:
        """Per partition the offset after its newest row, where that is beyond the stored position."""
        known = [f"({_of(source)} AND offset >= {position})" for source, position in stored.items()]
        unknown = " AND ".join(f"NOT ({_of(source)})" for source in stored) or "1"
        condition = " OR ".join([*known, f"({unknown})"])
        return f"SELECT topic, partition, max(offset) + 1 FROM {self.rows(version)} WHERE {condition} GROUP BY 1, 2"

    def noted(self, version: int) -> str:
        return f"SELECT name, value FROM {self.facts(version)} FINAL"

    def note(self, version: int, facts: Mapping[str, str | None]) -> str:
        """One block, so that the facts are there together or not at all. Turns count up in the table itself: a clock that
        is set back takes nothing back."""
        names = ", ".join(quote(name) for name in facts)
        values = ", ".join("NULL" if value is None else quote(value) for value in facts.values())
        turn = f"(SELECT max(turn) + 1 FROM {self.facts(version)})"
        return (
            f"INSERT INTO {self.facts(version)} (name, value, turn) "
            f"SELECT fact.1, fact.2, {turn} FROM (SELECT arrayJoin(arrayZip([{names}], [{values}])) AS fact)"
        )

    def digests(self, version: int, until: Mapping[TopicPartition, int]) -> str:
        """Per key: the count of its rows and two independent 64-bit hashes of them, one summed, one xored. FINAL leaves one
        of the rows written twice. A null is hashed as a flag and a default, since the hash of a null is null and a sum
        leaves that out. (A million telemetry rows: 0.2 s; with sipHash128, 1.4 s.)"""
        hashed = []
        for column in self.table.columns:
            name = f"`{column.name}`"
            hashed += [f"isNull({name})", f"ifNull({name}, {_default(column)})"] if column.nullable else [name]
        below = " OR ".join(f"({_of(source)} AND offset < {position})" for source, position in until.items())
        row = ", ".join(hashed)
        return (
            f"SELECT `{self.table.key}`, count(), sum(cityHash64({row})), groupBitXor(xxh3({row})) "
            f"FROM {self.rows(version)} FINAL WHERE {below} GROUP BY 1"
        )

    def counts(self, version: int, source: TopicPartition, start: int, stop: int) -> str:
        """Rows that readers see: FINAL leaves one of those with equal sorting columns. Two rows of one identity that differ
        in these are there twice, which is what a count must show."""
        return (
            f"SELECT offset, count() FROM {self.rows(version)} FINAL "
            f"WHERE {_of(source)} AND offset >= {start} AND offset < {stop} GROUP BY offset"
        )

    def count(self, version: int, source: TopicPartition, start: int, stop: int) -> str:
        """The rows of records none of which was amended, as one number. Without FINAL, which looks at more than these."""
        return (
            f"SELECT uniqExact({', '.join(self.sorting)}) FROM {self.rows(version)} "
            f"WHERE {_of(source)} AND offset >= {start} AND offset < {stop}"
        )

    def _in_system(self, version: int) -> str:
        return f"database = {quote(self.database)} AND table = {quote(f'{self.table.name}_v{version}')}"


def _of(source: TopicPartition) -> str:
    return f"topic = {quote(source.topic)} AND partition = {source.partition}"


def _micros(name: str) -> str:
    return f"toUnixTimestamp64Micro(`{name}`)"


def _with_default(column: Column) -> str:
    return f"`{column.name}` {type_of(column)} DEFAULT {_default(column)} COMMENT {quote(column.doc)}"


def _default(column: Column) -> str:
    """A value of the column's type to hash beside the flag that says it is null."""
    match column.type:
        case ColumnType.STRING | ColumnType.LABEL:
            return "''"
        case ColumnType.TIMESTAMP:
            return "toDateTime64(0, 6, 'UTC')"
        case _:
            return f"CAST(0, {quote(TYPES[column.type])})"
