"""Views as of a time, over HTTP: what is asked, who may ask it, how it is answered."""

import time
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from connectors.as_of import AsOfReader, Question, Reply
from connectors.as_of import Fault as Wrong
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.access import Access
from connectors.ingress.delivery import RETRY_AFTER
from connectors.ingress.log_caching import CHANGING, VARY, link_header
from connectors.ports import Away, Busy
from schemas.moments import BadMoment, moment_of, text

PARAMETERS = ("at", "known_at", "key", "limit", "after", "everywhere")
DEFAULT_LIMIT, MOST = 100, 1_000
LONGEST = 1_000  # characters of a key or a cursor
STATUS: Mapping[Wrong, tuple[int, str]] = {
    "nothing": (404, "NOTHING_KNOWN"),
    "before": (404, "BEFORE_THE_LOG"),
    "gone": (410, "LOG_GONE"),
    "away": (503, "AWAY"),
    "cursor": (400, "INVALID_QUERY"),
    "failed": (500, "INTERNAL"),
}
_encoder = msgspec.json.Encoder()


class AsOfApi:
    """The handler."""

    def __init__(self, access: Access, views: AsOfReader) -> None:
        self._access, self._views = access, views

    async def as_of(self, request: Request) -> Answer:
        """GET /v1/views/{view}/as-of"""
        (view,) = request.arguments
        self._check(request.caller, view)
        given = _parameters(request)
        question = _question(view, given)
        try:
            reply = await self._views.ask(question)
        except Away as away:
            status, code = (429, "OVERLOADED") if isinstance(away, Busy) else (503, "AWAY")
            raise Fault(status, code, str(away), retry_after=RETRY_AFTER) from None
        self._check(request.caller, view)  # again: it may have waited
        if reply.fault:
            status, code = STATUS[reply.fault]
            raise Fault(status, code, reply.detail, retry_after=RETRY_AFTER if status == 503 else None)
        return _answer(question, given, reply)

    def _check(self, caller: str, view: str) -> None:
        """Raises Fault: 404 there is no such view, 403 it is not the caller's to ask."""
        topics = self._views.topics(view)
        if not topics:
            raise Fault(404, "UNKNOWN_VIEW", f"there is no view {view[:100]}", [("path", "names no view")])
        if not self._access.may_ask(caller, topics):
            raise Fault(403, "FORBIDDEN", f"{self._access.name(caller)} may not read all that {view} is made of")


def _answer(question: Question, given: Mapping[str, str], reply: Reply) -> Answer:
    about: dict[str, Any] = {"view": question.view, "at": text(question.at), "known_at": text(question.known)}
    if reply.kind == "document":
        document = msgspec.json.decode(reply.body, type=dict[str, msgspec.Raw])
        return Answer(_encoder.encode({**about, **document}), headers=[CHANGING, VARY])
    link = _link(question, given, reply.following) if reply.following else None
    headers = [CHANGING, VARY, *([link_header(link, "next")] if link else ())]
    return Answer(_encoder.encode({**about, reply.kind: msgspec.Raw(reply.body), "next": link}), headers=headers)


def _link(question: Question, given: Mapping[str, str], following: str) -> str:
    """The same question of what comes after: of the same two moments, whenever it is asked."""
    kept = {name: value for name, value in given.items() if name in ("key", "limit", "everywhere")}
    asked = {"at": text(question.at), "known_at": text(question.known), **kept, "after": following}
    return f"/v1/views/{quote(question.view, safe='')}/as-of?{urlencode(asked)}"


def _parameters(request: Request) -> dict[str, str]:
    found = {name: value for name in PARAMETERS if (value := request.query(name)) is not None}
    if request.raw_query:
        request.query("")  # checks that the query can be read
        for name, _ in parse_qsl(request.raw_query.decode(), keep_blank_values=True):
            if name not in PARAMETERS:
                _refuse(name[:50], f"is no parameter here; there are {', '.join(PARAMETERS)}")
    return found


def _question(view: str, given: Mapping[str, str]) -> Question:
    """Raises Fault 400, naming the parameter that is not understood."""
    if "at" not in given:
        _refuse("at", "is missing: a time, such as 2026-05-01T12:00:00Z or -2h")
    now = time.time_ns() // 1_000
    at, known = _moment("at", given["at"], now), _moment("known_at", given.get("known_at", "now"), now)
    for name in ("key", "after"):
        if name in given and not 1 <= len(given[name]) <= LONGEST:
            _refuse(name, f"has not 1 to {LONGEST} characters")
    limit = given.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 6 and 1 <= int(limit) <= MOST):
        _refuse("limit", f"is {limit[:50]!r}, not a number from 1 to {MOST}")
    everywhere = given.get("everywhere", "false")
    if everywhere not in ("true", "false"):
        _refuse("everywhere", f"is {everywhere[:50]!r}, neither true nor false")
    return Question(view, at, known, given.get("key"), given.get("after", ""), int(limit), everywhere == "true")


def _moment(name: str, given: str, now: int) -> int:
    try:
        return moment_of(given, now)
    except BadMoment as error:
        _refuse(name, str(error))


def _refuse(name: str, message: str) -> NoReturn:
    raise Fault(400, "INVALID_QUERY", f"{name}: {message}", [(f"query {name}", message)])
