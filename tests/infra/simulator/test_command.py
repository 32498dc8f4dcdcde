"""`fleetlog simulate` and `fleetlog reconcile` as commands: help, options, progress, codes that need no stack."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from infra.settings import Settings, child_environment
from infra.simulator.progress import Progress, line
from infra.simulator.tally import Tally
from tests.infra.simulator.fake_ingress import KEY, FakeIngress

COMMAND = (sys.executable, "-P", "-m", "infra.cli.main")


def environment(tmp_path: Path, port: int = 1) -> dict[str, str]:
    return child_environment(Settings(data_dir=str(tmp_path), ingress_port=port, api_key=KEY).environment())


def fleetlog(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", ["simulate", "reconcile"])
def test_help_has_an_example_and_the_exit_codes(tmp_path: Path, name: str) -> None:
    result = fleetlog(tmp_path, name, "--help")
    assert result.returncode == 0
    assert f"example:\n  fleetlog {name} " in result.stdout
    assert "exit codes: 0 " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--faults", "dup=1"), "--faults: no fault is named 'dup'; there are duplicates, late"),
        (("--faults", "late=2"), "--faults: late: not a share from 0 to 1: '2'"),
        (("--faults", "late"), "--faults: late: not a share from 0 to 1: ''"),
        (("--devices", "0"), "not a number from 1: '0'"),
        (("--rate", "nan"), "not a number from 0: 'nan'"),
        (("--speed", "0"), "a series that stands still sends nothing"),
        (("--rate", "1", "--speed", "real"), "not allowed with argument"),
        (("--for", "soon"), "not a duration such as 60s or 5m: 'soon'"),
        (("--journal", "/proc/none", "--for", "1s"), "the journal can't be written"),
    ],
)
def test_a_wrong_use_is_told(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    result = fleetlog(tmp_path, "simulate", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


async def _run(tmp_path: Path, *arguments: str, stop_after: float | None = None) -> tuple[int | None, str, str, FakeIngress]:
    ingress = FakeIngress()
    async with ingress.serving():
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "simulate", *arguments, env=environment(tmp_path, ingress.port), stdout=-1, stderr=-1
        )
        if stop_after is not None:
            end = time.monotonic() + 30
            while ingress.requests < 50 and time.monotonic() < end:
                await asyncio.sleep(0.05)
            process.terminate()
        out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode(), ingress


def test_a_run_ends_with_a_summary_as_json(tmp_path: Path) -> None:
    code, out, err, ingress = asyncio.run(_run(tmp_path, "--for", "1s", "--devices", "7", "--seed", "4", "--json"))
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["sent"] == told["acknowledged"] == len(ingress.log) > 50
    assert (told["devices"], told["registered"], told["unacknowledged"], told["errors"]) == (7, 7, 0, {})
    assert os.listdir(tmp_path / "journal") == [told["run"]]


def test_a_run_that_is_stopped_delivers_what_is_outstanding(tmp_path: Path) -> None:
    code, out, err, ingress = asyncio.run(_run(tmp_path, "--devices", "7", stop_after=1.0))
    assert code == 0
    assert "delivering what is outstanding; once more to leave it" in err
    assert f"{len(ingress.log):,} records sent, {len(ingress.log):,} acknowledged, 0 not, 0 refused" in out


TALLY = replace(Tally(), devices=50, registered=49, sent=1_234_567, acknowledged=1_234_000, in_flight=8, retries=3)


def test_progress_says_all_that_counts() -> None:
    TALLY.errors.update({"timeout": 2, "503 BROKER_AWAY": 1_000})
    text = line(TALLY, 2_500.4)
    for part in (
        "devices 49/50",
        "sent 1,234,567",
        "acknowledged 1,234,000",
        "2,500 records/s",
        "503 BROKER_AWAY 1,000, timeout 2",
    ):
        assert part in text


def test_progress_is_plain_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=False) as progress:
        progress.show(TALLY)
        progress.show(TALLY)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("acknowledged 1,234,000" in text and "\x1b" not in text for text in lines)


def test_progress_on_a_narrow_terminal_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=60, height=20)
    monkeypatch.setattr("infra.simulator.progress.Console", lambda stderr: console)
    with Progress(quiet=False) as progress:
        progress.show(TALLY)
    assert "errors:" in out.getvalue()
    assert "timeout 2" in out.getvalue().replace("\n", " ")
