"""The listeners of the real process, on real Redis and a real log: what is spent stays spent, what is revoked is refused."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.authority import profiles
from connectors.kafka_log import KafkaLog
from connectors.keys import der, key_hash
from connectors.ports import Change
from connectors.redis_store import RedisKeyedStore
from connectors.registry import ConfluentRegistry
from infra import pki
from infra.bench.transport import DEVICE, PARTS, enrolled
from infra.certificate_records import VIEW
from infra.settings import Settings
from infra.stack.harness import Stack
from projections.updates import Newest, changes
from schemas.codec import Decoder
from schemas.contract import load
from schemas.log import TopicPartition
from schemas.wire import PREFIX_BYTES, schema_id
from tests.connectors.ingress.tls_world import Held, TlsClient, ask, client_cert, signed
from tests.connectors.ingress.uploads import heartbeat
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
BEAT = f"/v1/devices/{DEVICE}/heartbeat"
SECURITY = "fleet.security-events"
LEDGER = TopicPartition("fleet.certificates", 0)
LIMIT = 40
DAY = 86_400_000_000  # microseconds


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(trusted_proxy="127.0.0.1", limit_heartbeats=LIMIT)
    with shared_stack.lend(tmp_path_factory.mktemp("listeners"), only=PARTS, settings=settings) as made:
        yield made


@pytest.fixture(scope="module")
def held(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Held:
    return Held.read(enrolled(stack.settings, tmp_path_factory.mktemp("device")))


@pytest.fixture
def device(stack: Stack, held: Held, tmp_path: Path) -> TlsClient:
    return TlsClient(stack.settings.data_port, pki.at(stack.settings).trust.read_bytes(), tmp_path, held)


def beat() -> bytes:
    return msgspec.json.encode(heartbeat(boot_id=uuid4().hex))


def by_proxy(stack: Stack, held: Held, body: bytes, headers: dict[str, str]) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()} | {"Client-Cert": client_cert(held)}
    url = f"http://127.0.0.1:{stack.settings.ingress_port}{BEAT}"
    return httpx.post(url, content=body, headers={"Content-Type": "application/json", **named}, timeout=20)


def events(stack: Stack) -> list[dict[str, Any]]:
    """All security events in the log."""
    log, registry, found = KafkaLog(stack.settings.kafka), ConfluentRegistry(stack.settings.registry), []
    reader = load().topics[SECURITY].record.schema
    for source, (low, high) in log.bounds([SECURITY]).items():
        for batch in log.read(source, low, high):
            for value in batch.values:
                writer = registry.schema(schema_id(value))
                found.append(Decoder(writer, reader).decode(value[PREFIX_BYTES:]))
    log.close()
    return found


def test_a_device_uploads_over_mtls_with_the_fleets_own_certificates(device: TlsClient) -> None:
    reply = device.ask("POST", BEAT, beat())
    assert reply.status == 200, reply.body
    assert reply.headers["ratelimit-policy"] == f'"heartbeat";q={LIMIT};w=3600'


def test_a_nonce_stays_spent_when_the_ingress_is_killed_and_starts_again(stack: Stack, held: Held) -> None:
    body = beat()
    headers = signed(held, "POST", BEAT, body)
    assert by_proxy(stack, held, body, headers).status_code == 200
    stack.kill("ingress")
    stack.wait_healthy("ingress")
    answer = by_proxy(stack, held, body, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "REPLAYED_REQUEST")
    (kept,) = told_of(stack, "replayed_request", 1)
    assert kept["subject"] == DEVICE


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("another body", "bad_signature"),
        ("six minutes late", "stale_request"),
        ("six minutes early", "stale_request"),
    ],
)
def test_a_request_that_was_not_signed_so_and_now_is_refused_and_recorded(
    stack: Stack, held: Held, how: str, kind: str
) -> None:
    off = {"six minutes late": -360.0, "six minutes early": 360.0}.get(how, 0.0)
    body = beat()
    headers = signed(held, "POST", BEAT, beat() if how == "another body" else body, off)
    answer = by_proxy(stack, held, body, headers)
    assert (answer.status_code, answer.json()["code"]) == (401, kind.upper())
    told = told_of(stack, kind, 1)  # once for a while: what the same does again and again is counted
    assert {event["subject"] for event in told} == {DEVICE}


def test_an_expired_certificate_is_refused_and_recorded(stack: Stack, tmp_path: Path) -> None:
    """It is in the ledger and its authority is the fleet's."""
    made, now = pki.at(stack.settings), time.time_ns() // 1000
    name, issuer = list(made.issuing().items())[-1]
    key, serial = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number()
    parent = profiles.Parent(issuer, pki.keys(stack.settings).signer(name), stack.settings.authority)
    old = profiles.device(parent, DEVICE, key.public_key(), serial, profiles.life(now - 2 * DAY, 1))
    stated = {"device_id": DEVICE, "key_hash": key_hash(der(key.public_key())).hex(), "not_after": now - DAY}
    store = RedisKeyedStore(stack.settings.redis, VIEW)
    position = store.positions(1)[LEDGER]
    fields = changes({}, {"certificate": Newest((position,), stated)})
    store.commit(1, LEDGER, position, position + 1, {f"{serial:x}": Change(0, fields)})
    store.close()
    file = tmp_path / "expired.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + b"".join(one.public_bytes(Encoding.PEM) for one in (old, issuer)))
    client = TlsClient(stack.settings.data_port, made.trust.read_bytes(), tmp_path, Held.read(file))
    reply = client.ask("POST", BEAT, beat())
    assert (reply.status, reply.code) == (403, "CERTIFICATE_EXPIRED")
    assert [event["device_id"] for event in told_of(stack, "expired_certificate", 1)] == [DEVICE]


