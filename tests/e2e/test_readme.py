"""The README's snippets do what they say, in their order, in a directory of their own."""

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
ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
SNIPPETS = re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with free_settings(tmp_path_factory.mktemp("readme") / ".fleetlog") as (chosen, _):
        yield chosen


def run(snippet: str, settings: Settings) -> subprocess.CompletedProcess[str]:
    """As a user would, but for the ports: the default ones may be taken."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with_port = snippet.replace(f":{Settings().ingress_port}/", f":{settings.ingress_port}/")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", with_port],
        cwd=settings.data.parent,
        env={**settings.environment(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_it_starts_with_the_two_commands() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    commands = [line.split("#")[0].split() for line in SNIPPETS[0].splitlines()]
    assert commands == [["make", "run"], ["make", "test"]]
    assert {"run", "test"} <= targets


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_the_snippets_work_one_after_the_other(settings: Settings) -> None:
    assert len(SNIPPETS) > 4
    try:
        for snippet in SNIPPETS[1:]:
            done = run(snippet, settings)
            assert done.returncode == 0, f"{snippet}{done.stdout}{done.stderr}"
    finally:
        stopped = run("fleetlog down", settings)
    assert stopped.returncode == 0, stopped.stderr
