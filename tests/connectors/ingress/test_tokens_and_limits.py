"""Access tokens and rate limits at the gate, over real sockets."""

import base64
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from connectors.guards import Quota
from connectors.signing_keys import SigningKeys
from tests.connectors.ingress.tls_served import Secured, World, securing
from tests.connectors.ingress.tls_world import Held
from tests.connectors.ingress.uploads import heartbeat, telemetry

BEAT = "/v1/devices/dev-1/heartbeat"
TOKEN = "/v1/devices/dev-1/token"


def beat() -> bytes:
    return msgspec.json.encode(heartbeat(boot_id=uuid4().hex))


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


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
