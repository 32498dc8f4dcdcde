"""Signed requests, a proxy that ends TLS, access tokens and rate limits, over real sockets."""

import base64
import gzip
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from connectors.guards import Quota
from connectors.signing_keys import SigningKeys
from tests.connectors.ingress.served import KEY
from tests.connectors.ingress.tls_served import Secured, World, securing
from tests.connectors.ingress.tls_world import Held, client_cert, self_signed, signed
from tests.connectors.ingress.uploads import heartbeat, telemetry

BEAT = "/v1/devices/dev-1/heartbeat"
TOKEN = "/v1/devices/dev-1/token"


def beat() -> bytes:
    return msgspec.json.encode(heartbeat(boot_id=uuid4().hex))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def open_world(world: World) -> Iterator[Secured]:
    with securing(world, trusted="127.0.0.0/8") as made:
        yield made


@pytest.fixture
def secured(open_world: Secured) -> Secured:
    """Behind a proxy that is trusted, with a security log that was not told of anything yet."""
    open_world.served.call(open_world.served.ingress.security.flush)
    open_world.served.producer.sent.clear()
    return open_world


def by_proxy(secured: Secured, held: Held, target: str, body: bytes, **headers: str) -> httpx.Response:
    """A request that came to the proxy over TLS, on its way to the plain listener."""
    named = {"Client-Cert": client_cert(held), "Content-Type": "application/json"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    url = f"http://127.0.0.1:{secured.served.port}{target}"
    return httpx.post(url, content=body, headers=named, timeout=20)


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- signed requests


def test_a_signed_request_behind_the_proxy_is_taken(secured: Secured) -> None:
    held, body = secured.world.enrolled("dev-1"), beat()
    answer = by_proxy(secured, held, f"{BEAT}?a=b%20c", body, **signed(held, "POST", f"{BEAT}?a=b%20c", body))
    assert answer.status_code == 200, answer.text
    assert secured.kinds() == []


def test_an_unsigned_request_behind_the_proxy_is_refused(secured: Secured) -> None:
    held = secured.world.enrolled("dev-1")
    assert told(by_proxy(secured, held, BEAT, beat())) == (401, "BAD_SIGNATURE")
    assert told(by_proxy(secured, held, BEAT, beat(), X_API_Key=KEY)) == (401, "BAD_SIGNATURE")
    assert secured.kinds() == ["bad_signature"]


def test_a_nonce_is_taken_once_also_by_an_ingress_that_has_started_since(secured: Secured, world: World) -> None:
    held, body = secured.world.enrolled("dev-1"), beat()
    headers = signed(held, "POST", BEAT, body)
    assert by_proxy(secured, held, BEAT, body, **headers).status_code == 200
    assert told(by_proxy(secured, held, BEAT, body, **headers)) == (401, "REPLAYED_REQUEST")
    assert secured.kinds() == ["replayed_request"]
    with securing(world, trusted="127.0.0.1") as after:
        assert told(by_proxy(after, held, BEAT, body, **headers)) == (401, "REPLAYED_REQUEST")


def test_the_nonce_of_another_device_is_another(secured: Secured) -> None:
    one, other, nonce = secured.world.enrolled("dev-1"), secured.world.enrolled("dev-2"), uuid4().hex
    for held, path in ((one, BEAT), (other, "/v1/devices/dev-2/heartbeat")):
        body = beat()
        assert by_proxy(secured, held, path, body, **signed(held, "POST", path, body, nonce=nonce)).status_code == 200


@pytest.mark.parametrize("off", [-360.0, 360.0])
def test_a_clock_that_is_off_by_six_minutes(secured: Secured, off: float) -> None:
    held, body = secured.world.enrolled("dev-1"), beat()
    answer = by_proxy(secured, held, BEAT, body, **signed(held, "POST", BEAT, body, off=off))
    assert told(answer) == (401, "STALE_REQUEST")
    assert secured.kinds() == ["stale_request"]


@pytest.mark.parametrize("off", [-290.0, 290.0])
def test_a_clock_that_is_off_by_less_than_five_minutes(secured: Secured, off: float) -> None:
    held, body = secured.world.enrolled("dev-1"), beat()
    assert by_proxy(secured, held, BEAT, body, **signed(held, "POST", BEAT, body, off=off)).status_code == 200


Change = Callable[[dict[str, str]], dict[str, str]]


@pytest.mark.parametrize(
    "change",
    [
        lambda given: given | {"X_Request_Nonce": uuid4().hex},
        lambda given: given | {"X_Request_Timestamp": str(int(given["X_Request_Timestamp"]) + 1)},
        lambda given: given | {"X_Device_Signature": given["X_Device_Signature"][:-8] + "AAAAAAA="},
        lambda given: given | {"X_Device_Signature": "not base64"},
        lambda given: given | {"X_Device_Signature": base64.b64encode(b"x" * 72).decode()},
        lambda given: given | {"X_Request_Nonce": "short"},
        lambda given: given | {"X_Request_Timestamp": "yesterday"},
        lambda given: {name: value for name, value in given.items() if name != "X_Request_Nonce"},
        lambda given: {name: value for name, value in given.items() if name != "X_Request_Timestamp"},
    ],
    ids=["nonce", "time", "signature", "no base64", "no signature", "short nonce", "no time", "nonce away", "time away"],
)
def test_what_was_signed_is_not_what_came(secured: Secured, change: Change) -> None:
    held, body = secured.world.enrolled("dev-1"), beat()
    answer = by_proxy(secured, held, BEAT, body, **change(signed(held, "POST", BEAT, body)))
    assert told(answer) == (401, "BAD_SIGNATURE")
    assert secured.kinds() == ["bad_signature"]


def test_a_signature_over_another_body_path_method_or_by_another_key(secured: Secured) -> None:
    held, body = secured.world.enrolled("dev-1"), beat()
    other = secured.world.enrolled("dev-1")
    for headers in (
        signed(held, "POST", BEAT, beat()),
        signed(held, "POST", "/v1/devices/dev-1/events", body),
        signed(held, "PUT", BEAT, body),
        signed(held, "POST", f"{BEAT}?x=1", body),
        signed(other, "POST", BEAT, body),
    ):
        assert told(by_proxy(secured, held, BEAT, body, **headers)) == (401, "BAD_SIGNATURE")


def test_a_refused_signature_spends_no_nonce(secured: Secured) -> None:
    held, body = secured.world.enrolled("dev-1"), beat()
    headers = signed(held, "POST", BEAT, body)
    assert told(by_proxy(secured, held, BEAT, beat(), **headers)) == (401, "BAD_SIGNATURE")
    assert by_proxy(secured, held, BEAT, body, **headers).status_code == 200


def test_a_signature_over_mtls_is_not_needed_but_checked(secured: Secured) -> None:
    held, body = secured.world.enrolled("dev-1"), beat()
    device = secured.client(held)
    assert device.ask("POST", BEAT, body, **signed(held, "POST", BEAT, body)).status == 200
    reply = device.ask("POST", BEAT, body, **signed(held, "POST", BEAT, beat()))
    assert (reply.status, reply.code) == (401, "BAD_SIGNATURE")
    gone = secured.world.memory
    gone.away = "stopped"
    try:
        reply = device.ask("POST", BEAT, body, **signed(held, "POST", BEAT, body))
    finally:
        gone.away = ""
    assert (reply.status, reply.code) == (503, "UNAVAILABLE")


def test_a_gzipped_body_is_signed_as_it_is_sent(secured: Secured) -> None:
    held, body = secured.world.enrolled("dev-1"), gzip.compress(beat())
    headers = signed(held, "POST", BEAT, body) | {"Content_Encoding": "gzip"}
    assert by_proxy(secured, held, BEAT, body, **headers).status_code == 200


# --- the proxy


def test_a_forwarded_certificate_from_elsewhere_is_refused(world: World) -> None:
    held, body = world.enrolled("dev-1"), beat()
    with securing(world, trusted="192.0.2.7, 2001:db8::/32") as secured:
        answer = by_proxy(secured, held, BEAT, body, **signed(held, "POST", BEAT, body), X_API_Key=KEY)
        assert told(answer) == (403, "FORBIDDEN")
        assert secured.kinds() == ["other"]
        reply = secured.client(held).ask("POST", BEAT, body, Client_Cert=client_cert(world.enrolled("dev-2")))
        assert (reply.status, reply.code) == (403, "FORBIDDEN")


@pytest.mark.parametrize("header", ["", ":", "::", ":AAAA:", ":not base64:", "MIIB", ":MIIB:, :MIIB:"])
def test_a_forwarded_certificate_that_is_none(secured: Secured, header: str) -> None:
    url = f"http://127.0.0.1:{secured.served.port}{BEAT}"
    answer = httpx.post(url, content=beat(), headers={"Client-Cert": header, "X-API-Key": KEY})
    assert told(answer) == (403, "CERTIFICATE_UNKNOWN")


def test_a_forwarded_certificate_that_only_looks_like_one_of_the_ledger(secured: Secured) -> None:
    forged, body = self_signed("dev-1"), beat()
    secured.world.memory.certificates[forged.serial] = secured.world.enrolled("dev-1").record("dev-1")
    answer = by_proxy(secured, forged, BEAT, body, **signed(forged, "POST", BEAT, body))
    assert told(answer) == (403, "CERTIFICATE_UNKNOWN")


# --- access tokens


def token_of(secured: Secured, held: Held) -> str:
    reply = secured.client(held).ask("POST", TOKEN)
    assert reply.status == 200, reply.body
    assert reply.headers["cache-control"] == "no-store"
    issued = msgspec.json.decode(reply.body)
    assert (issued["token_type"], issued["expires_in"]) == ("Bearer", 3600)
    return str(issued["access_token"])


def with_token(secured: Secured, token: str, path: str = BEAT) -> httpx.Response:
    url = f"http://127.0.0.1:{secured.served.port}{path}"
    return httpx.post(url, content=beat(), headers={"Authorization": f"Bearer {token}"})


def test_a_token_is_a_jwt_that_its_published_key_verifies(secured: Secured) -> None:
    held = secured.world.enrolled("dev-1")
    token = token_of(secured, held)
    published = httpx.get(f"http://127.0.0.1:{secured.served.port}/.well-known/jwks.json")
    assert published.headers["content-type"] == "application/jwk-set+json"
    assert all("d" not in key for key in published.json()["keys"])
    decoded = jwt.decode(token, KeySet.import_key_set(published.json()), algorithms=["ES256"])
    assert decoded.claims["sub"] == "dev-1"
    assert decoded.claims["exp"] - decoded.claims["iat"] == 3600
    assert decoded.claims["serial"] == held.serial
    assert set(decoded.claims["cnf"]) == {"x5t#S256"}


def test_a_token_speaks_for_its_device_until_the_certificate_is_revoked(secured: Secured) -> None:
    held = secured.world.enrolled("dev-1")
    token = token_of(secured, held)
    assert with_token(secured, token).status_code == 200
    assert told(with_token(secured, token, "/v1/devices/dev-2/heartbeat")) == (403, "WRONG_DEVICE")
    assert told(with_token(secured, token, TOKEN)) == (403, "FORBIDDEN")
    assert with_token(secured, token, "/topics/fleet.heartbeats").status_code == 401
    secured.world.enter(held, "dev-1", revoked=1)
    until_refused = [with_token(secured, token)]
    while until_refused[-1].status_code == 200:
        until_refused.append(with_token(secured, token))
    assert told(until_refused[-1]) == (403, "CERTIFICATE_REVOKED")


def test_a_token_beside_a_certificate_must_be_of_that_certificate(secured: Secured) -> None:
    one, other = secured.world.enrolled("dev-1"), secured.world.enrolled("dev-1")
    bearer = f"Bearer {token_of(secured, one)}"
    assert secured.client(one).ask("POST", BEAT, beat(), Authorization=bearer).status == 200
    reply = secured.client(other).ask("POST", BEAT, beat(), Authorization=bearer)
    assert (reply.status, reply.code) == (401, "BAD_TOKEN")
    assert secured.kinds() == ["bad_token"]


def forged(secured: Secured, name: str) -> str:
    """A token that is none."""
    good = token_of(secured, secured.world.enrolled("dev-1"))
    head, body, signature = good.split(".")
    claims: dict[str, Any] = msgspec.json.decode(base64.urlsafe_b64decode(body + "=="))
    signer = secured.world.keys

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(value)).rstrip(b"=").decode()

    if name == "another device's name":
        return f"{head}.{part(claims | {'sub': 'dev-2'})}.{signature}"
    if name == "no algorithm":
        return f"{part({'alg': 'none', 'typ': 'at+jwt'})}.{body}."
    if name == "the public key as a secret":
        secret = OctKey.import_key(msgspec.json.encode(signer.public_keys().as_dict(private=False)))
        kid = msgspec.json.decode(base64.urlsafe_b64decode(head + "=="))["kid"]
        return jws.serialize_compact({"alg": "HS256", "typ": "at+jwt", "kid": kid}, msgspec.json.encode(claims), secret)
    if name == "another key":
        return jwt.encode({"alg": "ES256", "typ": "at+jwt"}, claims, ECKey.generate_key("P-256"))
    if name == "another key under the same name":
        other = SigningKeys()
        moved = msgspec.json.decode(base64.urlsafe_b64decode(head + "=="))
        return jwt.encode({**moved}, claims, next(iter(other._kept)).key)
    if name == "signed for something else":
        return signer.sign(msgspec.json.encode(claims), "config+jws")
    changes = {
        "expired": {"exp": claims["iat"] - 1},
        "another issuer": {"iss": "elsewhere"},
        "another audience": {"aud": "elsewhere"},
        "not yet": {"iat": claims["iat"] + 7200, "nbf": claims["iat"] + 7200},
        "too long": {"more": "x" * 3000},
    }
    return signer.sign(msgspec.json.encode(claims | changes[name]), "at+jwt")


