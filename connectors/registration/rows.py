"""Rows of pre-registrations out of a body that comes in parts: lines of JSON, or CSV."""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from connectors.http.request import Fault
from connectors.registration.bodies import PreRegistration
from connectors.registration.reading import Reader

MOST_LINE = 8_192  # bytes of a row
COLUMNS = ("serial_number", "public_key", "owner", "model")
NEEDED = frozenset(COLUMNS[:2])
BAD_ROW, BAD_HEADER = "BAD_ROW", "BAD_HEADER"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """A row, and the line that it begins at."""

    line: int
    asked: PreRegistration


class BadLine(NamedTuple):
    """A row that is none."""

    line: int
    code: str
    message: str


class Lines:
    """Cuts a body into lines. `number` counts from 1; a line that is too long comes as None."""

    def __init__(self) -> None:
        self._rest = b""
        self._number = 0
        self._dropping = False  # inside of a line that is too long

    def feed(self, part: bytes) -> Iterator[tuple[int, bytes | None]]:
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._number += 1
            if self._dropping:
                self._dropping = False
            else:
                yield self._number, line if len(line) <= MOST_LINE else None
        if len(self._rest) > MOST_LINE:
            if not self._dropping:
                yield self._number + 1, None
            self._dropping, self._rest = True, b""

    def finish(self) -> Iterator[tuple[int, bytes | None]]:
        if self._rest and not self._dropping:
            self._number += 1
            yield self._number, self._rest


class Rows:
    """Lines of JSON. Empty ones are passed over."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._lines = reader, Lines()

    def feed(self, part: bytes) -> Iterator[Row | BadLine]:
        return self._rows(self._lines.feed(part))

    def finish(self) -> Iterator[Row | BadLine]:
        return self._rows(self._lines.finish())

    def _rows(self, lines: Iterator[tuple[int, bytes | None]]) -> Iterator[Row | BadLine]:
        for number, line in lines:
            if line is None:
                yield _too_long(number)
            elif line.strip():
                try:
                    yield Row(number, self._reader.parsed(line, PreRegistration))
                except Fault as fault:
                    yield BadLine(number, fault.code, fault.detail)


class CsvRows:
    """CSV (RFC 4180) whose first line names the columns, in any order. An empty field is none. A quoted field may go on over
    several lines, as a key in PEM does.

    Where the first line names other columns there is one bad row, and no other is looked at.
    """

    def __init__(self) -> None:
        self._lines = Lines()
        self._columns: list[str] | None = None
        self._record, self._begins = b"", 0
        self._hopeless = False

    def feed(self, part: bytes) -> Iterator[Row | BadLine]:
        return self._rows(self._lines.feed(part))

    def finish(self) -> Iterator[Row | BadLine]:
        yield from self._rows(self._lines.finish())
        if self._record:
            yield BadLine(self._begins, BAD_ROW, "a quoted field is not closed")

    def _rows(self, lines: Iterator[tuple[int, bytes | None]]) -> Iterator[Row | BadLine]:
        for number, line in lines:
            if self._hopeless:
                return
            if line is None:
                self._record = b""
                yield _too_long(number)
                continue
            self._begins = self._begins if self._record else number
            record = self._record + line + b"\n"
            if record.count(b'"') % 2 and len(record) <= MOST_LINE:
                self._record = record
                continue
            self._record = b""
            if record.strip():
                yield from self._row(self._begins, record)

    def _row(self, number: int, record: bytes) -> Iterator[Row | BadLine]:
        try:
            text = record.removeprefix(BYTE_ORDER_MARK if number == 1 else b"").decode().rstrip("\r\n")
            (fields,) = csv.reader(io.StringIO(text, newline=""), strict=True)
        except (UnicodeDecodeError, csv.Error, ValueError) as error:
            yield BadLine(number, BAD_ROW, f"is no row of CSV in UTF-8: {error}")
            return
        if self._columns is None:
            self._columns = fields
            if not NEEDED <= set(fields) <= set(COLUMNS) or len(set(fields)) < len(fields):
                self._hopeless = True
                yield BadLine(number, BAD_HEADER, f"the first line names the columns {', '.join(COLUMNS)}")
            return
        if len(fields) != len(self._columns):
            yield BadLine(number, BAD_ROW, f"has {len(fields)} fields, not {len(self._columns)}")
            return
        given = {name: field for name, field in zip(self._columns, fields, strict=True) if field}
        try:
            yield Row(number, msgspec.convert(given, PreRegistration))
        except msgspec.ValidationError as error:
            yield BadLine(number, "INVALID_BODY", str(error))


def _too_long(number: int) -> BadLine:
    return BadLine(number, "ROW_TOO_LONG", f"is longer than {MOST_LINE} bytes")
