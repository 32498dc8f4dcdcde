"""The authority's keys in a PKCS#11 token, by settings alone."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from infra import pki
from infra.settings import SettingError, Settings
from tests.connectors.authority import tokens
from tests.connectors.authority.authorities import command, ec_key


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with tokens.token(tmp_path_factory.mktemp("token")) as token:
        yield Settings(pkcs11_module=token.module, pkcs11_token=token.label, pkcs11_pin=token.pin)


def test_no_key_of_an_authority_is_in_a_file(settings: Settings, tmp_path: Path) -> None:
    own = replace(settings, data_dir=str(tmp_path))
    made = pki.ensure(own)
    assert not (made.folder / "keys").exists()
    assert not (made.folder / "passphrase").exists()
    issued = pki.authority(own).issue(command(ec_key()))
    rolled = pki.roll(own)
    assert list(made.issuing().values())[-1] == rolled
    again = pki.authority(own)
    assert again.issue(command(ec_key())).issuer_key_id != issued.issuer_key_id
    assert len(again.authorities()) == 2


def test_a_token_that_is_not_there_is_said(settings: Settings, tmp_path: Path) -> None:
    own = replace(settings, data_dir=str(tmp_path), pkcs11_token="another")
    with pytest.raises(SettingError, match="another"):
        pki.ensure(own)
    absent = replace(own, pkcs11_module=str(tmp_path / "absent.so"))
    with pytest.raises(SettingError, match=r"absent\.so"):
        pki.ensure(absent)
