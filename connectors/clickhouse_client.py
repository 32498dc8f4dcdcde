"""One connection to a ClickHouse server over its native protocol: who may be away, and one block per insert."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import polars as pl
from clickhouse_driver import Client, defines, errors
from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
from clickhouse_driver.protocol import ClientPacketTypes
from clickhouse_driver.varint import write_varint
from clickhouse_driver.writer import write_binary_str

from connectors.clickhouse_ddl import type_of
from connectors.clickhouse_native import block
from connectors.ports import Away
from schemas.table import Column

CONNECT_TIMEOUT = 5.0  # seconds; also for the ping before each query

UNKNOWN_TABLE, UNKNOWN_DATABASE, TABLE_IS_DROPPED = 60, 81, 218
GONE = frozenset({UNKNOWN_TABLE, UNKNOWN_DATABASE, TABLE_IS_DROPPED})
"""Codes of a server that has no such table: its version was dropped, or never prepared."""

# Codes with which a sound statement is refused for now (ErrorCodes.cpp of ClickHouse).
NOT_NOW = frozenset(
    {
        159,  # TIMEOUT_EXCEEDED
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED, as at a shutdown
        439,  # CANNOT_SCHEDULE_TASK
        745,  # SERVER_OVERLOADED
        999,  # KEEPER_EXCEPTION
    }
)
_SHUTDOWN = re.compile(r"shutting down|shutdown (?:was|is) called", re.IGNORECASE)

# One INSERT is one part, whatever a server's profile says: a part is what is written whole or not at all.
# No row is in a block twice, so looking for such before the part is written (0.4 µs a row, a third of the server's work)
# is left to merges and FINAL.
SETTINGS = {"async_insert": 0, "insert_deduplicate": 1, "optimize_on_insert": 0}


class Gone(Exception):
    """A statement names a table that is not there."""


@contextmanager
def _answering() -> Iterator[None]:
    """Turns every way in which the server cannot answer for now into `Away`; faults of ours pass.

    The driver closes the connection after any error, so the next statement makes a new one.
    """
    try:
        yield
    except (errors.NetworkError, errors.SocketTimeoutError, EOFError, OSError) as error:
        raise Away(f"ClickHouse: {error!r}") from error
    except errors.ServerException as error:
        if error.code in GONE:
            raise Gone(error.message) from error
        if error.code in NOT_NOW or _SHUTDOWN.search(error.message):
            raise Away(f"ClickHouse: {error.message.splitlines()[0]}") from error
        raise


class _BlockClient(Client):  # type: ignore[misc]
    """The driver, with inserts of whole frames: all rows go out as one block, made by `clickhouse_native`.

    `connects` counts the connections made so far: the driver makes a new one without a word when the old one is dead.
    """

    connects = 0
    _seen: Any = None

    def establish_connection(self, settings: Any) -> None:
        super().establish_connection(settings)
        if self.connection.socket is not self._seen:
            self._seen = self.connection.socket
            self.connects += 1

    def send_data(self, sample_block: Any, data: Sequence[Any], types_check: bool = False, columnar: bool = False) -> int:
        """`data` is [columns, frame]."""
        columns, frame = data
        declared = [(column.name, type_of(column)) for column in columns]
        if list(sample_block.columns_with_types) != declared:
            raise ValueError(f"the table's columns are {sample_block.columns_with_types}, not {declared}")
        connection = self.connection
        revision = connection.server_info.used_revision
        write_varint(ClientPacketTypes.DATA, connection.fout)
        if revision >= defines.DBMS_MIN_REVISION_WITH_TEMPORARY_TABLES:
            write_binary_str("", connection.fout)
        out = connection.block_out.fout
        if revision >= defines.DBMS_MIN_REVISION_WITH_BLOCK_INFO:
            BlockInfo().write(out)
        out.write(block(columns, frame, revision >= defines.DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION))
        connection.block_out.finalize()
        self.receive_profile_events()
        connection.send_data(ColumnOrientedBlock())  # an empty block ends the data
        self.receive_profile_events()
        return len(frame)


class ClickHouseServer:
    """One connection, made when it is first needed and again after every failure; one statement at a time.

    Args:
        timeout: seconds of silence after which the server is `Away`.
    """

    def __init__(self, host: str, port: int, user: str, password: str, timeout: float) -> None:
        self._client = _BlockClient(
            host,
            port=port,
            user=user,
            password=password,
            connect_timeout=CONNECT_TIMEOUT,
            sync_request_timeout=CONNECT_TIMEOUT,
            send_receive_timeout=timeout,
            settings=SETTINGS,
        )
        self._lock = Lock()

    @property
    def connects(self) -> int:
        """How many connections were made so far. While it stays the same, the server has not been restarted."""
        made: int = self._client.connects
        return made

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a statement's answer.

        Raises:
            Away: the server does not answer for now.
            Gone: there is no such table.
            clickhouse_driver.errors.ServerException: the statement is wrong.
        """
        with self._lock, _answering():
            rows: list[tuple[Any, ...]] = self._client.execute(sql)
        return rows

    def insert(self, sql: str, columns: Sequence[Column], frame: pl.DataFrame, token: str) -> None:
        """Add the rows of `frame`, as one block. A block whose token the table has seen lately is dropped.

        Raises:
            As `query`; and ValueError: the table has other columns.
        """
        settings = {**SETTINGS, "insert_deduplication_token": token}
        with self._lock, _answering():
            self._client.execute(sql, [columns, frame], settings=settings)

    def close(self) -> None:
        with self._lock:
            self._client.disconnect()
