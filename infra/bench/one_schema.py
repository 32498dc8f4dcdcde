"""A schema registry that knows one schema: what the contestants of a bench need of one, without the weight of a real one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from connectors.registry import MEDIA_TYPE, SCHEMA_NOT_FOUND


@contextmanager
def serving(schema_id: int, schema: Mapping[str, Any]) -> Iterator[str]:
    """The base URL of a registry that answers `GET /schemas/ids/{schema_id}` and knows nothing else, on loopback."""
    path = f"/schemas/ids/{schema_id}"
    known = json.dumps({"schema": json.dumps(schema)}).encode()
    unknown = json.dumps({"error_code": SCHEMA_NOT_FOUND, "message": "Schema not found"}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = self.path.partition("?")[0] == path
            body = known if found else unknown
            self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", MEDIA_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """A bench's output is its figures."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, name="one-schema", daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