def told_of(stack: Stack, kind: str, least: int = 0) -> list[dict[str, Any]]:
    """Security events of a kind; when there are as many as `least`, or after a while."""
    until = time.monotonic() + 20
    while len(found := [event for event in events(stack) if event["kind"] == kind]) < least and time.monotonic() < until:
        time.sleep(0.1)
    return found


def test_the_key_of_tokens_outlives_the_process(stack: Stack, device: TlsClient) -> None:
    issued = device.ask("POST", f"/v1/devices/{DEVICE}/token")
    bearer = {"Authorization": f"Bearer {msgspec.json.decode(issued.body)['access_token']}"}
    stack.kill("ingress")
    stack.wait_healthy("ingress")
    answer = httpx.post(f"http://127.0.0.1:{stack.settings.ingress_port}{BEAT}", content=beat(), headers=bearer)
    assert answer.status_code == 200
    assert (stack.settings.data / "signing-keys.json").stat().st_mode & 0o777 == 0o600


def test_while_redis_is_away_the_last_word_counts_and_signed_requests_wait(
    stack: Stack, held: Held, device: TlsClient
) -> None:
    assert device.ask("POST", BEAT, beat()).status == 200
    stack.stop("redis")
    try:
        assert device.ask("POST", BEAT, beat()).status == 200
        body = beat()
        answer = by_proxy(stack, held, body, signed(held, "POST", BEAT, body))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    finally:
        stack.start("redis")
    time.sleep(1.1)  # until Redis is asked again
    assert device.ask("POST", BEAT, beat()).headers["ratelimit"]


def test_the_limit_is_kept_by_all_connections_together(stack: Stack, device: TlsClient) -> None:
    statuses = [device.ask("POST", BEAT, beat()).status for _ in range(LIMIT)]
    assert set(statuses) == {200, 429}
    reply = device.ask("POST", BEAT, beat())
    assert reply.code == "REG-006"
    assert 0 < int(reply.headers["retry-after"]) <= 3600 / LIMIT


def test_a_revoked_certificate_is_refused_on_a_connection_that_is_open(stack: Stack, held: Held, device: TlsClient) -> None:
    store = RedisKeyedStore(stack.settings.redis, VIEW)
    path = f"/v1/devices/{DEVICE}/token"
    with device.connected() as connection:
        assert ask(connection, "POST", path).status == 200
        (loaded,) = store.load(1, [held.serial])
        put = changes(loaded.document, {"revocation": Newest((9,), {"occurred_at": 1})})
        position = store.positions(1)[LEDGER]
        store.commit(1, LEDGER, position, position + 1, {held.serial: Change(loaded.revision, put)})
        revoked = time.monotonic()
        while (reply := ask(connection, "POST", path)).status == 200:
            assert time.monotonic() - revoked < 2.0
    assert reply.code == "CERTIFICATE_REVOKED"
    store.close()
