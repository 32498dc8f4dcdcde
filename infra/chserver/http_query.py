"""One statement over HTTP: what the request asks, who asks, and what comes out."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from infra.chserver.answers import header
from infra.chserver.errors import Code, EngineError, failure
from infra.chserver.http_body import BadRequest, Headers
from infra.chserver.session import Session, Setting
from infra.chserver.statement import Insert, is_query, parse_insert, split_format

_NOT_SETTINGS = (
    "query database default_format user password query_id session_id session_timeout session_check compress decompress "
    "client_protocol_version buffer_size wait_end_of_query quota_key close_session role stacktrace "
    "http_write_exception_in_output_format enable_http_compression"
)
_STATUS_OF = {
    401: "REQUIRED_PASSWORD",
    403: "UNKNOWN_USER WRONG_PASSWORD AUTHENTICATION_FAILED SET_NON_GRANTED_ROLE ACCESS_DENIED",
    400: "BAD_ARGUMENTS CANNOT_COMPILE_REGEXP CANNOT_PARSE_TEXT CANNOT_PARSE_ESCAPE_SEQUENCE CANNOT_PARSE_QUOTED_STRING "
    "CANNOT_PARSE_DATE CANNOT_PARSE_DATETIME CANNOT_PARSE_NUMBER CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING CANNOT_PARSE_IPV4 "
    "CANNOT_PARSE_IPV6 CANNOT_PARSE_INPUT_ASSERTION_FAILED CANNOT_PARSE_UUID DUPLICATE_COLUMN ILLEGAL_COLUMN "
    "UNKNOWN_ELEMENT_IN_AST THERE_IS_NO_COLUMN TOO_DEEP_AST TOO_BIG_AST UNEXPECTED_AST_STRUCTURE SYNTAX_ERROR "
    "INCORRECT_DATA TYPE_MISMATCH VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    404: "UNKNOWN_TABLE UNKNOWN_FUNCTION UNKNOWN_IDENTIFIER UNKNOWN_TYPE UNKNOWN_STORAGE UNKNOWN_DATABASE UNKNOWN_SETTING "
    "UNKNOWN_DIRECTION_OF_SORTING UNKNOWN_AGGREGATE_FUNCTION UNKNOWN_FORMAT UNKNOWN_DATABASE_ENGINE "
    "UNKNOWN_TYPE_OF_QUERY UNKNOWN_ROLE",
    413: "QUERY_IS_TOO_LARGE",
    501: "NOT_IMPLEMENTED",
    503: "SOCKET_TIMEOUT CANNOT_OPEN_FILE CANNOT_SCHEDULE_TASK ABORTED",
    408: "TIMEOUT_EXCEEDED",
}
_STATUS_BY_NAME = {name: status for status, names in _STATUS_OF.items() for name in names.split()}


def status_of(error: EngineError) -> int:
    """The HTTP status of an error, as ClickHouse gives it (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp); an aborted
    statement is 503 here, for it may be sent again."""
    return _STATUS_BY_NAME.get(error.name, 500)


@dataclass(frozen=True, slots=True)
class Request:
    """A request's parts. Header names are read without regard to case."""

    method: str
    path: str
    params: Mapping[str, str]
    headers: Headers
    body: bytes

    def credentials(self) -> tuple[str, str]:
        """(user, password): of Basic authentication, else of ClickHouse's headers, else of the parameters."""
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise BadRequest("the Authorization header is not valid Basic authentication") from error
            return user, password
        user = self.headers.get("X-ClickHouse-User", "") or self.params.get("user") or ""
        return user, self.headers.get("X-ClickHouse-Key", "") or self.params.get("password") or ""

    def settings(self) -> list[Setting]:
        """Parameters that are none of the interface's own are settings of the statement."""
        prefixes = ("param_", "http_")
        return [
            Setting(name, value, important=True)
            for name, value in self.params.items()
            if name not in _NOT_SETTINGS.split() and not name.startswith(prefixes)
        ]

    def values(self) -> dict[str, str]:
        """What fills `{name:Type}` in the statement."""
        return {name[6:]: value for name, value in self.params.items() if name.startswith("param_")}

    @property
    def database(self) -> str:
        return self.params.get("database") or self.headers.get("X-ClickHouse-Database", "")

    @property
    def default_format(self) -> str:
        return self.headers.get("X-ClickHouse-Format", "") or self.params.get("default_format") or "TabSeparated"

    def statement(self) -> tuple[str, bytes]:
        """(the statement, the data that follow it): the `query` parameter and the body, or the body alone."""
        sql = self.params.get("query", "")
        if sql:
            return sql, self.body
        return self.body.decode("utf-8", "surrogateescape"), b""


def parse_params(query: str) -> dict[str, str]:
    """The parameters of a URL.

    Raises:
        BadRequest: there are too many.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape", max_num_fields=1000)
    except ValueError as error:
        raise BadRequest(f"the URL's parameters cannot be read: {error}") from error
    return dict(pairs)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result: its bytes in `format`, and what was read and written."""

    data: bytes
    format: str
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0


def execute(session: Session, request: Request) -> Outcome:
    """Run the request's statement.

    Raises:
        EngineError: it fails; READONLY: it would change something and was asked with GET.
    """
    sql, data = request.statement()
    if request.method != "POST" and not session.only_reads(sql):
        what = "Cannot execute query in readonly mode. Queries over HTTP with GET only read; use POST to change data"
        raise failure(Code.READONLY, what)
    if request.database:
        session.use(request.database)
    session.apply(request.settings())
    insert = parse_insert(sql)
    if insert is not None and (insert.format or data):
        return _insert(session, insert, data)
    if data:
        sql += "\n" + data.decode("utf-8", "surrogateescape")
    format_name = ""
    if insert is None:
        sql, format_name = split_format(sql)
    format_name = format_name or request.default_format
    result = session.run(sql.strip().rstrip(";"), format_name, request.values())
    out = result.bytes()
    if not out and format_name == "Native" and is_query(sql):  # no rows: still tell the columns
        out = header(session.shape(f"({sql.strip().rstrip(';')})"))
    read, read_bytes = result.storage_rows_read(), result.storage_bytes_read()
    return Outcome(out, format_name, read, read_bytes, result.rows_written(), result.bytes_written())


def _insert(session: Session, insert: Insert, data: bytes) -> Outcome:
    inline = insert.inline.encode("utf-8", "surrogateescape")
    data = inline + (b"\n" if inline and data else b"") + data
    with session.insert(insert, insert.format or "Values") as sink:
        if data:
            sink.append(data)
        return Outcome(b"", "TabSeparated", written_rows=sink.finish(), written_bytes=len(data))
