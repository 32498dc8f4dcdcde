"""Requests, answers and refusals, and the table of routes."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from connectors.http.peer import NOBODY, ON_PLAIN, DeviceIdentity
from connectors.http.tracing import correlation_id, trace_parent

JSON = b"application/json"
Part = Callable[[], Awaitable[tuple[bytes, bool]]]
"""Gives a part of a body, and whether there is more."""


class Fault(Exception):
    """A request is not done as asked.

    `status` is the HTTP status, `code` a stable name of the fault, `detail` a sentence for a person, `errors` the places
    (path, message), `retry_after` seconds after which the same request may succeed. `render` is how it is told where
    no route was found that says so.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        retry_after: int | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(detail)
        self.render: Render | None = None
        self.status, self.code, self.detail, self.errors = status, code, detail, errors
        self.headers = list(headers)
        if retry_after is not None:
            self.headers.append((b"retry-after", b"%d" % retry_after))


@dataclass(slots=True)
class Answer:
    """What a handler returns."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


@dataclass(slots=True)
class StreamedAnswer:
    """An answer whose body is sent as `parts` come, while the request may still come in. Its handler sets `streamed`."""

    parts: AsyncGenerator[bytes, None]
    status: int = 200
    content_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()


class Request:
    """One request. The body is read by `connectors.http.body`, or part by part.

    Attributes:
        headers: by lower-case name.
        raw_query: what stands behind the question mark.
        arguments: the path's variable segments, decoded.
        caller: who it is from, as the application's authorization found.
        peer: the other end of its connection.
        identity: the device it is from, where the listener's guard found one.
        answer_headers: what the answer says beside the handler's own headers.
        streamed: it is answered as it comes, so that each part has its own time to come.
    """

    __slots__ = (
        "accept",
        "answer_headers",
        "arguments",
        "authorization",
        "buffered",
        "caller",
        "content_encoding",
        "content_length",
        "content_type",
        "correlation_id",
        "headers",
        "identity",
        "method",
        "part",
        "peer",
        "raw_path",
        "raw_query",
        "streamed",
        "trace_parent",
    )

    def __init__(
        self, method: str, raw_path: bytes, headers: Mapping[bytes, bytes], part: Part, raw_query: bytes = b""
    ) -> None:
        self.method, self.raw_path, self.raw_query = method, raw_path, raw_query
        self.headers, self.part = headers, part
        self.arguments: Sequence[str] = ()
        self.caller = ""
        self.peer = NOBODY
        self.identity: DeviceIdentity | None = None
        self.answer_headers: list[tuple[bytes, bytes]] = []
        self.buffered = 0
        self.streamed = False
        given = headers.get
        self.content_type = given(b"content-type", b"")
        self.content_length = given(b"content-length", b"")
        self.content_encoding = given(b"content-encoding", b"")
        self.accept = given(b"accept", b"")
        self.authorization = given(b"x-api-key") or _bearer(given(b"authorization"))
        self.trace_parent, trace_id = trace_parent(given(b"traceparent"))
        self.correlation_id = correlation_id(given(b"x-correlation-id"), trace_id)

    def query(self, name: str) -> str | None:
        """A parameter of the query; None if it is not given.

        Raises:
            Fault: 400 it is given twice, or the query is not UTF-8.
        """
        if not self.raw_query:
            return None
        try:
            pairs = parse_qsl(self.raw_query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
        except ValueError:
            detail = "the query is not UTF-8, or has more than 100 parameters"
            raise Fault(400, "INVALID_QUERY", detail, [("query", detail)]) from None
        values = [value for key, value in pairs if key == name]
        if len(values) > 1:
            raise Fault(400, "INVALID_QUERY", f"{name} is given {len(values)} times", [(f"query {name}", "is repeated")])
        return values[0] if values else None


def _bearer(authorization: bytes | None) -> bytes | None:
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else None


Answering = Callable[[Request], Awaitable[Answer | StreamedAnswer]]
Handler = Answering
Render = Callable[[Fault, Request], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `path` holds `{name}` for variable segments.

    `describe` is its OpenAPI operation object; `render` gives faults the form that clients of this API expect;
    `public` needs no API key; `allow` raises Fault 403 for a caller who may not ask. `listeners` names the listeners that
    have it (connectors.http.peer), `limit` the rate limit that counts its requests.
    """

    method: str
    path: str
    handler: Handler
    render: Render
    describe: Mapping[str, Any] = field(default_factory=dict)
    public: bool = False
    allow: Callable[[str], None] | None = None
    listeners: frozenset[str] = ON_PLAIN
    limit: str = ""


@dataclass(slots=True)
class _Node:
    """A place in the tree of path segments."""

    literal: dict[str, "_Node"] = field(default_factory=dict)
    variable: "_Node | None" = None
    routes: dict[str, Route] = field(default_factory=dict)
    render: Render | None = None


class Router:
    """Finds the route of a request in a tree of path segments."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for segment in route.path.split("/")[1:]:
                if segment.startswith("{"):
                    node.variable = node = node.variable or _Node()
                else:
                    node = node.literal.setdefault(segment, _Node())
                node.render = node.render or route.render
            node.routes[route.method] = route
            node.render = route.render

    def find(self, method: str, raw_path: bytes) -> tuple[Route, list[str]]:
        """The route, and the path's variable segments.

        Raises:
            Fault: 404 there is no such path, 405 the path has other methods, 400 a segment is not UTF-8. It is rendered
                as by the nearest route above, or else the first below.
        """
        node = self._root
        arguments: list[str] = []
        render = None
        try:
            for raw in raw_path.split(b"/")[1:]:
                segment = _decoded(raw)
                below = node.literal.get(segment)
                if below is None:
                    below = node.variable
                    if below is None:
                        raise _not_found(raw_path)
                    arguments.append(segment)
                node = below
                render = node.render or render
            return _route(node, method, raw_path), arguments
        except Fault as fault:
            fault.render = render
            raise


def _route(node: _Node, method: str, raw_path: bytes) -> Route:
    route = node.routes.get(method)
    if route is None and method == "HEAD":
        route = node.routes.get("GET")
    if route is None:
        if not node.routes:
            raise _not_found(raw_path)
        allowed = ", ".join(sorted(node.routes.keys() | ({"HEAD"} if "GET" in node.routes else set())))
        detail = f"{method} is not a method of this path, which has {allowed}"
        raise Fault(405, "METHOD_NOT_ALLOWED", detail, [("method", detail)], headers=[(b"allow", allowed.encode())])
    return route


def _decoded(raw: bytes) -> str:
    try:
        return (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError:
        detail = "a segment of the path is not UTF-8"
        raise Fault(400, "INVALID_PATH", detail, [("path", detail)]) from None


def _not_found(raw_path: bytes) -> Fault:
    return Fault(404, "NOT_FOUND", f"there is no {raw_path[:200].decode('ascii', 'replace')}", [("path", "is not known")])
