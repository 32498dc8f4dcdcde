"""The handlers of rules and alerts: administrators of the fleet ask and change; the desk decides in a thread of its own."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec

from connectors.alerting import paging
from connectors.alerting.documents import AlertSilence, AlertWord, SilenceRequest
from connectors.alerting.port import AlertingDesk, Asked, By, Json, NotAllowed, NotThere, Page, RuleChange, Wrong
from connectors.http.body import BodyReader
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.access import Access
from connectors.ingress.retries import Commanded, Retries
from connectors.ports import Away, Busy
from schemas.alert_messages import ALERT_COMMANDS
from schemas.rule_messages import RULE_COMMANDS

MOST_RULE = 65_536  # bytes
MOST_BODY = 16_384
MOST_AT_ONCE = 8
MODES = ("live", "shadow")
FILTERS = {"state": "state", "severity": "severity", "rule": "rule_id", "device": "device_id", "mode": "mode"}
CONFLICTS = ("VERSION_CONFLICT", "ALERT_RESOLVED", "ALREADY_ACKNOWLEDGED", "ALREADY_SILENCED", "NOT_SILENCED", "NOT_FIRING")
UNKNOWN = ("RULE_UNKNOWN", "ALERT_UNKNOWN", "SILENCE_UNKNOWN")
RETRY_AFTER = 2
T = TypeVar("T")
NO_STORE = (b"cache-control", b"no-store")
_encoder = msgspec.json.Encoder()


class AlertingApi:
    """One for an ingress."""

    def __init__(self, access: Access, bodies: BodyReader, desk: AlertingDesk, retries: Retries) -> None:
        self._access, self._bodies, self._desk, self._retries = access, bodies, desk, retries
        self._busy = 0

    # --- rules --------------------------------------------------------------------------------------------------------

    async def list_rules(self, request: Request) -> Answer:
        return await self._listed(request, "rules", self._desk.rules)

    async def show_rule(self, request: Request) -> Answer:
        self._operator(request)
        version = _number(_parameters(request, "version").get("version"), "version")
        return _told(await self._do(lambda: self._desk.rule(request.arguments[0], version)))

    async def rule_history(self, request: Request) -> Answer:
        return await self._listed(request, "events", lambda asked: self._desk.history(request.arguments[0], asked))

    async def put_rule(self, request: Request) -> Answer:
        actor = self._operator(request)
        given = _parameters(request, "mode", "expected")
        mode = _one_of(given.get("mode", "live"), "mode", MODES)
        expected = _number(given.get("expected"), "expected")
        body = await self._body(request, MOST_RULE)
        change = RuleChange(request.arguments[0], body, mode, expected)
        return await self._change(request, body, RULE_COMMANDS, lambda by: _changed(self._desk.apply(change, by)), actor)

    async def delete_rule(self, request: Request) -> Answer:
        actor = self._operator(request)
        given = _parameters(request, "mode", "comment")
        mode = _one_of(given["mode"], "mode", MODES) if "mode" in given else None
        comment, rule_id = given.get("comment"), request.arguments[0]
        body = await self._body(request, MOST_BODY)
        return await self._change(
            request, body, RULE_COMMANDS, lambda by: _changed(self._desk.disable(rule_id, mode, comment, by)), actor
        )

    async def backtest(self, request: Request) -> Answer:
        self._operator(request)
        given = _parameters(request, "from", "to")
        if "from" not in given:
            _refuse("from", "is missing: a time, such as 2026-05-01T12:00:00Z or -2h")
        document = await self._body(request, MOST_RULE)
        return _told(await self._do(lambda: self._desk.backtest(document, given["from"], given.get("to", "now"))))

    # --- alerts and silences ------------------------------------------------------------------------------------------

    async def list_alerts(self, request: Request) -> Answer:
        wanted = {FILTERS[name]: value for name in FILTERS if (value := request.query(name)) is not None}
        return await self._listed(request, "alerts", lambda asked: self._desk.alerts(wanted, asked), *FILTERS)

    async def show_alert(self, request: Request) -> Answer:
        self._operator(request)
        _parameters(request)
        return _told(await self._do(lambda: self._desk.alert(request.arguments[0])))

    def tell(self, what: str) -> Callable[[Request], Any]:
        """The handler of ack, silence, unsilence or comment."""

        async def told(request: Request) -> Answer:
            actor = self._operator(request)
            _parameters(request)
            form: type[msgspec.Struct] = AlertSilence if what == "silence" else AlertWord
            body = await self._body(request, MOST_BODY)
            given = _form(body, form)
            if what == "comment" and not given.get("comment"):
                raise Fault(422, "INVALID_BODY", "comment: is missing", [("$.comment", "is missing")])
            alert_id = request.arguments[0]
            return await self._change(
                request, body, ALERT_COMMANDS, lambda by: {"event": self._desk.tell(what, alert_id, given, by)}, actor
            )

        return told

    async def list_silences(self, request: Request) -> Answer:
        return await self._listed(request, "silences", self._desk.silences)

    async def put_silence(self, request: Request) -> Answer:
        actor = self._operator(request)
        _parameters(request)
        body = await self._body(request, MOST_BODY)
        given, name = _form(body, SilenceRequest), request.arguments[0]
        return await self._change(
            request, body, RULE_COMMANDS, lambda by: {"event": self._desk.silence(name, given, by)}, actor
        )

    async def delete_silence(self, request: Request) -> Answer:
        actor = self._operator(request)
        _parameters(request)
        body, name = await self._body(request, MOST_BODY), request.arguments[0]
        return await self._change(
            request, body, RULE_COMMANDS, lambda by: {"event": self._desk.end_silence(name, by)}, actor
        )

    async def _listed(self, request: Request, name: str, desk: Callable[[Asked], Page], *filters: str) -> Answer:
        """A page of a list, and the address of the next."""
        self._operator(request)
        given = _parameters(request, *filters, *paging.PAGED)
        asked = paging.asked(given)
        found = await self._do(lambda: desk(asked))
        return _told({name: found.items, "next": paging.following(request, given, found)})

    # --- what they have in common -------------------------------------------------------------------------------------

    def _operator(self, request: Request) -> str:
        """Who asks.

        Raises:
            Fault: 403 it is no administrator of the fleet.
        """
        name = self._access.name(request.caller)
        if self._access.fleet(request.caller) != "admin":
            raise Fault(403, "FORBIDDEN", f"{name} is no administrator of the fleet")
        return name

    async def ask(self, request: Request, work: Callable[[], T]) -> T:
        """What an administrator of the fleet asks of the desk. Raises Fault."""
        self._operator(request)
        return await self._do(work)

    async def _do(self, work: Callable[[], T]) -> T:
        """`work` in a thread; few at a time."""
        if self._busy >= MOST_AT_ONCE:
            raise Fault(429, "OVERLOADED", f"{MOST_AT_ONCE} such requests are under way", retry_after=RETRY_AFTER)
        self._busy += 1
        try:
            return await asyncio.to_thread(work)
        except Busy as busy:
            raise Fault(429, "OVERLOADED", str(busy), retry_after=RETRY_AFTER) from None
        except Away as away:
            raise Fault(503, "AWAY", str(away), retry_after=RETRY_AFTER) from None
        except NotThere as error:
            raise Fault(404, "NOT_FOUND", str(error), [("path", str(error))]) from None
        except Wrong as wrong:
            raise Fault(422, "INVALID_BODY", str(wrong), [("$", one) for one in wrong.errors]) from None
        except NotAllowed as refused:
            status = 404 if refused.code in UNKNOWN else 409 if refused.code in CONFLICTS else 422
            raise Fault(status, refused.code, refused.detail, [("$", refused.detail)]) from None
        finally:
            self._busy -= 1

    async def _body(self, request: Request, most: int) -> bytes:
        if int(request.content_length or 0) > most:
            raise _too_large(most)
        body = await self._bodies.read(request)
        if len(body) > most:
            raise _too_large(most)
        return body

    async def _change(
        self, request: Request, body: bytes, topic: str, change: Callable[[By], Mapping[str, Any]], actor: str
    ) -> Answer:
        """What became of a command; of one with an Idempotency-Key that came before, what became of it then."""
        key = self._retries.key(request)
        if key is None:
            return _told(await self._do(lambda: change(By(actor))))

        async def decide(command_id: str) -> Answer:
            return replace(_told(await self._do(lambda: change(By(actor, command_id)))), headers=[])  # none are kept

        answer = await self._retries.decided(request, key, body, Commanded(topic, decide))
        return replace(answer, headers=[*answer.headers, NO_STORE])


def _form(body: bytes, form: type[msgspec.Struct]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.to_builtins(msgspec.json.decode(body or b"{}", type=form))
    except msgspec.ValidationError as error:
        raise Fault(422, "INVALID_BODY", str(error), [("$", str(error))]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault(400, "MALFORMED_JSON", f"the body is not JSON: {error}", [("$", str(error))]) from None
    return found


def _changed(events: list[Json]) -> Mapping[str, Any]:
    return {"changed": any(one["event"] != "RuleUnchanged" for one in events), "events": events}


def _too_large(most: int) -> Fault:
    return Fault(413, "TOO_LARGE", f"the body is larger than {most:,} bytes", [("$", "is too large")])


def _told(document: object) -> Answer:
    return Answer(_encoder.encode(document), headers=[NO_STORE])


def _parameters(request: Request, *names: str) -> Mapping[str, str]:
    found = {name: value for name in names if (value := request.query(name)) is not None}
    if request.raw_query:
        request.query("")  # checks that the query can be read
        for name, _ in parse_qsl(request.raw_query.decode(), keep_blank_values=True):
            if name not in names:
                _refuse(name[:50], f"is no parameter here; there are {', '.join(names) or 'none'}")
    return found


def _one_of(given: str, name: str, values: tuple[str, ...]) -> str:
    if given not in values:
        _refuse(name, f"is {given[:50]!r}, not {' or '.join(values)}")
    return given


def _number(given: str | None, name: str) -> int | None:
    if given is None:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        _refuse(name, f"is {given[:50]!r}, not a number")
    return int(given)


def _refuse(name: str, message: str) -> NoReturn:
    raise Fault(400, "INVALID_QUERY", f"{name}: {message}", [(f"query {name}", message)])
