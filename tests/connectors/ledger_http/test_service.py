"""The authority's HTTP service without Kafka: what it answers where something is missing, away or wrong."""

import asyncio
import base64
import gzip
import json

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client import CollectorRegistry

from connectors.http.request import Answer, Request
from connectors.ledger_http.api import ShownEntry, ShownLeaf
from connectors.ledger_http.service import LedgerService, ServiceOptions
from connectors.ports import Away
from schemas.transparency.merkle import OutOfRange
from schemas.transparency.tiles import Tile


class FakeLedger:
    """One tile, one bundle, one certificate."""

    def __init__(self) -> None:
        self.head: str | None = "the checkpoint"
        self.away = False

    def checkpoint(self) -> str | None:
        return self.head

    def tile(self, tile: Tile) -> bytes:
        if tile != Tile(0, 0, 5):
            raise OutOfRange("there is no such tile")
        return b"h" * 160

    def bundle(self, number: int, width: int) -> bytes:
        if self.away:
            raise Away("the broker is away")
        if (number, width) != (1234, 256):
            raise OutOfRange("there is no such bundle")
        return b"entries" * 100

    def entry(self, serial: str) -> ShownEntry | None:
        return ShownEntry(serial, 5, "the checkpoint", ShownLeaf(0, "{}", []), None) if serial == "5e1f" else None


class FakePki:
    """Answers with what it was asked."""

    def certificates(self) -> bytes:
        return b"PEM"

    def certificate(self, key_id: str) -> bytes:
        return self._of(key_id, b"certificate")

    def crl(self, key_id: str) -> bytes:
        return self._of(key_id, b"full")

    def delta(self, key_id: str) -> bytes:
        return self._of(key_id, b"delta")

    def _of(self, key_id: str, answer: bytes) -> bytes:
        if key_id != "a1b2":
            raise KeyError(key_id)
        return answer

    def ocsp(self, request: bytes) -> bytes:
        return b"answer to " + request


class Asked:
    def __init__(self) -> None:
        self.ledger = FakeLedger()
        self.healthy = True
        self.service = LedgerService(
            ServiceOptions(), self.ledger, FakePki(), lambda: (self.healthy, {"role": "active"}), CollectorRegistry()
        )

    def ask(self, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        path, _, query = target.partition("?")
        given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}

        async def part() -> tuple[bytes, bool]:
            return body, False

        answer = asyncio.run(self.service.answer(Request(method, path.encode(), given, part, query.encode())))
        assert isinstance(answer, Answer)
        return answer

    def fault(self, target: str, **more: str) -> tuple[int, str]:
        answer = self.ask(target, **more)
        return answer.status, json.loads(answer.body)["code"]


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_the_document_is_openapi(asked: Asked) -> None:
    document = json.loads(asked.ask("/openapi.json").body)
    OpenAPIV31SpecValidator(document).validate()
    assert "/ledger/checkpoint" in document["paths"]


def test_the_checkpoint(asked: Asked) -> None:
    answer = asked.ask("/ledger/checkpoint")
    assert (answer.body, answer.content_type) == (b"the checkpoint", b"text/plain; charset=utf-8")
    asked.ledger.head = None
    assert asked.fault("/ledger/checkpoint") == (503, "NO_HEAD")


def test_tiles_and_bundles(asked: Asked) -> None:
    assert asked.ask("/ledger/tile/0/000.p/5").body == b"h" * 160
    answer = asked.ask("/ledger/tile/entries/x001/234")
    assert answer.body == b"entries" * 100
    packed = asked.ask("/ledger/tile/entries/x001/234", accept_encoding="gzip, deflate")
    assert gzip.decompress(packed.body) == answer.body
    assert (b"content-encoding", b"gzip") in packed.headers
    for path in ("0/000", "0/0", "00/000", "x/000", "entries/000", "0/x000/000", "0/000.p/256", "0/x1/x2/x3/x4/5"):
        assert asked.fault(f"/ledger/tile/{path}")[0] == 404
    asked.ledger.away = True
    assert asked.fault("/ledger/tile/entries/x001/234") == (503, "AWAY")


def test_entries(asked: Asked) -> None:
    assert json.loads(asked.ask("/ledger/entry?serial=005E1F").body)["serial"] == "5e1f"
    assert asked.fault("/ledger/entry?serial=abc") == (404, "CERTIFICATE_UNKNOWN")
    assert asked.fault("/ledger/entry") == (400, "NO_SERIAL")


def test_lists_and_ocsp(asked: Asked) -> None:
    assert asked.ask("/pki/a1b2.crl").body == b"full"
    assert asked.ask("/pki/a1b2-delta.crl").body == b"delta"
    assert asked.ask("/pki/a1b2.crt").body == b"certificate"
    for path in ("/pki/a1b3.crl", "/pki/a1b3-delta.crl", "/pki/a1b2", "/pki/a1b2.pem", "/pki/.crl"):
        assert asked.fault(path) == (404, "NO_SUCH_FILE")
    assert asked.ask("/pki/ca.pem").body == b"PEM"
    assert asked.ask("/pki/ocsp", "POST", b"question").body == b"answer to question"
    text = base64.b64encode(b"?\xff\xfe").decode().replace("/", "%2F")
    assert asked.ask(f"/pki/ocsp/{text}").body == b"answer to ?\xff\xfe"
    assert asked.fault("/pki/ocsp/!!") == (400, "BAD_REQUEST")
    assert asked.fault("/pki/ocsp", method="DELETE")[0] == 405


def test_health_and_metrics(asked: Asked) -> None:
    assert asked.ask("/health").status == 200
    asked.healthy = False
    assert asked.ask("/health").status == 503
    assert b'fleetlog_authority_request_seconds_count{route="/health",status="503"}' in asked.ask("/metrics").body
