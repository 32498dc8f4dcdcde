"""The public key infrastructure of a data directory: made once, kept, renewed when due, never half there."""

import shutil
import ssl
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from infra import pki
from infra.settings import SettingError, Settings

DAY = 86_400.0
NOW = 1_800_000_000.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_it_is_made_once(settings: Settings) -> None:
    made = contents(pki.ensure(settings, NOW).folder)
    assert contents(pki.ensure(settings, NOW + DAY).folder) == made


def test_secrets_are_the_owner_s_alone(settings: Settings) -> None:
    folder = pki.ensure(settings, NOW).folder
    public = {"ca.pem", "clients.pem", "ledger.pub", "root.crl", "root.pem", "servers.pem", "devices-1.pem"}
    for file in folder.rglob("*"):
        if file.is_file() and file.name not in public:
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert b"ENCRYPTED" in (folder / "keys" / "root.key").read_bytes()


def test_a_key_that_others_may_read_is_refused(settings: Settings) -> None:
    folder = pki.ensure(settings, NOW).folder
    (folder / "keys" / "root.key").chmod(0o640)
    with pytest.raises(SettingError, match="chmod 600"):
        pki.roll(settings, NOW)


def test_a_wrong_passphrase_is_refused(settings: Settings) -> None:
    pki.ensure(settings, NOW)
    with pytest.raises(SettingError, match="can't be opened"):
        pki.roll(replace(settings, ca_passphrase="another"), NOW)


def test_a_passphrase_of_the_settings_is_not_kept(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), ca_passphrase="correct horse battery staple")
    folder = pki.ensure(settings, NOW).folder
    assert not (folder / "passphrase").exists()
    assert not any(b"correct horse" in content for content in contents(folder).values())


def test_the_listeners_certificate_is_renewed_when_due_and_when_names_change(settings: Settings) -> None:
    made = pki.ensure(settings, NOW).server.read_bytes()
    assert pki.ensure(settings, NOW + 200 * DAY).server.read_bytes() == made
    renewed = pki.ensure(settings, NOW + 300 * DAY).server.read_bytes()
    assert renewed != made
    named = pki.ensure(replace(settings, tls_names="fleet.test, 192.0.2.7"), NOW + 300 * DAY).server.read_bytes()
    alternative = x509.load_pem_x509_certificates(named)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert {str(name.value) for name in alternative.value} == {"127.0.0.1", "localhost", "fleet.test", "192.0.2.7"}


def test_a_listener_opens_no_key_of_an_authority(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    knowing = Settings(data_dir=str(tmp_path), ca_passphrase="correct horse")
    without = replace(knowing, ca_passphrase="")
    made = pki.ensure(knowing)
    shutil.move(made.folder / "keys", tmp_path / "away")
    before = contents(made.folder)
    assert pki.for_listeners(without) == made
    shutil.move(tmp_path / "away", made.folder / "keys")
    assert contents(made.folder).items() >= before.items()
    other = replace(without, tls_names="fleet.test")  # due: and it can't be made here
    assert pki.for_listeners(other) == made
    assert "FLEETLOG_CA_PASSPHRASE opens them" in caplog.text
    assert contents(made.folder)["server.pem"] == before["server.pem"]
    assert not (made.folder / "passphrase").exists()
    made.server.unlink()
    with pytest.raises(SettingError, match="FLEETLOG_CA_PASSPHRASE opens them"):
        pki.for_listeners(without)
    assert pki.for_listeners(knowing).server.exists()


def test_what_is_made_is_what_tls_takes(settings: Settings) -> None:
    made = pki.ensure(settings)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(made.clients))
    context.load_cert_chain(made.server)
    assert len(context.get_ca_certs()) == 2


def test_a_roll_adds_an_authority_and_keeps_those_before(settings: Settings) -> None:
    made = pki.ensure(settings, NOW)
    before = made.issuing()
    rolled = pki.roll(settings, NOW + DAY)
    assert list(made.issuing().values()) == [*before.values(), rolled]
    assert len(x509.load_pem_x509_certificates(made.clients.read_bytes())) == 3


def test_the_root_s_key_may_be_taken_away(settings: Settings) -> None:
    made = pki.ensure(settings, NOW)
    (made.folder / "keys" / "root.key").unlink()
    pki.ensure(settings, NOW + 1500 * DAY)
    with pytest.raises(SettingError, match="root"):
        pki.roll(settings, NOW)


def test_a_copy_for_listeners_elsewhere_is_left_as_it_is(settings: Settings, tmp_path: Path) -> None:
    """No second root comes about, and no authority's key is needed."""
    made = pki.ensure(settings, NOW)
    elsewhere = replace(settings, data_dir=str(tmp_path / "elsewhere"))
    copy = pki.at(elsewhere).folder
    copy.mkdir(parents=True)
    for name in ("ca.pem", "clients.pem", "server.pem", "pepper"):
        shutil.copy(made.folder / name, copy)
    before = contents(copy)
    pki.ensure(elsewhere, NOW + 400 * DAY)
    assert contents(copy) == before
    assert pki.pepper(elsewhere) == pki.pepper(settings)
    with pytest.raises(SettingError, match="no authority"):
        pki.roll(elsewhere, NOW)


def test_the_listeners_authority_is_renewed_when_due(settings: Settings) -> None:
    before = pki.ensure(settings, NOW).certificate("servers")
    after = pki.ensure(settings, NOW + 1500 * DAY).certificate("servers")
    assert after.not_valid_after_utc > before.not_valid_after_utc
    assert after.public_key() == before.public_key()


def test_the_ledger_s_public_key_is_its_key_s(settings: Settings) -> None:
    made = pki.ensure(settings, NOW)
    made.ledger_public_key.unlink()
    assert pki.ensure(settings, NOW).ledger_public_key.read_bytes() != b""
    assert pki.ledger_key(settings).public_key() is not None
    assert len(pki.pepper(settings)) == 64


def test_processes_at_once_make_one(settings: Settings) -> None:
    script = (
        f"from infra import pki; from infra.settings import Settings; pki.ensure(Settings(data_dir={settings.data_dir!r}))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[3]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert list(pki.at(settings).issuing()) == ["devices-1"]
    root = pki.at(settings).certificate("root")
    pki.at(settings).certificate("devices-1").verify_directly_issued_by(root)


@pytest.mark.parametrize("kept", range(1, 15))
def test_a_kill_between_any_two_files_is_made_good(settings: Settings, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    """Killed after so many files: the next start finishes with the keys that are there."""
    from connectors import private_files

    written = 0
    settle = private_files._settle

    def count(folder: Path) -> None:
        nonlocal written
        settle(folder)
        written += 1
        if written == kept:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(private_files, "_settle", count)
        with pytest.raises(KeyboardInterrupt):
            pki.ensure(settings, NOW)
    made = pki.ensure(settings, NOW)
    root = made.certificate("root")
    for name in ("servers", "devices-1"):
        made.certificate(name).verify_directly_issued_by(root)
        assert pki.keys(settings).signer(name).public_key == made.certificate(name).public_key()
    assert not list(made.folder.rglob(".*"))
