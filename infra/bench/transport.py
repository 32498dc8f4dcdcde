"""What TLS costs: heartbeats over mTLS beside the same over the plain listener, and whole handshakes beside the bare
cryptography.

Real broker, registry, Redis, one ingress process. The loads take turns, round after round; the median of the rounds counts.
"""

import ssl
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors import keys
from connectors.authority import profiles
from connectors.ports import Change
from connectors.redis_store import RedisKeyedStore
from infra import pki
from infra.api_key import api_key
from infra.bench import tls_load
from infra.bench.http_load import SLOT, Load, http_request, load
from infra.bench.report import Figures
from infra.certificate_records import VIEW
from infra.pki_files import Pki
from infra.settings import Settings
from infra.stack.harness import Stack, running_stack
from projections.updates import Newest, changes
from schemas.log import TopicPartition

PARTS = ("broker", "redis", "registry", "topics", "schemas", "ingress")
DEVICE = "bench-1"
PATH = f"/v1/devices/{DEVICE}/telemetry"
CONNECTIONS, HANDSHAKES = 64, 16  # that are kept; that are made anew at once
SHORTEST, ROUNDS, WARM_UP = 2.0, 5, 2.0  # seconds of one load at least; rounds at most; seconds before the first
BARE_SECONDS = 2.0
FAR = 1_000_000_000  # a limit that nobody reaches

ABOUT = f"""\
One ingress process; broker, Redis and the load generator share the machine with it. Single telemetry uploads over
connections that are kept ({CONNECTIONS}), answered when the broker has acknowledged.

- `fleetlog`: over mTLS (TLS 1.3, P-256 certificates), the certificate looked up in the ledger's view, counted under a limit;
- `plain`: the same uploads with an API key over the plain listener;
- handshakes per s: whole ones, each with one request (`GET /health/live`) on a connection of its own, {HANDSHAKES} at once;
- bare handshakes per s: OpenSSL's server and client in one thread, without sockets or HTTP: what a core can do at most;
- CPU ms: of the ingress process, for one request or handshake."""


def run(seconds: float) -> dict[str, Any]:
    """
    Raises:
        StackError: the stack can't be started.
        RuntimeError: the load generator failed, or an answer was other than 200.
    """
    limits = Settings(limit_uploads=FAR)
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=PARTS, settings=limits) as stack,
    ):
        own = enrolled(stack.settings, Path(directory))
        files = pki.at(stack.settings).trust, own
        loads, spent = _rounds(stack, files, seconds)
        bare = bare_handshakes(pki.at(stack.settings), own)
    return figures(loads, spent, bare).result()


def figures(loads: Mapping[str, list[Load]], spent: Mapping[str, float], bare: float) -> Figures:
    """`spent`: CPU seconds of the ingress under each load."""
    rates = {name: median(one.rate for one in several) for name, several in loads.items()}
    cpu = {f"{name}_cpu_ms": 1000 * spent[name] / sum(one.requests for one in loads[name]) for name in loads}
    return Figures(
        bench="transport",
        unit="requests/s",
        ours=rates["mtls"],
        peers={"plain": rates["plain"]},
        about=ABOUT,
        detail={
            "handshakes_per_s": rates["handshakes"],
            "bare_handshakes_per_s": bare,
            **cpu,
            "mtls_p50_ms": median(one.p50 for one in loads["mtls"]),
            "mtls_p99_ms": median(one.p99 for one in loads["mtls"]),
            "plain_p50_ms": median(one.p50 for one in loads["plain"]),
            "plain_p99_ms": median(one.p99 for one in loads["plain"]),
            "rounds": len(loads["mtls"]),
        },
    )


def _rounds(stack: Stack, files: tuple[Path, Path], seconds: float) -> tuple[dict[str, list[Load]], dict[str, float]]:
    settings = stack.settings
    plain_headers = {"X-API-Key": api_key(settings), "Content-Type": "application/json"}
    plain = http_request("POST", PATH, upload(), plain_headers)
    mtls = http_request("POST", PATH, upload(), {"Content-Type": "application/json"})
    live = http_request("GET", "/health/live")
    turns: dict[str, Callable[[float], Load]] = {
        "plain": lambda each: load(settings.ingress_port, plain, CONNECTIONS, each),
        "mtls": lambda each: tls_load.load(settings.data_port, mtls, CONNECTIONS, each, files, each=False),
        "handshakes": lambda each: tls_load.load(settings.data_port, live, HANDSHAKES, each, files, each=True),
    }
    count = max(1, min(ROUNDS, int(seconds / 3 / SHORTEST)))
    lasting = max(SHORTEST, seconds / 3 / count)
    for turn in turns.values():
        turn(WARM_UP / 3)
    loads: dict[str, list[Load]] = {name: [] for name in turns}
    spent = dict.fromkeys(turns, 0.0)
    for _ in range(count):
        for name, turn in turns.items():
            before = cpu_seconds(stack.pid("ingress"))
            done = turn(lasting)
            spent[name] += cpu_seconds(stack.pid("ingress")) - before
            if done.failures:
                raise RuntimeError(f"{done.failures} of {done.requests + done.failures} answers of {name} were no 200")
            loads[name].append(done)
    return loads, spent


def enrolled(settings: Settings, directory: Path) -> Path:
    """A device's certificate and key, as if it had registered; its file."""
    made, now = pki.ensure(settings), time.time_ns() // 1000
    name, issuer = list(made.issuing().items())[-1]
    key, serial = ec.generate_private_key(ec.SECP256R1()), x509.random_serial_number()
    parent = profiles.Parent(issuer, pki.keys(settings).signer(name), settings.authority)
    certificate = profiles.device(parent, DEVICE, key.public_key(), serial, profiles.life(now, 90))
    ends = int(certificate.not_valid_after_utc.timestamp()) * 1_000_000
    key_hash = keys.key_hash(keys.der(key.public_key())).hex()
    stated = {"device_id": DEVICE, "key_hash": key_hash, "not_after": ends}
    _enter(settings, f"{serial:x}", stated)
    file = directory / "device.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(private + b"".join(one.public_bytes(Encoding.PEM) for one in (certificate, issuer)))
    return file


def _enter(settings: Settings, serial: str, stated: Mapping[str, Any]) -> None:
    store = RedisKeyedStore(settings.redis, VIEW)
    store.prepare(1)
    fields = changes({}, {"certificate": Newest((0,), stated)})
    store.commit(1, TopicPartition("fleet.certificates", 0), 0, 1, {serial: Change(0, fields)})
    store.close()


def upload() -> bytes:
    at = b"1700000000000000"
    return b'{"occurred_at":%s,"boot_id":"%s","sequence":1,"readings":[{"metric":"t","at":%s,"value":1.5}]}' % (at, SLOT, at)


def bare_handshakes(made: Pki, own: Path) -> float:
    """Handshakes of OpenSSL with itself, a second; server and client in turns in this thread."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.server)
    server.load_verify_locations(made.clients)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(made.trust))
    client.load_cert_chain(own)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < BARE_SECONDS:
        _shake_hands(server, client)
        count += 1
    return count / (time.perf_counter() - started)


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname="localhost"),
        server.wrap_bio(there, back, server_side=True),
    ]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            ends.remove(end)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100  # user and system, in hundredths (USER_HZ)
