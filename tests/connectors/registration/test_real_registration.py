"""Registration on the real broker, registry, store, worker and authority: whole flows, the document's examples, retries over
deaths."""

import base64
import signal
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import KeySet

from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from schemas import device_uri
from tests.connectors.ingress.curl import curls
from tests.connectors.ingress.uploads import heartbeat
from tests.connectors.registration.devices import Sender, text
from tests.shared_stack import SharedStack
from tests.streams.registration.keyring import key

pytestmark = pytest.mark.stack
DOCUMENT = Path(__file__).parents[3] / "docs/registration-api.md"
SERVICES = ("broker", "redis", "registry", "topics", "schemas", "ingress", "workers", "authority")
PATH = "/v1/devices/claim-token"


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(clickhouse_host="127.0.0.1", views="registrations,certificates", request_deadline=30)
    with shared_stack.lend(tmp_path_factory.mktemp("registration"), only=SERVICES, settings=settings) as running:
        yield running


@pytest.fixture
def owner(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.settings.ingress, headers={"X-API-Key": api_key(stack.settings)}, timeout=60) as made:
        yield made


@pytest.fixture
def anonymous(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.settings.ingress, timeout=60) as made:
        yield made


def checked(bundle: dict[str, Any], device: Sender) -> None:
    """The certificate is of the device and its key."""
    certificate = x509.load_pem_x509_certificate(bundle["device_certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [device_uri.of(device.device_id)]
    assert certificate.public_key() == device.key.private.public_key()
    assert f"{certificate.serial_number:x}" == bundle["serial"]
    assert len(x509.load_pem_x509_certificates(bundle["ca_certificate"].encode())) >= 1
    assert bundle["ledger"]["checkpoint"].count("\n") >= 4


def test_a_claim_and_a_pre_registration(owner: httpx.Client, anonymous: httpx.Client) -> None:
    made = owner.post(PATH, json={}).json()
    device = Sender(anonymous, "REAL-1")
    checked(device.registered(made["claim_token"]), device)
    status = status_of(owner, made["status_url"], "success")
    assert (status["progress"], status["device_id"]) == (90, "dev-REAL-1")
    known = Sender(anonymous, "REAL-2")
    body = {"serial_number": "REAL-2", "public_key": text(known.key.public), "owner": "alice"}
    assert owner.post("/v1/devices/pre-registrations", json=body).status_code == 201
    known.initiate()
    challenge = known.validate(proof=known.proof()).json()["challenge"]
    checked(known.confirm(challenge).json(), known)


def status_of(client: httpx.Client, url: str, wanted: str, progress: int = 0) -> dict[str, Any]:
    """What is told of a claim when the view has come to it."""
    until = time.monotonic() + 20
    while True:
        found = dict(client.get(url).json())
        if found["status"] == wanted and found["progress"] >= progress:
            return found
        assert time.monotonic() < until, found
        time.sleep(0.05)


def test_a_device_with_its_certificate(stack: Stack, owner: httpx.Client, anonymous: httpx.Client, tmp_path: Path) -> None:
    made = owner.post(PATH, json={}).json()
    device = Sender(anonymous, "REAL-3")
    bundle = device.registered(made["claim_token"])
    with with_certificate(stack, device, bundle, tmp_path) as own:
        path = f"/v1/devices/{device.device_id}"
        sequence = 0
        until = time.monotonic() + 30
        while own.post(f"{path}/heartbeat", json=heartbeat(sequence=sequence)).status_code != 200:
            assert time.monotonic() < until  # the ledger's view has not come to the certificate
            time.sleep(0.2)
        assert status_of(owner, made["status_url"], "success", 100)["progress"] == 100
        assert own.post(f"{path}/state", json={"state": "updating"}).json()["previous"] == "operational"
        early = own.post(f"{path}/certificate/renew", json={"csr": text(device.key.csr())})
        assert (early.status_code, early.json()["code"]) == (409, "RENEWAL_EARLY")
        configured = own.get(f"/v1/devices/config/{device.device_id}")
        keys = KeySet.import_key_set(owner.get("/.well-known/jwks.json").json())
        payload = base64.urlsafe_b64encode(configured.content).rstrip(b"=").decode()
        signed = configured.headers["x-config-signature"].replace("..", f".{payload}.")
        assert jws.deserialize_compact(signed, keys, algorithms=["ES256"]).payload == configured.content
        assert own.get("/v1/devices/config/dev-REAL-1").status_code in (403, 404)


def with_certificate(stack: Stack, device: Sender, bundle: dict[str, Any], folder: Path) -> httpx.Client:
    """A client of the data listener."""
    file = folder / "device.pem"
    private = device.key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    file.write_text(private + bundle["device_certificate"] + bundle["ca_certificate"], "ascii")
    context = ssl.create_default_context(cafile=str(stack.settings.data / "pki" / "ca.pem"))
    context.load_cert_chain(file)
    return httpx.Client(base_url=f"https://{stack.settings.host}:{stack.settings.data_port}", verify=context, timeout=60)


def test_a_worker_that_dies_loses_no_answer(stack: Stack, owner: httpx.Client) -> None:
    def ask(number: int) -> httpx.Response:
        return owner.post(PATH, json={}, headers={"Idempotency-Key": f"worker-{number}"})

    with ThreadPoolExecutor(8) as pool:
        under_way = [pool.submit(ask, number) for number in range(40)]
        stack.kill("worker-0", signal.SIGKILL)
        answers = [one.result() for one in under_way]
        stack.wait_healthy("worker-0", 60)
        again = list(pool.map(ask, range(40)))
    assert {answer.status_code for answer in again} == {201}
    for first, second in zip(answers, again, strict=True):
        assert first.status_code in (201, 504)
        if first.status_code == 201:
            assert first.json() == second.json()
    assert len({answer.json()["claim_id"] for answer in again}) == 40


def test_an_ingress_that_dies_is_asked_again(stack: Stack, owner: httpx.Client) -> None:
    headers = {"Idempotency-Key": "ingress-1"}
    first = owner.post(PATH, json={}, headers=headers).json()
    stack.kill("ingress", signal.SIGKILL)
    stack.wait_healthy("ingress", 60)
    until = time.monotonic() + 60
    while True:
        try:
            assert owner.post(PATH, json={}, headers=headers).json() == first
            return
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_the_examples_of_the_documentation_run(stack: Stack, owner: httpx.Client) -> None:
    """Sends what the curl commands of docs/registration-api.md send; what their variables hold comes from the answers."""
    own = key("ec", 4711)
    known = {
        "URL": stack.settings.ingress,
        "KEY": api_key(stack.settings),
        "PUBLIC": text(own.public),
        "CSR": text(own.csr()),
        "CLAIM": "",
    }
    statuses = []
    with httpx.Client(timeout=60) as client:
        for command in curls(DOCUMENT, known):
            answer = command.send(client)
            statuses.append((command.url.removeprefix(stack.settings.ingress), answer.status_code))
            told = answer.json()
            known |= {"CLAIM": told.get("claim_id", known["CLAIM"]), "SESSION": told.get("session_id", "")}
            known |= {"TOKEN": told.get("claim_token", known.get("TOKEN", ""))}
            if "challenge" in told:
                known["SIGNATURE"] = text(own.sign(base64.b64decode(told["challenge"])))
    assert statuses == [
        ("/v1/devices/claim-token", 201),
        (f"/v1/devices/claim-status/{known['CLAIM']}", 200),
        ("/v1/devices/register/initiate", 201),
        ("/v1/devices/register/validate", 200),
        ("/v1/devices/register/confirm", 200),
        ("/v1/devices/config/dev-SN-0001", 200),
        ("/v1/devices/pre-registrations", 201),
        ("/v1/devices/pre-registrations", 200),
        ("/v1/certificates/revocations", 201),
    ]
