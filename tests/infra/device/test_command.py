"""`fleetlog device`: the whole life of a device by commands, and what each says when it can't."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.cli.main import main
from tests.infra.device.fake_fleet import FakeFleet, refusal
from tests.infra.device.tls_server import Servers, serving

Fleetlog = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    with serving(tmp_path, FakeFleet({"t", "123456"})) as made:
        yield made


@pytest.fixture
def fleetlog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fleetlog:
    """Runs a command; gives its exit code, its JSON and what it says on standard error."""
    monkeypatch.setenv("FLEETLOG_DATA_DIR", str(tmp_path / "data"))

    def run(*arguments: str) -> tuple[int, Any, str]:
        code = main(["device", *arguments, "--json", "--tries", "0"])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return run


def where(servers: Servers) -> list[str]:
    places = ["--server", servers.registration, "--data", servers.data, "--authority", servers.ledger]
    return [*places, "--ca", str(servers.roots), "--ledger-key", servers.fleet.ledger.signer.key.text]


def test_the_life_of_a_device(servers: Servers, fleetlog: Fleetlog, tmp_path: Path) -> None:
    code, said, _ = fleetlog("keygen", "--algorithm", "ed25519")
    assert (code, len(said["sha256"])) == (0, 64)
    assert said["public_key"].startswith("-----BEGIN PUBLIC KEY-----")
    assert Path(said["key"]) == tmp_path / "data" / "device" / "key.pem"
    code, said, _ = fleetlog("register", "--claim-token", "t", "--hardware-id", "SN-9", *where(servers))
    assert (code, said["registered"], said["device_id"], said["key_algorithm"]) == (0, True, "dev-SN-9", "Ed25519")
    assert fleetlog("heartbeat")[0] == 0
    assert fleetlog("config")[1]["config"]["path"] == "/v1/devices/config/dev-SN-9"
    assert fleetlog("token")[0] == 0
    code, said, _ = fleetlog("renew")
    assert (code, said["renewed"]) == (0, False)
    serial = said["serial"]
    code, said, _ = fleetlog("renew", "--now")
    assert (code, said["renewed"], said["serial"] != serial) == (0, True, True)
    code, said, _ = fleetlog("rotate", "--algorithm", "p256")
    assert (code, said["key_algorithm"]) == (0, "EC P-256")
    assert fleetlog("status")[1] == said
    assert fleetlog("fetch")[1] == {"fetched": False} | said


def test_by_pin_and_by_a_key_that_is_known(servers: Servers, fleetlog: Fleetlog, tmp_path: Path) -> None:
    by_pin = ("register", "--claim-id", "claim-1", "--hardware-id", "SN-1", "--dir", str(tmp_path / "1"), *where(servers))
    code, _, err = fleetlog(*by_pin)
    assert (code, "--claim-id needs --pin" in err) == (2, True)
    assert fleetlog(*by_pin, "--pin", "123456")[1]["device_id"] == "dev-SN-1"
    known = ("--pre-registered", "--hardware-id", "SN-2", "--dir", str(tmp_path / "2"))
    assert fleetlog("register", *known, *where(servers))[1]["device_id"] == "dev-SN-2"


def test_the_fingerprint_says_what_is_missing(fleetlog: Fleetlog) -> None:
    code, said, _ = fleetlog("fingerprint")
    assert code == 0
    assert "tpm_attestation" in said["missing"]


@pytest.mark.parametrize(("code", "exit_code"), [("REG-003", 1), ("REG-001", 1), ("REG-005", 3), ("REG-006", 3)])
def test_a_refusal_is_told_with_its_code_and_what_to_do(
    servers: Servers, fleetlog: Fleetlog, code: str, exit_code: int
) -> None:
    servers.fleet.refuse = lambda _: refusal(code)
    found, said, err = fleetlog("register", "--claim-token", "t", "--hardware-id", "SN-1", *where(servers))
    assert (found, said) == (exit_code, None)
    assert err.startswith(f"fleetlog: {code}: ")
    assert "Traceback" not in err


def test_what_is_missing_is_told(fleetlog: Fleetlog, servers: Servers, tmp_path: Path) -> None:
    assert fleetlog("status")[1]["registered"] is False
    for action in ("heartbeat", "config", "token", "renew", "rotate"):
        code, _, err = fleetlog(action)
        assert (code, "device.json does not exist" in err) == (2, True)
    fleetlog("keygen")
    code, _, err = fleetlog("keygen")
    assert (code, "never written over" in err) == (2, True)
    code, _, err = fleetlog("register", "--claim-token", "t", "--hardware-id", "SN-1")
    assert (code, "ledger.pub" in err) == (2, True)
    away = [*where(servers), "--server", "https://127.0.0.1:1"]
    code, _, err = fleetlog("register", "--claim-token", "t", "--hardware-id", "SN-1", *away)
    assert (code, "no answer" in err) == (3, True)
