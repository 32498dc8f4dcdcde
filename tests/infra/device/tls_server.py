"""The fake fleet over real TLS, as three servers: registration, data (which asks for the device's certificate), ledger."""

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from connectors.registration.configuration import detached
from connectors.signing_keys import SigningKeys
from infra.device.calls import Answer, Call, Unreachable
from infra.device.keystore import private_pem
from tests.infra.device.fake_fleet import FakeFleet, answer, refusal


@dataclass
class Servers:
    """`seen`: (device named by the certificate shown, method, path, headers, body) of each request on the data server."""

    fleet: FakeFleet
    roots: Path
    registration: str = ""
    data: str = ""
    ledger: str = ""
    seen: list[tuple[str, str, str, dict[str, str], bytes]] = field(default_factory=list)
    instead: dict[str, Answer] = field(default_factory=dict)
    signer: SigningKeys = field(default_factory=SigningKeys)

    def on_data(self, device_id: str, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        self.seen.append((device_id, method, path, headers, body))
        if (given := self.instead.get(path.rsplit("/", 1)[1])) is not None:
            return given
        key = headers.get("Idempotency-Key", "")
        if key and key in self.fleet.answers:
            return self.fleet.answers[key]
        if "/certificate/" in path:
            request = x509.load_pem_x509_csr(json.loads(body)["csr"].encode())
            made = answer(self.fleet.bundle(device_id, self.fleet.ca.issue(request.public_key(), device_id)))
            self.fleet.answers[key] = made
            return made
        if path.endswith("/certificate"):
            return self.fleet.answers[list(self.fleet.answers)[-1]]
        if path == "/.well-known/jwks.json":
            return Answer(200, json.dumps(self.signer.public_keys().as_dict(private=False)).encode())
        if "/config/" in path:
            body = json.dumps({"device_id": device_id, "version": "1", "config": {"path": path}}).encode()
            return Answer(200, body, signature=detached(self.signer, body))
        return answer({"path": path, "status": "ok"})


@contextmanager
def serving(folder: Path, fleet: FakeFleet) -> Iterator[Servers]:
    (folder / "roots.pem").write_text(fleet.ca.pem)
    servers = Servers(fleet, folder / "roots.pem")
    certificate = server_certificate(folder, fleet)
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    plain.load_cert_chain(certificate)
    mutual = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    mutual.load_cert_chain(certificate)
    mutual.load_verify_locations(folder / "roots.pem")
    mutual.verify_mode = ssl.CERT_REQUIRED

    def entry(path: str) -> Answer:
        (serial,) = parse_qs(urlsplit(path).query)["serial"]
        found = fleet.ledger.entries.get(serial)
        if found is None:
            return refusal("CERTIFICATE_UNKNOWN", status=404)
        return answer({"serial": serial, "issued": {"leaf_index": 0, "entry": found.decode(), "inclusion_proof": []}})

    def register(handler: Any, body: bytes) -> Answer:
        return fleet.send(Call(handler.command, handler.path, body, handler.headers.get("Idempotency-Key", "")))

    def data(handler: Any, body: bytes) -> Answer:
        shown = x509.load_der_x509_certificate(handler.connection.getpeercert(True))
        (name,) = shown.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return servers.on_data(str(name.value), handler.command, handler.path, dict(handler.headers), body)

    with ExitStack() as stack:
        servers.registration = "https://" + stack.enter_context(_server(plain, register))
        servers.data = "https://" + stack.enter_context(_server(mutual, data))
        servers.ledger = "http://" + stack.enter_context(_server(None, lambda handler, body: entry(handler.path)))
        yield servers


@contextmanager
def _server(context: ssl.SSLContext | None, work: Any) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                told: Answer = work(self, body)
            except Unreachable:
                self.close_connection = True
                return
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(told.body)))
            self.send_header("Content-Type", "application/json")
            if told.signature:
                self.send_header("X-Config-Signature", told.signature)
            self.end_headers()
            self.wfile.write(told.body)

        do_GET = do_POST

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def server_certificate(folder: Path, fleet: FakeFleet) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(fleet.ca.name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(minutes=1))
    made = made.not_valid_after(now + datetime.timedelta(days=1)).add_extension(names, True)
    file = folder / "server.pem"
    file.write_bytes(private_pem(key) + made.sign(fleet.ca.key, hashes.SHA256()).public_bytes(Encoding.PEM))
    return file
