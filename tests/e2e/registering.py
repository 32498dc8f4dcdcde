"""Devices and users at a real stack, for the tests of what they may not do: requests as they are, and what the log says."""

import asyncio
import json
import random
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from infra import compose
from infra.api_key import api_key
from infra.device.calls import Answer, Backoff, Call, Refused, Unreachable, perform_async
from infra.device.fingerprint import Parts
from infra.device.keystore import PrivateKey, generate, private_pem
from infra.device.registration import Bundle, Credential, Identity, InMemory, Registration
from infra.device.session import asked
from infra.simulator.http import Address, Connection, Lost
from infra.stack.harness import Stack
from schemas import contract
from schemas.record_columns import RECORD, decoder_of

T = TypeVar("T")
PATIENT = Backoff(tries=60, base=1.3, longest=2.0, chance=random.Random(5))


def parts_of(hardware_id: str) -> Parts:
    return {"cpu_id": "test", "board_serial": hardware_id, "mac_addresses": [], "disk_uuid": ""}


@dataclass
class Door:
    """Asks the plain listener, as devices behind a proxy would: `at_once` connections."""

    stack: Stack
    at_once: int = 1_000
    idle: list[Connection] = field(default_factory=list)

    async def send(self, call: Call) -> Answer:
        connection = self.idle.pop() if self.idle else Connection(Address.parse(self.stack.settings.ingress, {}), 30.0)
        headers = {name: value for name, value in call.headers.items() if name != "Content-Type"}
        try:
            response = await connection.post(call.path, call.body, headers=headers)
        except Lost as lost:
            raise Unreachable(lost.reason) from None
        finally:
            self.idle.append(connection)
        return Answer(response.status, response.body, response.retry_after)

    async def ask(self, path: str, body: dict[str, Any], key: str = "") -> tuple[int, dict[str, Any]]:
        """One request, tried again in the same words while there is no answer: its status and answer."""
        call = Call("POST", path, json.dumps(body).encode(), key)
        try:
            return 200, await perform_async(asked(call), self.send, PATIENT, asyncio.sleep)
        except Refused as refused:
            return refused.status, {"code": refused.code, "message": refused.message}

    async def register(self, hardware_id: str, key: PrivateKey, credential: Credential) -> Bundle:
        who = Identity(hardware_id, parts_of(hardware_id), "test", "1")
        flow = Registration(who, key, credential, InMemory()).flow()
        return await perform_async(flow, self.send, PATIENT, asyncio.sleep)

    async def all(self, work: list[Callable[[], Awaitable[T]]]) -> list[T]:
        """All at once, as many at a time as there are connections."""
        places = asyncio.Semaphore(self.at_once)

        async def one(do: Callable[[], Awaitable[T]]) -> T:
            async with places:
                return await do()

        try:
            return await asyncio.gather(*(one(do) for do in work))
        finally:
            for connection in self.idle:
                connection.close()
            self.idle.clear()


def user(stack: Stack, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> httpx.Response:
    """A request with the API key."""
    headers = {"X-API-Key": api_key(stack.settings)}
    return httpx.request(method, stack.settings.ingress + path, json=body, headers=headers, timeout=30)


def claim(stack: Stack) -> dict[str, Any]:
    answer = user(stack, "/v1/devices/claim-token", {})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def events(stack: Stack, topic: str, record: str = "") -> list[dict[str, Any]]:
    """The records of a topic, by partition and offset."""
    log, declared = compose.log_reader(stack.settings), contract.load().topics[topic]
    decoder = decoder_of(declared, compose.registry(stack.settings).schema)
    found: list[dict[str, Any]] = []
    try:
        for source, (first, end) in log.bounds([topic]).items():
            for batch in log.read(source, first, end):
                found += decoder.decode(batch.values).frame.to_dicts()
    finally:
        log.close()
    return [one for one in found if not record or one.get(RECORD) == record]


def counted(rows: list[dict[str, Any]], name: str) -> Counter[Any]:
    return Counter(row[name] for row in rows)


def showing(stack: Stack, folder: Path, certificate: str, chain: str, key: PrivateKey) -> ssl.SSLContext:
    """TLS for the data listener with a certificate."""
    context = ssl.create_default_context(cafile=str(stack.settings.data / "pki" / "ca.pem"))
    file = folder / "shown.pem"
    file.write_bytes(private_pem(key) + certificate.encode() + chain.encode())
    context.load_cert_chain(file)
    return context


def data_url(stack: Stack) -> str:
    return f"https://{stack.settings.host}:{stack.settings.data_port}"


def pem(key: PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def fresh() -> PrivateKey:
    return generate()
