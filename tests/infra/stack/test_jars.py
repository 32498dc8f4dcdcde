"""The list of Java artifacts is whole and consistent, and a wrong file is not taken."""

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

from infra.stack.jars import LIST, _checked
from infra.stack.service import StackError

ARTIFACTS = tomllib.loads(LIST.read_text())


def test_every_artifact_has_a_coordinate_and_a_digest() -> None:
    assert set(ARTIFACTS) == {"kafka", "registry", "flink"}
    for name, digest in (item for group in ARTIFACTS.values() for item in group.items()):
        assert name.count(":") in (2, 4)
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
    assert "://" not in LIST.read_text()


def test_all_parts_of_the_broker_are_of_one_version() -> None:
    versions = {name.split(":")[2] for name in ARTIFACTS["kafka"] if name.startswith("org.apache.kafka:")}
    assert versions == {"4.3.1"}


def test_a_damaged_file_is_fetched_once_more(tmp_path: Path) -> None:
    path = tmp_path / "a.jar"
    contents = iter([b"half", b"whole"])

    def resolve() -> Path:
        if not path.exists():
            path.write_bytes(next(contents))
        return path

    assert _checked("g:a:1", resolve, hashlib.sha256(b"whole").hexdigest()).read_bytes() == b"whole"


def test_another_file_than_the_listed_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jar"

    def resolve() -> Path:
        path.write_bytes(b"another")
        return path

    with pytest.raises(StackError, match=r"g:a:1 has SHA-256 [0-9a-f]{64}, but jars.toml names 0000"):
        _checked("g:a:1", resolve, "0" * 64)
    assert not path.exists(), "it must not be taken the next time"


def test_an_artifact_that_cannot_be_had_is_named() -> None:
    def resolve() -> Path:
        raise RuntimeError("not found in remote repositories")

    with pytest.raises(StackError, match="cannot fetch g:a:1: not found in remote repositories"):
        _checked("g:a:1", resolve, "0" * 64)
