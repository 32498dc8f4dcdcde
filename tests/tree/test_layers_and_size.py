"""The tree keeps its own rules: layers, size budget, no registry hosts, commands that explain themselves."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli.main import parser

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("schemas", "projections", "connectors", "streams", "infra")
MOST_FILE_LINES = 300
MOST_FUNCTION_LINES = 40
SOURCES = sorted(path for package in (*PACKAGES, "tests") for path in (ROOT / package).rglob("*.py"))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def test_there_are_sources() -> None:
    assert len(SOURCES) > 50


def test_import_linter_keeps_every_contract() -> None:
    result = run(tool("lint-imports"))
    assert result.returncode == 0, result.stdout + result.stderr


def test_ruff_finds_nothing() -> None:
    result = run(tool("ruff"), "check", ".")
    assert result.returncode == 0, result.stdout


def test_ruff_would_format_nothing() -> None:
    result = run(tool("ruff"), "format", "--check", ".")
    assert result.returncode == 0, result.stdout


def test_mypy_strict_finds_nothing() -> None:
    result = run(tool("mypy"), "--no-incremental")  # the cache may be of another set of files
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_size_budget(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MOST_FILE_LINES
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MOST_FUNCTION_LINES
    ]
    assert not long


def test_only_settings_reads_the_environment() -> None:
    readers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.relative_to(ROOT).parts[0] in PACKAGES and re.search(r"os\.environ|os\.getenv", path.read_text("utf-8"))
    ]
    assert readers == ["infra/settings.py"]


def test_no_global_statement() -> None:
    users = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text("utf-8"))))
    ]
    assert users == []


def test_package_inits_export_nothing() -> None:
    """A name has one home: the module that defines it."""
    exporting = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.name == "__init__.py"
        and any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(path.read_text("utf-8")).body)
    ]
    assert exporting == []


def test_requirements_are_pinned_with_hashes_and_name_no_index() -> None:
    for name, least in (("run.txt", 30), ("dev.txt", 30), ("flink.txt", 30), ("flink-build.txt", 1)):
        text = (ROOT / "requirements" / name).read_text("utf-8")
        pinned = re.findall(r"^[a-z0-9][a-z0-9._-]*(?:\[[a-z0-9,._-]+\])?==", text, re.M)
        assert len(pinned) > least
        assert text.count("--hash=sha256:") >= len(pinned)
        assert not re.search(r"https?://|^-", text, re.M)


def test_no_file_names_a_host_but_its_own_and_the_licence_s() -> None:
    """Packages come from wherever the user's own pip and Maven settings say."""
    known = {"127.0.0.1", "localhost", "www.apache.org", "json-schema.org", "www.w3.org", "test", "registry", "ingress"}
    listed = run("git", "ls-files")
    assert listed.returncode == 0, listed.stderr
    named = {
        (name, host)
        for name in listed.stdout.splitlines()
        for host in re.findall(r"https?://([A-Za-z0-9._-]+)", (ROOT / name).read_text("utf-8", errors="replace"))
        if host not in known
    }
    assert named == set()


def commands() -> list[list[str]]:
    """Every command and sub-command of `fleetlog`."""
    found = []

    def walk(node: object, path: list[str]) -> None:
        for action in node._actions:  # type: ignore[attr-defined]
            if isinstance(action.choices, dict):
                for name, child in action.choices.items():
                    walk(child, [*path, name])
        found.append(path)

    walk(parser(), [])
    return found


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_and_exit_codes(path: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parser().parse_args([*path, "--help"])
    text = capsys.readouterr().out
    assert stopped.value.code == 0
    assert "example:\n  " in text
    assert "exit codes:" in text
