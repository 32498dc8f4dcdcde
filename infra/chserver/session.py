"""One chDB connection with what belongs to it: settings of the statement in hand, streams, running INSERTs."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO

from infra.chserver.binding import Connection, Progress, Result
from infra.chserver.errors import ENGINE_ERRORS, Code, EngineError, failure
from infra.chserver.statement import Insert

_SETTING = re.compile(r"[A-Za-z_][\w.]*")
Kill = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting sent with a statement. An unknown one is an error only if it is `important`."""

    name: str
    value: str
    important: bool = False


def quote(text: str) -> str:
    """An SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_name(name: str) -> str:
    """An SQL identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def encode(sql: str) -> bytes:
    """The bytes of a statement as the client sent them, also where they were not UTF-8."""
    return sql.encode("utf-8", "surrogateescape")


class Session:
    """A chDB connection with its own current database, settings and temporary tables. For one thread at a time.

    All methods raise EngineError when the engine refuses.
    """

    def __init__(self, connection: Connection, kill: Kill, folder: str) -> None:
        self._connection, self._kill, self._folder = connection, kill, folder
        self._applied: dict[str, str] = {}

    def run(self, sql: str, format_name: str = "TabSeparated", params: Mapping[str, str] | None = None) -> Result:
        """Run a statement to its end; `params` fill `{name:Type}` in it."""
        try:
            return self._connection.query(encode(sql), format_name, params=params or {})
        except ENGINE_ERRORS as error:
            raise EngineError.of_engine(error) from error

    def text(self, sql: str, format_name: str = "TabSeparated") -> str:
        return self.run(sql, format_name).bytes().decode("utf-8", "surrogateescape")

    def apply(self, wanted: Sequence[Setting]) -> list[str]:
        """Make settings hold for the next statement, and those of the last one no longer.

        A setting that a client changed by `SET` and then sends with a statement falls back to its default after it.

        Returns:
            The names of unknown settings that were left out.
        """
        values = {setting.name: setting.value for setting in wanted}
        bad = next((name for name in values if not _SETTING.fullmatch(name)), None)
        if bad is not None:
            raise failure(Code.UNKNOWN_SETTING, f"Unknown setting {bad!r}")
        changes = [f"{name} = DEFAULT" for name in self._applied if name not in values]
        changes += [f"{name} = {quote(value)}" for name, value in values.items() if self._applied.get(name) != value]
        if not changes:
            return []
        try:
            self.run("SET " + ", ".join(changes))
        except EngineError as error:
            if error.code != Code.UNKNOWN_SETTING:
                raise
            return self._apply_each(wanted)
        self._applied = values
        return []

    def _apply_each(self, wanted: Sequence[Setting]) -> list[str]:
        """One by one, to find the unknown ones."""
        unknown = []
        for name in list(self._applied):
            self.run(f"SET {name} = DEFAULT")
            del self._applied[name]
        for setting in wanted:
            try:
                self.run(f"SET {setting.name} = {quote(setting.value)}")
                self._applied[setting.name] = setting.value
            except EngineError as error:
                if error.code != Code.UNKNOWN_SETTING or setting.important:
                    raise
                unknown.append(setting.name)
        return unknown

    def use(self, database: str) -> None:
        self.run(f"USE {quote_name(database)}")

    def shape(self, relation: str) -> list[tuple[str, str]]:
        """(name, type) of each column of a SELECT in brackets."""
        described = self.text(f"DESCRIBE {relation} SETTINGS print_pretty_type_names = 0", "JSONCompact")
        return [(row[0], row[1]) for row in json.loads(described)["data"]]

    def only_reads(self, sql: str) -> bool:
        """Does the text change nothing? Text that the engine cannot parse counts as reading: it will be refused."""
        kind = str(self._connection.classify_query(encode(sql))["query_class"].name)
        return kind in ("READ_ONLY", "UNKNOWN")

    def stream(self, sql: str) -> Iterator[Result]:
        """The result in pieces of the Native format. Must be exhausted or closed before the next statement."""
        try:
            stream, done = self._connection.send_query(encode(sql), "Native"), False
            try:
                while not done:
                    piece = self._connection.streaming_fetch_result(stream)
                    done = piece is None or not piece.rows_read()
                    if piece is not None and not done:
                        yield piece
            finally:
                if not done:
                    self._connection.streaming_cancel_query(stream)
        except ENGINE_ERRORS as error:
            raise EngineError.of_engine(error) from error

    @contextmanager
    def insert(self, insert: Insert, format_name: str) -> Iterator["Sink"]:
        """Where the rows of an INSERT go; they are dropped at the end unless they were stored."""
        with ExitStack() as stack:
            try:
                file = stack.enter_context(TemporaryFile(dir=self._folder, buffering=0))
            except OSError as error:
                raise _no_space(error) from error
            yield Sink(self, insert, format_name, file)

    def watch(self, callback: Progress | None) -> None:
        """Have `callback` told every 0.1 s how far a statement is, in the thread that runs it; None: no longer.

        It must neither use this session nor raise: the engine drops what it raises.
        """
        self._connection.set_progress_callback(callback)

    def kill(self) -> None:
        """Ask the engine to give up the statement that the calling thread is in (from a progress callback).

        The engine's state of a thread must not be disturbed by a second statement in it, so another thread asks.
        """
        threading.Thread(target=self._kill, args=(threading.get_native_id(),), name="kill", daemon=True).start()

    def close(self) -> None:
        self._connection.close()


class Sink:
    """The rows of one INSERT, gathered in a nameless file in the data directory and stored as a whole by `finish`.

    chDB has an interface for this (send_insert, insert_append, insert_done), but it reports success also where the
    table refused the rows, of a constraint or too many partitions (26.9.0). INSERT ... FROM INFILE tells the truth.
    """

    def __init__(self, session: Session, insert: Insert, format_name: str, file: IO[bytes]) -> None:
        self._session, self._insert, self._format = session, insert, format_name
        self._file = file
        self._is_empty = True

    def append(self, data: bytes) -> None:
        """Add rows in the format.

        Raises:
            EngineError: NOT_ENOUGH_SPACE, they cannot be written.
        """
        self._is_empty = False
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _no_space(error) from error

    def finish(self) -> int:
        """Store the rows; returns when they are stored, with how many. Without `append` nothing is stored."""
        if self._is_empty:
            return 0
        sql = self._insert.from_file(f"/proc/self/fd/{self._file.fileno()}", self._format)
        return self._session.run(sql, "Null").rows_written()


def _no_space(error: OSError) -> EngineError:
    return failure(Code.NOT_ENOUGH_SPACE, f"Rows cannot be kept until they are stored: {error}")
