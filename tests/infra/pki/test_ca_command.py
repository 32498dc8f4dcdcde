"""`fleetlog ca`."""

import json
from pathlib import Path

import pytest
from cryptography import x509

from infra import pki
from infra.cli.main import main
from infra.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEETLOG_DATA_DIR", str(tmp_path))
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, dict[str, str]]]:
    assert main(["ca", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_init_show_roll_and_trust(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = told(capsys, "init")
    assert list(made["certificates"]) == ["devices-1", "listeners", "root", "servers"]
    assert told(capsys, "show") == made
    rolled = told(capsys, "roll")
    assert rolled["signs"] == "devices-2"
    assert rolled["certificates"]["devices-1"] == made["certificates"]["devices-1"]
    assert main(["ca", "trust"]) == 0
    trusted = x509.load_pem_x509_certificates(capsys.readouterr().out.encode())
    assert trusted == [pki.at(Settings(data_dir=str(folder))).certificate("root")]
    assert main(["ca", "trust", "--clients"]) == 0
    assert len(x509.load_pem_x509_certificates(capsys.readouterr().out.encode())) == 3
    assert main(["ca", "show"]) == 0
    assert "devices-2" in capsys.readouterr().out


@pytest.mark.parametrize("action", ["show", "trust"])
def test_nothing_is_there(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ca", action]) == 1
    assert "fleetlog ca init" in capsys.readouterr().err


def test_a_key_that_can_t_be_opened(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["ca", "init"]) == 0
    monkeypatch.setenv("FLEETLOG_CA_PASSPHRASE", "another")
    assert main(["ca", "roll"]) == 2
    assert "can't be opened" in capsys.readouterr().err
