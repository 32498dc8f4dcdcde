"""`fleetlog principal`: keys are made, listed, taken out; the file stays whole, private, and as people wrote it."""

import hashlib
import json
import stat
import threading
from pathlib import Path

import pytest

from connectors.ingress.access import Principal, Rights, principals
from infra import principals as file_of_principals
from infra.cli.main import main
from tests.connectors.ingress.curl import commands

DOCUMENT = Path(__file__).parents[3] / "docs/access.md"
BY_HAND = """# who else

[principals.weather]   # the station
key_sha256 = "{}"
write = [
  "weather*",
]
# below: not in use
[ principals . 'old' ]
key_sha256 = "{}"

[principals.last]
key_sha256 = "{}"
""".format("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEETLOG_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "principals.toml"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["principal", *words]) == 0
    return capsys.readouterr().out


def found(file: Path) -> dict[str, Principal]:
    return {one.name: one for one in principals(file.read_text("utf-8")).values()}


def test_a_key_is_told_once_and_only_its_digest_is_kept(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = run(capsys, "add", "weather", "--write", "weather*", "rain", "--read", "fleet.telemetry", "--no-devices").strip()
    assert len(key) == 43
    assert key not in file.read_text("utf-8")
    digest = hashlib.sha256(key.encode()).hexdigest()
    rights = Rights(("weather*", "rain"), ("fleet.telemetry",), (), devices=False)
    assert found(file) == {"weather": Principal("weather", digest, rights)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(capsys, "add", "other").strip() != key
    assert found(file)["other"].rights == Rights()


def test_they_are_listed_after_the_owner(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEETLOG_REST_TOPICS", "rain")
    run(capsys, "add", "b", "--manage", "x*", "--no-devices")
    run(capsys, "add", "a.c", "--no-devices")
    assert run(capsys, "list").splitlines() == ["owner: devices; fleet admin; write rain", "a.c: nothing", "b: manage x*"]
    listed = json.loads(run(capsys, "list", "--json"))
    assert [one["name"] for one in listed] == ["owner", "a.c", "b"]
    assert listed[2] == {"name": "b", "write": [], "read": [], "manage": ["x*"], "devices": False, "fleet": ""}
    assert "key" not in json.dumps(listed)


def test_what_people_wrote_stays(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    file.write_text(BY_HAND)
    added = json.loads(run(capsys, "add", "new", "--json"))
    assert file.read_text("utf-8").startswith(BY_HAND)
    assert found(file)["new"].key_digest == hashlib.sha256(added["key"].encode()).hexdigest()
    run(capsys, "remove", "new")
    assert file.read_text("utf-8").rstrip() == BY_HAND.rstrip()
    for name, left in (("old", {"weather", "last"}), ("weather", {"last"}), ("last", set())):
        run(capsys, "remove", name)
        assert found(file).keys() == left
    assert file.read_text("utf-8").startswith("# who else")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("add", "weather"), "there is a principal weather already"),
        (("add", "owner"), "and not owner"),
        (("add", "a b"), "a name is"),
        (("add", "new", "--write", "a b"), "matches no topic"),
        (("remove", "nobody"), "there is no principal nobody"),
    ],
)
def test_what_can_t_be_changes_nothing(
    file: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    file.parent.mkdir()
    file.write_text(BY_HAND)
    assert main(["principal", *words]) == 2
    told = capsys.readouterr()
    assert (told.out, message in told.err) == ("", True)
    assert file.read_text("utf-8") == BY_HAND
    assert [one.name for one in file.parent.iterdir() if one.suffix != ".lock"] == [file.name]


def test_a_table_that_is_written_otherwise_is_left_to_people(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    text = f'principals.weather.key_sha256 = "{"a" * 64}"\n'
    file.write_text(text)
    assert main(["principal", "remove", "weather"]) == 2
    assert "edit it by hand" in capsys.readouterr().err
    assert file.read_text("utf-8") == text


def test_a_spoiled_file_is_told_and_left(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    for spoiled in (b"[principals.a]", b"\xff", b"x"):
        file.write_bytes(spoiled)
        for words in (("add", "b"), ("list",), ("remove", "a")):
            assert main(["principal", *words]) == 2
            assert str(file) in capsys.readouterr().err
        assert file.read_bytes() == spoiled


def test_many_at_once_are_all_there(tmp_path: Path) -> None:
    file = tmp_path / "principals.toml"
    names = [f"p{number}" for number in range(20)]
    threads = [threading.Thread(target=file_of_principals.add, args=(file, name, Rights())) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [one.name for one in file_of_principals.read(file)] == sorted(names)


def test_the_examples_of_the_documentation_run(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples = [words[1:] for words in commands(DOCUMENT, "fleetlog")]
    assert [words[:2] for words in examples].count(["principal", "add"]) == 4
    assert [main(words) for words in examples] == [0] * len(examples)
    assert found(file).keys() == {"station", "platform", "alice"}
    assert '[principals."station"]' in file.read_text("utf-8")
    assert '[principals."station"]' in DOCUMENT.read_text("utf-8")
    capsys.readouterr()


def test_the_right_to_the_fleet_is_kept_and_listed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "add", "alice", "--fleet", "user", "--no-devices")
    assert principals(file.read_text("utf-8")).popitem()[1].rights == Rights(devices=False, fleet="user")
    assert run(capsys, "list").splitlines()[1:] == ["alice: fleet user"]
