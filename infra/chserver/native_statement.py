"""Running one statement of a native connection: its external tables, then SELECT, INSERT, or anything else."""

from collections.abc import Mapping

from infra.chserver.answers import Answers, Progress, header
from infra.chserver.binding import Result
from infra.chserver.channel import MAX_BLOCK, Channel
from infra.chserver.columns import Block, check, step_block
from infra.chserver.errors import Code, EngineError, ProtocolError, failure
from infra.chserver.session import Session, Sink, quote_name
from infra.chserver.statement import Insert, is_query, parse_insert, split_format
from infra.chserver.wire import Reader, empty_source

_READ = ("read_rows", "read_bytes", "total_rows_to_read")


class Statement:
    """A statement in hand. `temporary` names the external tables, which the caller drops."""

    def __init__(self, session: Session, channel: Channel, answers: Answers) -> None:
        self._session, self._channel, self._answers = session, channel, answers
        self.temporary: list[str] = []
        self._told = dict.fromkeys(_READ, 0)
        self._gave_up = False

    def external_tables(self) -> None:
        """Take the tables sent with the statement; the block without columns that ends them always comes.

        An error is raised after that end, so that the connection can go on.
        """
        failed: EngineError | None = None
        while self._channel.data_packet():
            name, block = self._channel.table_block()
            if not block.columns:
                break
            try:
                if failed is None:
                    self._external_table(name, block)
            except EngineError as error:
                failed = error
        if failed is not None:
            raise failed

    def _external_table(self, name: str, block: Block) -> None:
        if name not in self.temporary:
            columns = ", ".join(f"{quote_name(column)} {kind}" for column, kind in block.columns)
            self._session.run(f"CREATE TEMPORARY TABLE {quote_name(name)} ({columns})")
            self.temporary.append(name)
        if block.rows:
            with self._session.insert(Insert(quote_name(name)), "Native") as sink:
                sink.append(block.data)
                sink.finish()

    def execute(self, sql: str) -> None:
        insert = parse_insert(sql)
        if insert is not None and not insert.inline:
            self._insert(insert)
            return
        if insert is None:
            sql, _ = split_format(sql)  # rows of the native protocol have one format
        self._session.watch(self._progress)
        try:
            if is_query(sql):
                self._select(sql.rstrip().rstrip(";"))
            else:
                self._other(sql)
        except EngineError:
            if not self._gave_up:
                raise
            self._answers.end()  # the client asked for the end, and the engine reports it as an error
        finally:
            self._session.watch(None)

    def _other(self, sql: str) -> None:
        """DDL, SHOW, INSERT ... SELECT and the like: small results."""
        result = self._session.run(sql, "Native")
        blocks = _blocks(result.bytes())
        if blocks:
            self._answers.block(header(blocks[0].columns))
            for block in blocks:
                self._answers.block(block.data)
            self._answers.end_of_rows()
        if result.rows_written():
            self._answers.progress(Progress(written_rows=result.rows_written(), written_bytes=result.bytes_written()))
        self._answers.end()

    def _select(self, sql: str) -> None:
        rows = blocks = size = read = read_bytes = 0
        stream = self._session.stream(sql)
        try:
            for piece in stream:
                data = piece.get_memview().view()
                if not blocks:  # numpy and DataFrame readers take the columns from a first block without rows
                    self._answers.block(self._header_of(piece, sql))
                self._answers.block(data)
                rows, blocks, size = rows + piece.rows_read(), blocks + 1, size + data.nbytes
                read, read_bytes = read + piece.storage_rows_read(), read_bytes + piece.storage_bytes_read()
                if self._channel.gave_up():
                    break
        finally:
            stream.close()  # type: ignore[attr-defined]  # it is a generator
        if read > self._told["read_rows"]:  # quick statements end before the engine first tells of progress
            self._tell({"read_rows": read, "read_bytes": read_bytes, "total_rows_to_read": read})
        if not blocks:
            self._answers.block(header(self._session.shape(f"({sql})")))
        self._answers.profile(rows, blocks, size)
        self._answers.end_of_rows()
        self._answers.end()

    def _header_of(self, piece: Result, sql: str) -> bytes:
        """The columns of the first piece, as a block without rows."""
        reader = Reader(empty_source, MAX_BLOCK, piece.bytes())
        try:
            return header(step_block(reader).columns)
        except ProtocolError:  # a type whose bytes cannot be stepped over: ask the engine
            return header(self._session.shape(f"({sql})"))

    def _progress(self, now: Mapping[str, int]) -> None:
        """The engine's progress callback: tell the client, and see whether it still wants the result."""
        if self._gave_up:
            return
        try:
            self._tell(now)
            self._gave_up = self._channel.gave_up()
        except OSError:
            self._gave_up = True
        if self._gave_up:
            self._session.kill()

    def _tell(self, now: Mapping[str, int]) -> None:
        more = [max(0, now.get(name, 0) - self._told[name]) for name in _READ]
        self._told = {name: now.get(name, 0) for name in _READ}
        self._answers.progress(Progress(*more))

    def _insert(self, insert: Insert) -> None:
        columns = self._session.shape(insert.relation)
        check(columns)
        self._answers.block(header(columns))
        with self._session.insert(insert, "Native") as sink:
            rows, size = self._receive(sink, {name for name, _ in columns})
        if rows:
            self._answers.progress(Progress(written_rows=rows, written_bytes=size))
        self._answers.end()

    def _receive(self, sink: Sink, names: set[str]) -> tuple[int, int]:
        """Blocks up to one without columns: (rows, bytes). After an error the rest is read and dropped.

        A block must have the columns that were announced; the engine would fill others with defaults.
        """
        rows = size = 0
        failed: EngineError | None = None
        while self._channel.data_packet():
            block = self._channel.block()
            if not block.columns:
                if failed is None:
                    sink.finish()
                    return rows, size
                raise failed
            if block.rows and failed is None:
                try:
                    if {name for name, _ in block.columns} != names:
                        raise failure(Code.THERE_IS_NO_COLUMN, f"A block must have the columns {', '.join(sorted(names))}")
                    sink.append(block.data)
                except EngineError as error:
                    failed = error
                rows, size = rows + block.rows, size + len(block.data)
        return 0, 0  # cancelled


def _blocks(data: bytes) -> list[Block]:
    """The blocks of a whole result."""
    reader, blocks = Reader(empty_source, MAX_BLOCK, data), []
    try:
        while reader.pending:
            blocks.append(step_block(reader))
    except ProtocolError as error:  # the engine's own bytes, so the connection can go on
        raise EngineError(error.code, error.text) from error
    return blocks
