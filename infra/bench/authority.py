"""How fast the authority issues certificates for devices; beside the cryptography that an issue is made of."""

import tempfile
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from connectors import keys
from infra import pki
from infra.bench.report import Figures
from infra.settings import Settings
from schemas.certificate_messages import IssueCertificate

TURN = 200  # calls of one contestant before the other has its turn: so both see the same machine
CERTIFICATE_BYTES = 600  # what is signed of a device's certificate

ABOUT = """\
One thread issues certificates for one P-256 key: checks the certification request, builds the certificate, signs it with a
key in memory. `bare` is what no authority can do without: reads the request, verifies its signature, signs 600 bytes.
`server's key` makes the device's key, too, and seals it."""


def run(seconds: float) -> dict[str, Any]:
    """Measure for about `seconds`, all contestants in turns."""
    with tempfile.TemporaryDirectory() as folder:
        authority = pki.authority(Settings(data_dir=folder))
    key = ec.generate_private_key(ec.SECP256R1())
    asked = _command(key)
    sealed = msgspec.structs.replace(asked, key_mode="server", csr=None)
    contestants: dict[str, Callable[[], object]] = {
        "ours": lambda: authority.issue(asked),
        "bare": _bare(asked, key),
        "server's key": lambda: authority.issue(sealed),
    }
    rates = _rates(contestants, seconds)
    return Figures(
        bench="authority",
        ours=rates["ours"],
        peers={"server's key": rates["server's key"]},
        limits={"bare": rates["bare"]},
        unit="certificates/s",
        targets={"bare": 1 / 3},
        about=ABOUT,
    ).result()


def _rates(contestants: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    took = dict.fromkeys(contestants, 0.0)
    calls = 0
    until = time.perf_counter() + seconds
    while calls == 0 or time.perf_counter() < until:
        calls += TURN
        for name, call in contestants.items():
            start = time.perf_counter()
            for _ in range(TURN):
                call()
            took[name] += time.perf_counter() - start
    return {name: calls / one for name, one in took.items()}


def _bare(asked: IssueCertificate, key: ec.EllipticCurvePrivateKey) -> Callable[[], object]:
    csr, content = asked.csr or b"", bytes(CERTIFICATE_BYTES)

    def call() -> bytes:
        if not x509.load_der_x509_csr(csr).is_signature_valid:
            raise AssertionError("a good request is refused")
        return key.sign(content, ec.ECDSA(hashes.SHA256()))

    return call


def _command(key: ec.EllipticCurvePrivateKey) -> IssueCertificate:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return IssueCertificate(
        command_id=str(uuid4()),
        correlation_id=str(uuid4()),
        actor="bench",
        issued_at=time.time_ns() // 1000,
        hardware_id="bench",
        device_id="bench",
        session_id=str(uuid4()),
        purpose="registration",
        previous_serial=None,
        public_key=keys.der(key.public_key()),
        key_mode="csr",
        csr=request.public_bytes(Encoding.DER),
        owner=None,
        model=None,
    )
