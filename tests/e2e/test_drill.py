"""The drill, carried through: everything destroyed, everything back."""

import json
from pathlib import Path

import pytest

from infra.cli.main import main
from projections.catalogue import CATALOGUE

pytestmark = pytest.mark.stack


def test_all_that_was_archived_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(
        ["drill", "--for", "5s", "--devices", "3", "--rate", "50", "--lose", "1s", "--json", "--folder", str(tmp_path)]
    )
    said = capsys.readouterr()
    assert code == 0, said.err
    report = json.loads(said.out)
    assert report["passed"]
    assert {view["view"]: view["equal"] for view in report["views"]} == {view.name: True for view in CATALOGUE}
    held = {view["view"]: view["keys"] for view in report["views"]}  # how many devices came in depends on the machine
    assert 0 < held["registrations"] <= 3
    assert held["certificates"] <= held["registrations"]
    assert report["restored"]["records"] == report["archived_records"] > 0
    assert report["restored"]["groups"] >= 2  # of the two deciders
    assert report["rpo_records"] > 0
    assert report["rpo_seconds"] > 0
    assert report["rto_seconds"] > report["restore_seconds"] > 0


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("precious")
    assert main(["drill", "--folder", str(tmp_path)]) == 2
    assert "is not an empty folder" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "precious"
