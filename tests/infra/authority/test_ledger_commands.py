"""`fleetlog ledger` and `fleetlog witness` on a real stack."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from connectors.witness_files import WitnessFiles
from infra import authority, ledger_tools
from infra.cli.main import parser
from infra.settings import Settings
from infra.stack.harness import Stack
from infra.witness import WitnessOptions, WitnessProcess
from schemas.registration_commands import RecordCertificate
from schemas.transparency.merkle import leaf_hash
from schemas.transparency.notes import LOG, Signer
from streams.ledger.machine import REGISTRATION
from tests.infra.authority.fleet import Fleet

pytestmark = pytest.mark.stack
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(stack: Stack, capsys: pytest.CaptureFixture[str]) -> Run:
    def made(*arguments: str) -> tuple[int, str, str]:
        options = parser().parse_args([*arguments])
        code = int(options.run(options, stack.settings))
        return code, *capsys.readouterr()

    return made


@pytest.fixture(scope="module")
def device(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordCertificate, Path]:
    """A device's certificate, and the file that it is in."""
    command = fleet.issue(40)
    fleet.send(command)
    mine = fleet.wait_for(REGISTRATION, 1, RecordCertificate, lambda record: record.hardware_id == "SN-40")
    record = mine[0]
    file = tmp_path_factory.mktemp("devices") / "device.pem"
    certificate = x509.load_der_x509_certificate(record.certificate)
    chain = x509.load_der_x509_certificate(record.chain[0])
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + chain.public_bytes(Encoding.PEM))
    fleet.head(record.tree_size)
    return record, file


def test_show(run: Run, device: tuple[RecordCertificate, Path]) -> None:
    code, out, _ = run("ledger", "show")
    assert code == 0
    assert device[0].serial in out
    told = json.loads(run("ledger", "show", "--last", "1", "--json")[1])
    assert [entry["leaf_index"] for entry in told["entries"]] == [told["tree_size"] - 1]


def test_a_proof_is_checked_without_the_network(
    run: Run, stack: Stack, device: tuple[RecordCertificate, Path], tmp_path: Path, fleet: Fleet
) -> None:
    record, certificate = device
    code, out, _ = run("ledger", "prove", record.serial)
    assert code == 0
    file, key = tmp_path / "proof.json", tmp_path / "key"
    file.write_text(out)
    key.write_text(fleet.key.text + "\n")
    check = ("ledger", "check", str(file), "--certificate", str(certificate))
    alone = Settings(data_dir=str(tmp_path), authority_port=1, kafka_port=1)
    options = parser().parse_args([*check, "--key", str(key)])
    assert options.run(options, alone) == 0
    options = parser().parse_args([*check])
    assert options.run(options, stack.settings) == 0
    for change in (("dev-40", "dev-41"), ('"leaf_index": ', '"leaf_index": 1'), ('"serial": "', '"serial": "1')):
        file.write_text(out.replace(*change))
        assert run(*check)[0] == 1
    assert run("ledger", "prove", "abc")[0] == 1
    assert run("ledger", "prove", "../x")[0] == 2


def test_verify_with_a_witness(run: Run, stack: Stack, fleet: Fleet, tmp_path: Path, device: object) -> None:
    options = WitnessOptions(f"{stack.settings.authority}/ledger", fleet.key, "witness.example/w", tmp_path, 1.0, 0.0)
    process = WitnessProcess(options, WitnessFiles(tmp_path))
    assert process.look()
    assert process.trouble == ""
    assert run("witness", "show", "--directory", str(tmp_path))[0] == 0
    code, out, err = run("ledger", "verify")
    assert (code, err) == (0, "")
    assert "it is as it was signed" in out
    told = json.loads(run("ledger", "verify", "--log-only", "--json")[1])
    assert (told["valid"], told["faults"]) == (True, [])


def test_verify_with_the_key_of_another_ledger(run: Run, device: object) -> None:
    other = Signer("fleetlog.local/ledger", LOG, Ed25519PrivateKey.generate()).key
    code, _, err = run("ledger", "verify", "--key", other.text)
    assert code == 1
    assert "not signed by fleetlog.local/ledger" in err


def test_audit(run: Run, device: tuple[RecordCertificate, Path], stack: Stack, tmp_path: Path) -> None:
    _, certificate = device
    code, out, _ = run("ledger", "audit", str(certificate.parent))
    assert (code, out) == (0, "1 certificates, 0 findings\n")
    code, out, _ = run("ledger", "audit", str(certificate), "--days", "91")
    assert code == 1
    assert "expiring" in out
    server = Path(stack.settings.data_dir) / "pki" / "server.pem"
    findings = json.loads(run("ledger", "audit", str(server), "--json")[1])["findings"]
    assert [finding["kind"] for finding in findings] == ["not_in_ledger"]
    assert run("ledger", "audit", str(tmp_path / "nothing"))[0] == 2
    assert run("ledger", "audit")[0] == 0


class Frozen:
    """A server that shows one checkpoint."""

    def __init__(self, checkpoint: str) -> None:
        self._checkpoint = checkpoint

    def checkpoint(self) -> str:
        return self._checkpoint


@pytest.mark.parametrize("lie", ["rolled_back", "forked", "ahead"])
def test_verify_finds_a_served_checkpoint_that_lies(
    stack: Stack, fleet: Fleet, device: object, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    """Signed by the ledger's own key: somebody has it."""
    held = ledger_tools.read_ledger(stack.settings, fleet.key)
    assert not held.faults
    tree, sign = held.state.tree, authority.signer(stack.settings).checkpoint
    shown, wanted = {
        "rolled_back": (sign(tree.size - 1, tree.root(tree.size - 1)), "rolled back, or not followed"),
        "forked": (sign(tree.size, leaf_hash(b"other")), "is of another tree"),
        "ahead": (sign(tree.size + 1_000, leaf_hash(b"other")), "the log holds"),
    }[lie]
    monkeypatch.setattr(ledger_tools, "LedgerClient", lambda url: Frozen(shown))
    monkeypatch.setattr(ledger_tools, "SETTLE_SECONDS", 0.3)
    found = ledger_tools.verify(stack.settings, fleet.key, "http://127.0.0.1:1", None)
    assert any(wanted in fault.detail for fault in found.faults), found.faults
