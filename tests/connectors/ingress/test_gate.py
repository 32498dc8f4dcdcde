"""Signed requests, and a proxy that ends TLS, over real sockets."""

import base64
import gzip
from collections.abc import Callable, Iterator
from uuid import uuid4

import httpx
import msgspec
import pytest

from tests.connectors.ingress.served import KEY
from tests.connectors.ingress.tls_served import Secured, World, securing
from tests.connectors.ingress.tls_world import Held, client_cert, self_signed, signed
from tests.connectors.ingress.uploads import heartbeat

BEAT = "/v1/devices/dev-1/heartbeat"


def beat() -> bytes:
    return msgspec.json.encode(heartbeat(boot_id=uuid4().hex))


@pytest.fixture(scope="module")
def open_world(world: World) -> Iterator[Secured]:
    """Behind a proxy that is trusted."""
    with securing(world, trusted="127.0.0.0/8") as made:
        yield made


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
    """Behind a proxy that is trusted."""
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
    """Behind a proxy that is trusted."""
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


def test_two_forwarded_certificates_are_none(secured: Secured) -> None:
    """One that the client had sent, and the proxy's own: which is whose can't be told."""
    one, other, body = secured.world.enrolled("dev-1"), secured.world.enrolled("dev-1"), beat()
    sent = [("Client-Cert", client_cert(one)), ("Client-Cert", client_cert(other)), ("Content-Type", "application/json")]
    sent += [(name.replace("_", "-"), value) for name, value in signed(other, "POST", BEAT, body).items()]
    answer = httpx.post(f"http://127.0.0.1:{secured.served.port}{BEAT}", content=body, headers=sent)
    assert told(answer) == (403, "CERTIFICATE_UNKNOWN")
