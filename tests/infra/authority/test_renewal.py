"""The listeners' certificate is renewed while the processes run, and shown to who connects next."""

import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors import private_files
from connectors.authority import profiles
from connectors.http.tls import ServerTls, TlsFiles
from infra import authority, pki
from infra.pki_making import SERVERS
from infra.settings import Settings
from infra.stack.harness import Stack

pytestmark = pytest.mark.stack
LIFE_SECONDS = 90


def short_lived(settings: Settings) -> x509.Certificate:
    """A listeners' certificate that ends soon, in the place of the one there is."""
    files, now = pki.at(settings), datetime.now(UTC).replace(microsecond=0)
    parent = profiles.Parent(files.certificate(SERVERS), pki.keys(settings).signer(SERVERS), settings.authority)
    key = ec.generate_private_key(ec.SECP256R1())
    lived = profiles.Life(now - timedelta(hours=1), now + timedelta(seconds=LIFE_SECONDS))
    made = profiles.server(parent, settings.server_names, key.public_key(), x509.random_serial_number(), lived)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private_files.replace(files.server, private + made.public_bytes(Encoding.PEM))
    return made


def certificate(tls: ServerTls) -> x509.Certificate:
    """What the listener would show to who connects now."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server)
    far = tls.context().wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = near.getpeercert(binary_form=True)
    assert found is not None
    return x509.load_der_x509_certificate(found)


def test_a_running_authority_renews_it_and_listeners_show_the_new_one(stack: Stack) -> None:
    pid, files = stack.pid("authority"), pki.at(stack.settings)
    old = short_lived(stack.settings)
    tls = ServerTls(TlsFiles(files.server, files.server))
    assert certificate(tls) == old
    while (new := certificate(tls)) == old:
        assert datetime.now(UTC) < old.not_valid_after_utc, f"not renewed in time, every {authority.RENEW_SECONDS:g} s"
        time.sleep(0.2)
    assert new.not_valid_after_utc > old.not_valid_after_utc + timedelta(days=30)
    assert stack.pid("authority") == pid