@pytest.mark.parametrize(
    "name",
    [
        "another device's name",
        "no algorithm",
        "the public key as a secret",
        "another key",
        "another key under the same name",
        "signed for something else",
        "expired",
        "another issuer",
        "another audience",
        "not yet",
        "too long",
    ],
)
def test_a_token_that_is_none(secured: Secured, name: str) -> None:
    token = forged(secured, name)
    assert told(with_token(secured, token)) == (401, "BAD_TOKEN")
    assert secured.kinds() == ["bad_token"]


# --- rate limits


def test_who_comes_too_often_is_told_when_to_come_again(world: World) -> None:
    one, other = world.enrolled("dev-1"), world.enrolled("dev-2")
    with securing(world, quotas={"heartbeat": Quota("heartbeat", 3, 3600)}) as secured:
        device = secured.client(one)
        replies = [device.ask("POST", BEAT, beat()) for _ in range(5)]
        assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
        assert replies[0].headers["ratelimit-policy"] == '"heartbeat";q=3;w=3600'
        assert replies[0].headers["ratelimit"] == '"heartbeat";r=2;t=1200'
        assert replies[3].headers["ratelimit"].startswith('"heartbeat";r=0;t=3')
        assert replies[3].code == "REG-006"
        assert 1100 < int(replies[3].headers["retry-after"]) <= 1200
        assert secured.client(other).ask("POST", "/v1/devices/dev-2/heartbeat", beat()).status == 200
        reading = msgspec.json.encode(telemetry(boot_id="limits"))
        assert device.ask("POST", "/v1/devices/dev-1/telemetry", reading).status == 200
        assert all(secured.served.post(BEAT, heartbeat(boot_id=f"{i}")).status_code == 200 for i in range(5))
        with_bearer = {"Authorization": f"Bearer {token_of(secured, one)}"}
        assert httpx.post(f"http://127.0.0.1:{secured.served.port}{BEAT}", headers=with_bearer).status_code == 429
        assert secured.kinds() == ["rate_limited"]
        assert secured.served.metric('fleetlog_ingress_rate_limited_total{limit="heartbeat"}') == 3


def test_while_the_counts_are_away_everybody_is_let_through(world: World) -> None:
    held = world.enrolled("dev-1")
    with securing(world, quotas={"heartbeat": Quota("beats", 1, 3600)}) as secured:
        device = secured.client(held)
        assert device.ask("POST", BEAT, beat()).status == 200
        world.memory.away = "stopped"
        try:
            assert [device.ask("POST", BEAT, beat()).status for _ in range(3)] == [200] * 3
        finally:
            world.memory.away = ""
        assert secured.served.metric("fleetlog_ingress_rate_uncounted_total") == 3
        assert device.ask("POST", BEAT, beat()).status == 429
