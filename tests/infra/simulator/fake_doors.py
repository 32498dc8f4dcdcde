"""The fake ingress behind TLS: a registration listener, and one that asks for devices' certificates."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography import x509

from infra.device.calls import Call, Unreachable
from infra.device.verification import device_ids
from tests.infra.device.fake_fleet import FakeFleet
from tests.infra.device.tls_server import server_certificate
from tests.infra.simulator.fake_ingress import KEY, FakeIngress


@dataclass
class FakeDoors:
    """Both listeners, and the plain one of `ingress` with pre-registration on it. `seen`: devices that uploaded."""

    ingress: FakeIngress
    fleet: FakeFleet = field(default_factory=FakeFleet)
    known: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    strangers: int = 0
    registration: int = 0
    data: int = 0

    async def pre_register(self, request: web.Request) -> web.Response:
        if request.headers.get("X-API-Key") != KEY:
            return web.json_response({"code": "UNAUTHORIZED"}, status=401)
        rows = [json.loads(line) for line in (await request.read()).splitlines()]
        self.known |= {row["serial_number"]: row["public_key"] for row in rows}
        return web.json_response({"accepted": len(rows), "refused": 0, "errors": []})

    async def register(self, request: web.Request) -> web.StreamResponse:
        call = Call("POST", request.path, await request.read(), request.headers["Idempotency-Key"])
        try:
            answer = await asyncio.to_thread(self.fleet.send, call)
        except Unreachable:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=answer.status, body=answer.body)

    async def upload(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        shown = request.transport.get_extra_info("ssl_object").getpeercert(True)
        if device_ids(x509.load_der_x509_certificate(shown)) != [request.match_info["id"]]:
            self.strangers += 1
            return web.json_response({"code": "WRONG_CERTIFICATE"}, status=403)
        self.seen.add(request.match_info["id"])
        return self.ingress._answer(request, await request.read())

    @asynccontextmanager
    async def serving(self, folder: Path) -> AsyncIterator[Path]:
        """Gives the file of roots."""
        roots = folder / "roots.pem"
        roots.write_text(self.fleet.ca.pem)
        door = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        door.load_cert_chain(server_certificate(folder, self.fleet))
        mutual = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        mutual.load_cert_chain(folder / "server.pem")
        mutual.load_verify_locations(roots)
        mutual.verify_mode = ssl.CERT_REQUIRED
        app = web.Application(client_max_size=20_000_000)
        app.router.add_post("/v1/devices/pre-registrations", self.pre_register)
        app.router.add_post("/v1/devices/register/{step}", self.register)
        app.router.add_post("/v1/devices/{id}/{kind}", self.upload)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        for context in (None, door, mutual):
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        self.ingress.port, self.registration, self.data = (address[1] for address in runner.addresses)
        try:
            yield roots
        finally:
            await runner.cleanup()
