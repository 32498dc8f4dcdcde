"""A row view's store in ClickHouse (port RowStore). The tables are described in `clickhouse_ddl`.

How a row comes to be there exactly once:

- The rows of an append go in as one block, which becomes one part: all of them or none. (A very large append is several
  such blocks, of whole records, oldest first.) The position goes into a table of its own afterwards. A crash between the
  two loses nothing: the position of a partition is the later of what that table says and of what follows its newest row.
- The block carries a token that names the records it was made from, and the server drops a block whose token it has seen.
  So the same append again, after an answer that was lost, adds nothing.
- But the server writes the token down 0.4 ms before the part gets its name (seen with strace, chDB 26.9). Killed in
  between, it drops a block that it does not have. Such a token begins at a position that was current when the server
  died, so only the first append of a partition on a new connection can meet it: that one looks whether its rows are
  there, and writes them under a token of its own if not.
- A second writer that has not yet learnt that it lost the partition is refused by the check before the insert. Should it
  come between another's check and insert, it writes rows that are there already: rows of the same records are equal,
  the same identity makes them one row for the view, the digests and the counts, and ReplacingMergeTree removes the
  copies in time. Its position can't move the stored one back, as the greater one counts, nor skip a record, as its block
  began at a position that it had read.
"""

import re
from collections.abc import Mapping
from uuid import uuid4

import polars as pl

from connectors.clickhouse_amendment import amendment
from connectors.clickhouse_client import ClickHouseServer, Gone
from connectors.clickhouse_ddl import HIDDEN, Statements
from connectors.ports import Away, Moved, Superseded
from connectors.rows import canonical, check_passed, pieces
from schemas.log import TopicPartition
from schemas.table import Table

TIMEOUT = 20.0  # seconds of silence after which the server is Away
READ_TIMEOUT = 300.0  # ... while it computes digests or counts over a whole view
MOST_BYTES = 64 << 20  # of one block; servers refuse larger ones (the local one from 256 MB)


