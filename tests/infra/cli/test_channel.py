"""`fleetlog channel`, as it is typed."""

import json
from pathlib import Path

import pytest

from infra.cli.main import main
from tests.connectors.notify.receiver import receiving, say


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLEETLOG_CHANNELS", str(tmp_path / "channels.yaml"))
    monkeypatch.setenv("HOOK_SECRET", "hush")
    return tmp_path / "channels.yaml"


def hook(url: str) -> str:
    told = f"kind: webhook, url: '{url}', allow_private: true, secret_env: HOOK_SECRET"
    return f"channels: {{hook: {{{told}}}}}\ndefault: [hook]\n"


def test_a_test_is_sent_and_listed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with receiving() as receiver:
        file.write_text(hook(receiver.url))
        assert main(["channel", "test", "hook"]) == 0
        assert main(["channel", "list"]) == 0
        told = capsys.readouterr().out
    assert "hook has taken it: 200 ok" in told
    assert "hook  webhook  default" in told
    assert receiver.came[0].json()["reason"] == "test"


def test_a_test_that_fails(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with receiving(say(403)) as receiver:
        file.write_text(hook(receiver.url))
        assert main(["channel", "test", "hook", "--json"]) == 3
        told = capsys.readouterr()
    assert json.loads(told.out)["fault"] == "refused: 403 ok"
    assert "channel hook: refused" in told.err
    assert main(["channel", "test", "nobody"]) == 2


def test_a_bad_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("channels: {hook: {kind: webhook, url: 'https://test', secret_env: NOT_THERE}}")
    assert main(["channel", "list"]) == 2
    assert "channel hook: secret_env: the environment variable NOT_THERE is not set" in capsys.readouterr().err


def test_no_file_is_no_channel(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["channel", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
