"""The registry behind the front, over HTTP."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from connectors.http.request import Fault, Request
from connectors.registry_front.faults import (
    AWAY,
    SCHEMA_TOO_LARGE,
    STORE,
    TIMED_OUT,
    refusal,
)

log = logging.getLogger(__name__)
Kind = TypeVar("Kind")

READY_SECONDS = 1.0  # a registry that was ready a moment ago still is: its start takes longer than this
CONNECTIONS = 16
MOST_LETTERS = 4_000  # of a message that is passed on
_AWAY = frozenset((HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT))
_MEDIA = "application/vnd.schemaregistry.v1+json"
_LEAST_CODE = 400


@dataclass(frozen=True, slots=True)
class Reply:
    """What the registry behind answered. `document` is None where it was no JSON."""

    status: int
    document: Any

    @property
    def well(self) -> bool:
        return 200 <= self.status < 300

    @property
    def code(self) -> int:
        """The error code; 0 for success."""
        if self.well:
            return 0
        given = self.document.get("error_code") if isinstance(self.document, dict) else None
        return given if isinstance(given, int) and given >= _LEAST_CODE else self.status

    @property
    def message(self) -> str:
        told = self.document if isinstance(self.document, dict) else {}
        message = str(told.get("message") or told.get("detail") or f"the registry answers {self.status}")
        return message[:MOST_LETTERS]

    def demand(self, kind: type[Kind]) -> Kind:
        """The document of a success.

        Raises:
            Fault: what was answered instead, in Confluent's form; 50001 if it is no document of this type.
        """
        if not self.well:
            raise self.fault()
        if not isinstance(self.document, kind):
            raise refusal(STORE, "the registry failed: its answer is not what was asked for")
        return self.document

    def fault(self) -> Fault:
        """What was answered, as a refusal."""
        if "max.request.size" in self.message or "RecordTooLarge" in self.message:
            return refusal(SCHEMA_TOO_LARGE, "the schema is too large for the registry's log")
        if not HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("the registry behind fails: %s", self.message)
            return refusal(STORE, f"the registry failed: {self.message}")
        return refusal(self.code, self.message)


class Backend:
    """Asks the registry behind; passes on who asks (Authorization)."""

    def __init__(self, url: str, native_url: str, ready_url: str, deadline: float, max_answer_bytes: int) -> None:
        """As in FrontOptions."""
        self._url, self._native_url, self._ready_url = url.rstrip("/"), native_url.rstrip("/"), ready_url
        self._deadline, self._most = deadline, max_answer_bytes
        self._ready_until = 0.0
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(deadline, connect=min(deadline, 3.0)),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # none is kept: requests are of many callers
            trust_env=False,  # nor are the front's own credentials for them
        )
        self.away = ""

    @property
    def native(self) -> bool:
        """Whether the registry behind is an Apicurio whose own API can be asked."""
        return bool(self._native_url)

    async def ask(
        self,
        request: Request,
        method: str,
        path: Sequence[str],
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> Reply:
        """One question in Confluent's API; `path` is segments, not encoded.

        Raises:
            Fault: 503 the registry does not answer, or not in time, or has not read its log yet.
        """
        return await self._ask(self._url, request, method, path, query, body)

    async def ask_natively(
        self,
        request: Request,
        method: str,
        path: Sequence[str],
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> Reply:
        """One question about the registry's artifacts in Apicurio's own API."""
        return await self._ask(self._native_url, request, method, ("groups", "default", "artifacts", *path), query, body)

    async def close(self) -> None:
        await self._client.aclose()

    async def demand_ready(self) -> None:
        """
        Raises:
            Fault: 503 it does not answer, or has not read its log yet.
        """
        if not self._ready_url or time.monotonic() < self._ready_until:
            return
        asked = time.monotonic()
        if (await self._send("GET", self._ready_url, {}, None)).status != HTTPStatus.OK:
            raise self._is_away("it has not read its log yet")
        self._ready_until = asked + READY_SECONDS
        self._answers()

    async def _ask(
        self,
        base: str,
        request: Request,
        method: str,
        path: Sequence[str],
        query: Mapping[str, object] | None,
        body: object,
    ) -> Reply:
        await self.demand_ready()
        url = "/".join((base, *(quote(segment, safe="") for segment in path)))
        given = [(name, value) for name, value in (query or {}).items() if value is not None and value is not False]
        if given:
            url += "?" + "&".join(f"{name}={quote(_text(value), safe='')}" for name, value in given)
        headers = {"Accept": "application/json" if base is self._native_url else _MEDIA}
        authorization = request.headers.get(b"authorization")
        if authorization is not None:
            headers["Authorization"] = authorization.decode("latin-1")
        content = None
        if body is not None:
            content = msgspec.json.encode(body)
            headers["Content-Type"] = "application/json" if base is self._native_url else _MEDIA
        reply = await self._send(method, url, headers, content)
        if reply.status in _AWAY:
            raise self._is_away(f"it answers {reply.status}")
        self._answers()
        return reply

    async def _send(self, method: str, url: str, headers: dict[str, str], content: bytes | None) -> Reply:
        try:
            async with (
                asyncio.timeout(self._deadline),
                self._client.stream(method, url, headers=headers, content=content) as response,
            ):
                parts, size = [], 0
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > self._most:
                        raise refusal(STORE, f"the registry's answer has more than {self._most} bytes: ask for less")
                    parts.append(part)
        except (TimeoutError, httpx.TimeoutException):
            self._ready_until = 0.0
            raise self._is_away(f"it has not answered within {self._deadline:g} s", TIMED_OUT) from None
        except httpx.RequestError as error:
            self._ready_until = 0.0
            raise self._is_away(str(error) or type(error).__name__) from None
        return Reply(response.status_code, _document(b"".join(parts)))

    def _answers(self) -> None:
        if self.away:
            log.info("the registry behind answers again")
            self.away = ""

    def _is_away(self, why: str, code: int = AWAY) -> Fault:
        if not self.away:
            log.warning("the registry behind is away: %s", why)
        self.away = why
        return refusal(code, f"the registry is away: {why}")


def _text(value: object) -> str:
    return "true" if value is True else str(value)


def _document(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except (msgspec.DecodeError, RecursionError):
        return None
