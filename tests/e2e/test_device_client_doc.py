"""The commands of docs/device-client.md do what the page says, in their order, in a directory of their own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.stack.harness import free_settings

pytestmark = pytest.mark.stack
PAGE = Path(__file__).resolve().parents[2] / "docs" / "device-client.md"
SNIPPETS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    with free_settings(tmp_path / ".fleetlog") as (chosen, _):
        yield chosen


def run(snippet: str, settings: Settings) -> subprocess.CompletedProcess[str]:
    """As a user would, but for the ports: the default ones may be taken."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", snippet.replace(f":{Settings().ingress_port}/", f":{settings.ingress_port}/")],
        cwd=settings.data.parent,
        env={**settings.environment(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_page_s_commands_work_one_after_the_other(settings: Settings) -> None:
    assert len(SNIPPETS) == 2
    try:
        for snippet in SNIPPETS:
            done = run(snippet, settings)
            assert done.returncode == 0, f"{snippet}{done.stdout}{done.stderr}"
        told = json.loads(run("fleetlog device status --json", settings).stdout)
        assert (told["registered"], told["hardware_id"], told["due"]) == (True, "SN-0001", False)
    finally:
        stopped = run("fleetlog down", settings)
    assert stopped.returncode == 0, stopped.stderr
