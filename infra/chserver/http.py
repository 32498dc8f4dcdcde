"""ClickHouse's HTTP interface: /ping, /replicas_status, and statements by GET or POST."""

import gzip
import json
import logging
import sys
import uuid
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from infra.chserver.answers import DISPLAY_NAME
from infra.chserver.codec import Method, frame
from infra.chserver.engine import Engine
from infra.chserver.errors import EngineError
from infra.chserver.http_body import BadRequest, read_body, unpack, unpack_frames
from infra.chserver.http_query import Outcome, Request, execute, parse_params, status_of
from infra.chserver.http_sessions import Sessions

_CONTENT_TYPES = {
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "native": "application/octet-stream",
    "parquet": "application/octet-stream",
    "arrow": "application/octet-stream",
    "arrowstream": "application/octet-stream",
    "rowbinary": "application/octet-stream",
}
_PLAIN = "text/plain; charset=UTF-8"
_WORTH_PACKING = 1024  # bytes
IDLE_SECONDS = 60.0  # between requests, and between the parts of one

log = logging.getLogger(__name__)
Answered = list[tuple[str, str]]  # header fields


class Handler(BaseHTTPRequestHandler):
    """One connection; a thread serves its requests one after the other."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server: "Server"

    def version_string(self) -> str:
        return DISPLAY_NAME

    def log_message(self, format: str, *args: object) -> None:
        """The base class's line for each request; only faults are logged here."""

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        try:
            request = self._request()
            if request.path in ("/ping", "/replicas_status") or (
                request.path == "/" and not request.params and not request.body
            ):
                self._answer(HTTPStatus.OK, b"Ok.\n", [("Content-Type", "text/html; charset=UTF-8")])
            elif request.path == "/":
                self._statement(request)
            else:
                self._answer(HTTPStatus.NOT_FOUND, b"There is no such path; try / or /ping\n", [("Content-Type", _PLAIN)])
        except BadRequest as error:
            self.close_connection = True  # the rest of the request is unread
            self._answer(error.status, f"{error}\n".encode("utf-8", "replace"), [("Content-Type", _PLAIN)])
        except (ConnectionError, TimeoutError) as error:
            log.info("connection from %s was lost: %s", self.client_address, error)
            self.close_connection = True

    def _request(self) -> Request:
        url = urlsplit(self.path)
        params = parse_params(url.query)
        body = unpack(read_body(self.headers, self.rfile), self.headers.get("Content-Encoding", ""))
        if params.get("decompress") == "1":
            body = unpack_frames(body)
        return Request(self.command, url.path, params, self.headers, body)

    def _statement(self, request: Request) -> None:
        try:
            self.server.engine.credentials.check(*request.credentials())
            with self.server.engine.statement(), self.server.sessions.of(request.params) as session:
                outcome = execute(session, request)
        except EngineError as error:
            log.info("a statement failed", extra={"context": {"code": int(error.code), "error": error.text}})
            text = f"Code: {error.code}. {error.text} (version {self.server.engine.version})\n"
            code = str(int(error.code))
            self._answer(
                status_of(error),
                text.encode("utf-8", "surrogateescape"),
                [("Content-Type", _PLAIN), ("X-ClickHouse-Exception-Code", code)],
            )
            return
        data, headers = self._packed(outcome.data, request)
        self._answer(HTTPStatus.OK, data, [*self._headers(request, outcome), *headers])

    def _headers(self, request: Request, outcome: Outcome) -> Answered:
        summary = {
            "read_rows": str(outcome.read_rows),
            "read_bytes": str(outcome.read_bytes),
            "written_rows": str(outcome.written_rows),
            "written_bytes": str(outcome.written_bytes),
        }
        query_id = request.params.get("query_id", "")
        return [
            ("Content-Type", _CONTENT_TYPES.get(outcome.format.lower(), _PLAIN)),
            ("X-ClickHouse-Format", outcome.format),
            ("X-ClickHouse-Query-Id", query_id if query_id.isprintable() and query_id.isascii() else str(uuid.uuid4())),
            ("X-ClickHouse-Server-Display-Name", DISPLAY_NAME),
            ("X-ClickHouse-Timezone", self.server.engine.timezone),
            ("X-ClickHouse-Summary", json.dumps(summary)),
        ]

    def _packed(self, data: bytes, request: Request) -> tuple[bytes, Answered]:
        """The result as the client wants it packed: in ClickHouse's frames, in gzip, or not at all."""
        if request.params.get("compress") == "1":
            return frame(data, Method.LZ4), []
        wants_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        if wants_gzip and request.params.get("enable_http_compression") == "1" and len(data) > _WORTH_PACKING:
            return gzip.compress(data, 3), [("Content-Encoding", "gzip")]
        return data, []

    def _answer(self, status: int, data: bytes, headers: Answered) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Listens when made; serves in `serve_forever`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    engine: Engine  # these two are set before serve_forever
    sessions: Sessions

    def __init__(self, address: tuple[str, int]) -> None:
        """
        Raises:
            OSError: the address cannot be listened on.
        """
        super().__init__(address, Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, ConnectionError | TimeoutError):
            log.info("connection from %s was lost: %s", client_address, error)
            return
        log.error("a fault in the server ended the connection from %s", client_address, exc_info=sys.exc_info())
