"""Who gets in over TLS, and who doesn't, over real sockets."""

import socket
import ssl
import time
from datetime import timedelta

import msgspec
import pytest

from connectors.http.peer import REGISTRATION
from tests.connectors.ingress.served import KEY
from tests.connectors.ingress.tls_served import Secured, World, securing
from tests.connectors.ingress.tls_world import DAY, Authority, Held, TlsClient, ask, now, self_signed
from tests.connectors.ingress.uploads import heartbeat

BEAT = "/v1/devices/dev-1/heartbeat"


def beat(boot_id: str) -> bytes:
    return msgspec.json.encode(heartbeat(boot_id=boot_id))


def refused(client: TlsClient) -> None:
    """The handshake fails, or (TLS 1.3, where the server speaks last) the first request does."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        client.ask("GET", "/health/live")


def kinds_within(secured: Secured, count: int, seconds: float = 5.0) -> list[str]:
    until = time.monotonic() + seconds
    while len(secured.kinds()) < count and time.monotonic() < until:
        time.sleep(0.01)
    return secured.kinds()


# --- in


def test_a_device_of_the_ledger_uploads_with_its_certificate_alone(secured: Secured) -> None:
    device = secured.client(secured.world.enrolled("dev-1"))
    reply = device.ask("POST", BEAT, beat("mtls"))
    assert reply.status == 200, reply.body
    with device.connected() as connection:
        assert connection.version() == "TLSv1.3"
        assert [ask(connection, "GET", "/health/live").status for _ in range(3)] == [200] * 3
    assert secured.kinds() == []


def test_the_registration_listener_asks_for_no_certificate_and_has_no_device_routes(secured: Secured) -> None:
    client = secured.client(listener=REGISTRATION)
    assert client.ask("GET", "/.well-known/jwks.json").status == 200
    assert client.ask("POST", BEAT, beat("no"), X_API_Key=KEY).status == 404


@pytest.mark.parametrize("path", ["/metrics", "/topics", "/openapi.json", "/v1/log"])
def test_the_data_listener_has_the_devices_routes_alone(secured: Secured, path: str) -> None:
    device = secured.client(secured.world.enrolled("dev-1"))
    assert device.ask("GET", path, X_API_Key=KEY).status == 404


def test_the_plain_listener_takes_api_keys_as_before(secured: Secured) -> None:
    assert secured.served.post(BEAT, heartbeat(boot_id="plain")).status_code == 200


# --- not in


def test_no_client_certificate(secured: Secured) -> None:
    refused(secured.client())
    assert kinds_within(secured, 1) == ["unknown_certificate"]
    assert secured.seen()[0]["key"] == b"127.0.0.1"


def foreign(world: World) -> Held:
    return Authority().device("dev-1")


def alone(world: World) -> Held:
    return self_signed("dev-1")


def of_server(world: World) -> Held:
    return world.authority.server()


@pytest.mark.parametrize("made", [foreign, alone, of_server])
def test_a_certificate_of_another_authority_or_for_another_use(secured: Secured, made: "type[Held]") -> None:
    refused(secured.client(made(secured.world)))
    assert kinds_within(secured, 1) == ["unknown_certificate"]


def test_tls_1_2_is_off_unless_it_is_set(secured: Secured) -> None:
    held = secured.world.enrolled("dev-1")
    refused(secured.client(held, maximum=ssl.TLSVersion.TLSv1_2))
    with securing(secured.world, minimum="1.2") as other:
        client = other.client(held, maximum=ssl.TLSVersion.TLSv1_2)
        assert client.ask("POST", BEAT, beat("1.2")).status == 200
        with client.connected() as connection:
            assert connection.version() == "TLSv1.2"


def test_plain_http_on_a_tls_listener_is_counted(secured: Secured) -> None:
    with socket.create_connection(("127.0.0.1", secured.client().port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not connection.recv(100).startswith(b"HTTP")
    name = 'fleetlog_ingress_tls_failures_total{listener="data",reason="protocol"}'
    assert secured.served.metric(name) >= 1
    assert secured.kinds() == []


def test_a_certificate_that_the_ledger_does_not_show(secured: Secured) -> None:
    held = secured.world.authority.device("dev-1")
    reply = secured.client(held).ask("POST", BEAT, beat("unknown"))
    assert (reply.status, reply.code) == (403, "CERTIFICATE_UNKNOWN")
    assert secured.kinds() == ["unknown_certificate"]


def test_a_certificate_that_comes_into_the_ledger_while_it_is_asked_for(secured: Secured) -> None:
    held = secured.world.authority.device("dev-1")
    secured.world.memory.lag = 3
    with secured.client(held).connected() as connection:
        secured.served.loop.call_soon_threadsafe(secured.served.loop.call_later, 0.3, secured.world.enter, held, "dev-1")
        started = time.monotonic()
        assert ask(connection, "POST", BEAT, beat("entered")).status == 200
    assert time.monotonic() - started > 0.2


def test_a_view_that_lags_behind_the_ledger_makes_no_stranger_of_a_device(secured: Secured) -> None:
    """Killed workers, a rebuild: the device's certificate may be in the ledger, and it is no intruder."""
    held = secured.world.authority.device("dev-1")
    secured.world.memory.lag = 1
    reply = secured.client(held).ask("POST", BEAT, beat("lagging"))
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
    assert secured.kinds() == []
    secured.world.memory.lag = 0
    assert secured.client(held).ask("POST", BEAT, beat("caught up")).status == 403
    assert secured.kinds() == ["unknown_certificate"]