class ClickHouseRowStore:
    """The versions of one row view in one ClickHouse database.

    Calls that write come from one thread at a time; `digests` and `counts` may come from others.
    """

    def __init__(self, host: str, port: int, user: str, password: str, database: str, table: Table) -> None:
        self._sql = Statements(database, table)
        self._table = table
        self._server = ClickHouseServer(host, port, user, password, TIMEOUT)
        self._reader = ClickHouseServer(host, port, user, password, READ_TIMEOUT)
        # Where each partition stands, by what was read or written on this connection last: saves reading the rows at
        # every append. `_sure` are those of which a write was confirmed since.
        self._known: dict[tuple[int, TopicPartition], int] = {}
        self._sure: set[tuple[int, TopicPartition]] = set()
        self._connects = 0

    def live(self) -> int:
        definition = self._server.query(self._sql.definition())
        return self._sql.live(definition[0][0]) if definition else 1

    def versions(self) -> list[int]:
        found = (re.match(rf"{self._table.name}_v(\d+)", name) for (name,) in self._server.query(self._sql.tables()))
        return sorted({int(match[1]) for match in found if match})

    def prepare(self, version: int) -> None:
        """As the port says.

        Raises:
            ValueError: the version's table is there, with other columns: the view's definition changed since, and it has
                to be rebuilt.
        """
        self._server.query(self._sql.create_database())
        self._server.query(self._sql.create_rows(version))
        self._server.query(self._sql.create_positions(version))
        self._server.query(self._sql.create_facts(version))
        hidden = {column.name for column in HIDDEN}  # a version of before there were amendments lacks them
        existing = [one for one in self._server.query(self._sql.existing_columns(version)) if one[0] not in hidden]
        if sorted(existing) != sorted(self._sql.columns):
            different = sorted(set(existing) ^ set(self._sql.columns))
            raise ValueError(f"{self._sql.rows(version)} is of another definition of the view: {different}")
        if version == 1:
            self._server.query(self._sql.create_view(version, replace=False))

    def positions(self, version: int) -> dict[TopicPartition, int]:
        self._forget()
        try:
            positions = self._read_positions(version)
        except Gone:
            return {}
        self._known.update({(version, source): offset for source, offset in positions.items()})
        return positions

    def facts(self, version: int) -> dict[str, str]:
        try:
            return {name: value for name, value in self._server.query(self._sql.noted(version)) if value is not None}
        except Gone:
            return {}

    def note(self, version: int, facts: Mapping[str, str | None]) -> None:
        if not self._server.query(self._sql.existing_columns(version)):
            raise Superseded(f"{self._sql.view}: version {version} was dropped or never prepared")
        if facts:
            self._server.query(self._sql.create_facts(version))  # a version of before there were facts has no such table
            self._server.query(self._sql.note(version, facts))

    def promote(self, version: int) -> None:
        # Asked for, as a view with declared columns is made without a look at the table.
        if not self._server.query(self._sql.existing_columns(version)):
            raise ValueError(f"{self._sql.view}: version {version} was never prepared")
        self._server.query(self._sql.create_view(version, replace=True))

    def drop(self, version: int) -> None:
        if version == self.live():
            raise ValueError(f"{self._sql.view}: version {version} is live")
        for statement in self._sql.drop(version):
            self._server.query(statement)
        self._forget()

    def append(self, version: int, batch_of: TopicPartition, first: int, following: int, rows: pl.DataFrame) -> None:
        frame = canonical(self._table, batch_of, first, following, rows)
        try:
            self._check(version, batch_of, first)
            if not frame.is_empty():
                self._insert(version, batch_of, first, following, frame)
            self._server.query(self._sql.store_position(version, batch_of, following))
        except Gone as gone:
            self._forget()
            raise Superseded(f"{self._sql.view}: version {version} was dropped or never prepared") from gone
        except Away:
            self._forget()
            raise
        self._known[version, batch_of] = following
        self._sure.add((version, batch_of))

    def amend(self, version: int, source: TopicPartition, first: int, following: int, rows: pl.DataFrame) -> None:
        """As the port says. One block brings the new rows, and for each place of an old one that none of them takes a row
        that says that it is empty: readers see all old rows, or all new ones. The table is no log of changes: what a row
        was before, the log says, with the corrections before.

        Raises also:
            ValueError: the version's table is from before such rows could be written.
        """
        frame = canonical(self._table, source, first, following, rows)
        try:
            check_passed(self._table, source, following - 1, self._read_positions(version).get(source, 0))
            if not self._takes_amendments(version):
                raise ValueError(
                    f"{self._sql.rows(version)} was made before rows could be put in place of others: rebuild the view, "
                    "which takes all corrections"
                )
            places = self._server.query(self._sql.places(version, source, first, following))
            block = amendment(self._table, self._sql.sorting, frame, places)
            if not block.is_empty():
                token = f"{self._sql.rows(version)}:{source}:{first}-{following}:{uuid4()}"
                self._server.insert(self._sql.amend_rows(version), (*self._table.columns, *HIDDEN), block, token)
        except Gone as gone:
            self._forget()
            raise Superseded(f"{self._sql.view}: version {version} was dropped or never prepared") from gone

    def _takes_amendments(self, version: int) -> bool:
        existing = {name for name, _ in self._server.query(self._sql.existing_columns(version))}
        return {column.name for column in HIDDEN} <= existing or not existing

    def digests(self, version: int, until: Mapping[TopicPartition, int]) -> dict[str, str]:
        if not until:
            return {}
        try:
            found = self._reader.query(self._sql.digests(version, until))
        except Gone:
            return {}
        return {key: f"{count}:{added:016x}:{xored:016x}" for key, count, added, xored in found}

    def counts(self, version: int, source: TopicPartition, start: int, stop: int) -> dict[int, int]:
        try:
            return dict(self._reader.query(self._sql.counts(version, source, start, stop)))
        except Gone:
            return {}

    def close(self) -> None:
        self._server.close()
        self._reader.close()

    def _insert(self, version: int, source: TopicPartition, first: int, following: int, frame: pl.DataFrame) -> None:
        """The rows in one block, or in several of whole records where one would be too large."""
        into = self._sql.insert_rows(version)
        for start, stop, rows in pieces(first, following, frame, MOST_BYTES):
            token = f"{self._sql.rows(version)}:{source}:{start}-{stop}"
            self._server.insert(into, self._table.columns, rows, token)
            if (version, source) in self._sure and self._server.connects == self._connects:
                continue
            ((present,),) = self._server.query(self._sql.count(version, source, start, stop))
            if present < rows.n_unique(self._table.identity):
                self._server.insert(into, self._table.columns, rows, f"{token}:{uuid4()}")

    def _forget(self) -> None:
        """What is known came from a server that may have lost it, or is about tables that may be gone."""
        self._known.clear()
        self._sure.clear()

    def _check(self, version: int, source: TopicPartition, first: int) -> None:
        """Refuse an append behind the position. What is known here is read again where it may be wrong: another writer
        stored a later position, the connection is a new one, or the version was dropped and made anew.

        Raises:
            Moved: the position is beyond `first`.
        """
        stored = int(self._server.query(self._sql.stored_position(version, source))[0][0])
        if self._server.connects != self._connects:
            self._forget()
            self._connects = self._server.connects
        known = self._known.get((version, source))
        if known is None or not stored <= known <= first:
            known = max(stored, self._read_positions(version).get(source, 0))
            self._known[version, source] = known
        if known > first:
            raise Moved(source, first, known)

    def _read_positions(self, version: int) -> dict[TopicPartition, int]:
        stored = {
            TopicPartition(topic, partition): offset
            for topic, partition, offset in self._server.query(self._sql.stored_positions(version))
        }
        beyond = {
            TopicPartition(topic, partition): offset
            for topic, partition, offset in self._server.query(self._sql.beyond(version, stored))
        }
        return stored | beyond
