"""What can't be installed is named, with the reason."""

from pathlib import Path

import pytest

from tests.clients import install


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(install.NotInstalled, match=r"Go modules: .*no-such-program"):
        install.run("Go modules", ["no-such-program"], tmp_path)


def test_a_program_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(install.NotInstalled, match=r"Node modules: npm ci ended with 1: (.|\n)*package-lock\.json"):
        install.run("Node modules", ["npm", "ci"], tmp_path)


def test_what_is_installed_is_not_installed_again() -> None:
    folder = install.ensure()
    before = (folder / "stamp").stat().st_mtime_ns
    assert install.ensure() == folder
    assert (folder / "stamp").stat().st_mtime_ns == before
