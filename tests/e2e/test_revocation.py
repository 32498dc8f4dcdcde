"""How soon a revocation counts: from the event in the ledger to the refusal at the data listener, on a real stack."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from cryptography import x509

from infra import pki
from infra.settings import Settings
from infra.stack.harness import Stack
from schemas.certificate_messages import CertificateIssued, CertificateRevoked
from streams.ledger.machine import EVENTS
from tests.connectors.ingress.tls_world import Held, Reply, TlsClient, ask
from tests.connectors.ingress.uploads import heartbeat
from tests.infra.authority.fleet import Fleet
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
PARTS = ("broker", "redis", "registry", "topics", "schemas", "authority", "ingress", "workers")
BEAT = "/v1/devices/dev-1/heartbeat"
MOST_SECONDS = 2.0


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # No deciders: that of registration would have a certificate revoked for which no registration waits.
    settings = Settings(views="certificates", deciders="none", limit_heartbeats=0)
    with shared_stack.lend(tmp_path_factory.mktemp("revocation"), only=PARTS, settings=settings) as made:
        yield made


class Noticed(threading.Thread):
    """Notices when a revocation is in the log."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__()
        self._fleet = fleet
        self.at = float("inf")

    def run(self) -> None:
        self._fleet.wait_for(EVENTS, 1, CertificateRevoked)
        self.at = time.monotonic()


def test_a_revoked_certificate_is_refused_within_two_seconds_on_a_connection_that_is_open(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = Fleet(stack.settings)
    fleet.send(fleet.issue(1))
    (issued,) = fleet.wait_for(EVENTS, 1, CertificateIssued)
    assert isinstance(issued, CertificateIssued)
    held = Held(x509.load_der_x509_certificate(issued.certificate), fleet.keys[1])
    device = TlsClient(stack.settings.data_port, pki.at(stack.settings).trust.read_bytes(), tmp_path, held)
    with device.connected() as connection:
        assert beat(connection).status == 200  # also while the view comes to it
        noticed = Noticed(fleet)
        noticed.start()
        asked = time.monotonic()
        fleet.send(fleet.revoke(issued.serial))
        while (reply := beat(connection)).status == 200:
            assert time.monotonic() - min(noticed.at, asked + 20) < MOST_SECONDS
            time.sleep(0.02)
        refused = time.monotonic()
    noticed.join(20)
    assert (reply.status, reply.code) == (403, "CERTIFICATE_REVOKED")
    assert refused - noticed.at < MOST_SECONDS
    with capsys.disabled():
        print(f"revoked: {refused - asked:.2f} s after the command, {refused - noticed.at:.2f} s after the event was seen")


def beat(connection: socket.socket) -> Reply:
    return ask(connection, "POST", BEAT, msgspec.json.encode(heartbeat(boot_id=uuid4().hex)))