def test_another_key_under_a_serial_number_of_the_ledger(secured: Secured) -> None:
    held, other = secured.world.authority.device("dev-1"), secured.world.enrolled("dev-1")
    secured.world.memory.certificates[held.serial] = other.record("dev-1")
    reply = secured.client(held).ask("POST", BEAT, beat("other key"))
    assert (reply.status, reply.code) == (403, "CERTIFICATE_UNKNOWN")


def test_an_expired_certificate(secured: Secured) -> None:
    held = secured.world.authority.device("dev-1", now() - 3 * DAY, now() - timedelta(seconds=5))
    secured.world.enter(held, "dev-1")
    reply = secured.client(held).ask("POST", BEAT, beat("expired"))
    assert (reply.status, reply.code) == (403, "CERTIFICATE_EXPIRED")
    assert secured.kinds() == ["expired_certificate"]
    assert secured.seen()[0]["device_id"] == "dev-1"


def test_an_authority_that_has_expired_is_not_trusted(world: World) -> None:
    expired = Authority(ends=now() - timedelta(seconds=5))
    held = expired.device("dev-1")
    world.enter(held, "dev-1")
    (world.folder / "trust.pem").write_bytes(world.authority.pem() + expired.pem())
    with securing(world) as secured:
        refused(secured.client(held))
    (world.folder / "trust.pem").write_bytes(world.authority.pem())


def test_the_path_of_another_device(secured: Secured) -> None:
    device = secured.client(secured.world.enrolled("dev-2"))
    for path in (BEAT, "/v1/devices/dev%2D1/heartbeat", "/v1/devices/dev-1/token"):
        reply = device.ask("POST", path, beat("wrong"))
        assert (reply.status, reply.code) == (403, "WRONG_DEVICE")
    (event,) = secured.seen()
    assert (event["kind"], event["subject"], event["address"]) == ("wrong_device", "dev-2", "127.0.0.1")


@pytest.mark.parametrize(
    "names", [("urn:fleetlog:device:a", "urn:fleetlog:device:b"), ("urn:other:dev-1",), ("urn:fleetlog:device:../x",)]
)
def test_a_certificate_that_names_not_one_device(secured: Secured, names: tuple[str, ...]) -> None:
    held = secured.world.authority.device("dev-1", names=names)
    secured.world.enter(held, "dev-1")
    reply = secured.client(held).ask("POST", BEAT, beat("names"))
    assert (reply.status, reply.code) == (403, "CERTIFICATE_UNKNOWN")


def test_a_revoked_certificate_on_a_connection_that_is_open_already(secured: Secured) -> None:
    held = secured.world.enrolled("dev-1")
    with secured.client(held).connected() as connection:
        assert ask(connection, "POST", BEAT, beat("before")).status == 200
        secured.world.enter(held, "dev-1", revoked=1)
        started = time.monotonic()
        while (reply := ask(connection, "POST", BEAT, beat("before"))).status == 200:
            assert time.monotonic() - started < 2.0
    assert (reply.status, reply.code) == (403, "CERTIFICATE_REVOKED")
    assert secured.kinds() == ["revoked_certificate"]


# --- while things change


def test_while_the_ledgers_view_is_away_the_last_word_counts_for_a_while(world: World) -> None:
    known, unknown = world.enrolled("dev-1"), world.enrolled("dev-1")
    with securing(world, grace=3.0) as secured:
        device = secured.client(known)
        assert device.ask("POST", BEAT, beat("before")).status == 200
        world.memory.away = "stopped"
        try:
            time.sleep(0.6)
            assert device.ask("POST", BEAT, beat("while")).status == 200
            reply = secured.client(unknown).ask("POST", BEAT, beat("never asked"))
            assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "UNAVAILABLE", "1")
            time.sleep(2.7)
            assert device.ask("POST", BEAT, beat("after")).status == 503
        finally:
            world.memory.away = ""
        assert device.ask("POST", BEAT, beat("again")).status == 200


def test_certificates_that_change_are_read_without_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    world = World(tmp_path_factory.mktemp("rolled"))
    following = Authority("the next one")
    old, new = world.enrolled("dev-1"), following.device("dev-1")
    world.enter(new, "dev-1")
    with securing(world) as secured, secured.client(old).connected() as kept:
        refused(secured.client(new))
        (world.folder / "server.pem").write_bytes(b"half a file")
        (world.folder / "trust.pem").write_bytes(world.authority.pem() + following.pem())
        time.sleep(1.1)
        assert secured.client(old).ask("GET", "/health/live").status == 200
        (world.folder / "server.pem").write_bytes(following.server().pem())
        time.sleep(1.1)
        for held in (old, new):
            client = TlsClient(secured.client().port, following.pem(), world.folder, held)
            assert client.ask("POST", BEAT, beat("rolled")).status == 200
        assert ask(kept, "POST", BEAT, beat("rolled")).status == 200


def test_slow_handshakes_are_bounded_in_time_and_number(world: World) -> None:
    with securing(world, handshake_seconds=2.0) as secured:
        held = world.enrolled("dev-1")
        port = secured.client().port
        idle = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(30)]
        started = time.monotonic()
        for one in idle:
            one.settimeout(15)
            assert one.recv(10) == b""
            one.close()
        assert time.monotonic() - started < 20
        counted = (
            'tls_failures_total{listener="data",reason="too_many"} 10.0',
            'tls_failures_total{listener="data",reason="timeout"} 20.0',
        )
        # A client sees the end of its connection a moment before the listener has room for another.
        while not all(line in secured.served.client.get("/metrics").text for line in counted):
            assert time.monotonic() - started < 30
        assert secured.client(held).ask("GET", "/health/live").status == 200
