"""An ingress in memory: the device API's answers, an idempotency ledger, a log, and misbehaviour on request."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from infra.simulator.journal import RECORDS, TOPICS, Kind
from schemas.contract import load
from schemas.json_form import RequestForm, Violations

KINDS = {"telemetry": Kind.TELEMETRY, "heartbeat": Kind.HEARTBEAT, "events": Kind.EVENT}
KEY = "a-key-for-tests-only"


@dataclass
class FakeIngress:
    """`misbehave(request number)` may return an answer to give in place of doing the work, `after` one to give although
    the work was done; None means to behave."""

    misbehave: Callable[[int], web.Response | None] = lambda _: None
    after: Callable[[int], web.Response | None] = lambda _: None
    log: dict[tuple[Any, ...], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    arrivals: list[tuple[Any, ...]] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        contract = load()
        self._forms = {kind: RequestForm(contract.records[name]) for kind, name in RECORDS.items()}

    def take(self, kind: Kind, device_id: str, member: bytes) -> dict[str, Any]:
        try:
            values = self._forms[kind].parse(member)
        except Violations as error:
            self.refused[str(error)] += 1
            return {"status": 422, "code": "INVALID_BODY", "detail": str(error)}
        if kind is Kind.REGISTRATION:
            device_id = values["hardware_id"]
        identity = (kind, device_id, values.get("boot_id", ""), values.get("sequence", 0))
        self.arrivals.append(identity)
        offset, known = self.log.setdefault(identity, (len(self.log), values))
        if known != values:
            return {"status": 409, "code": "DIFFERENT_CONTENT", "detail": "other content"}
        return {"status": 200, "topic": TOPICS[kind], "partition": 0, "offset": offset, "device_id": device_id}

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        if request.headers.get("X-API-Key") != KEY:
            return web.json_response({"code": "UNAUTHORIZED"}, status=401)
        wrong = self.misbehave(self.requests)
        if wrong is not None:
            return wrong
        answer = self._answer(request, body)
        return self.after(self.requests) or answer

    def _answer(self, request: web.Request, body: bytes) -> web.Response:
        kind = KINDS[request.match_info["kind"]] if "kind" in request.match_info else Kind.REGISTRATION
        device_id = request.match_info.get("id", "")
        if body.startswith(b'{"records":'):
            try:
                members = [json.dumps(one).encode() for one in json.loads(body)["records"]]
            except json.JSONDecodeError as error:
                self.refused[str(error)] += 1
                return web.json_response({"code": "MALFORMED_JSON"}, status=400)
            results = [self.take(kind, device_id, member) for member in members]
            accepted = sum(one["status"] == 200 for one in results)
            status = (200 if accepted == len(results) else 207) if accepted else max(one["status"] for one in results)
            return web.Response(body=json.dumps({"results": results}, separators=(",", ":")), status=status)
        result = self.take(kind, device_id, body)
        return web.json_response(result, status=result["status"])

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator["FakeIngress"]:
        app = web.Application(client_max_size=20_000_000)
        app.router.add_post("/v1/devices", self.handle)
        app.router.add_post("/v1/devices/{id}/{kind}", self.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()


def unavailable(retry_after: str | None = None) -> web.Response:
    headers = {"Retry-After": retry_after} if retry_after else {}
    return web.json_response({"code": "BROKER_AWAY"}, status=503, headers=headers)
