"""schemathesis on a surface: requests made from its OpenAPI document, and answers held against it."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

SEED = 4
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
    "missing_required_header",
)
KNOWN = 0.7  # of the values that a path parameter takes
PATIENCE = 400  # seconds; a tenth of it is usual


@dataclass(frozen=True)
class Surface:
    """A running server: its base URL, headers that open everything, and for the names of path parameters values that
    are there, so that not all questions are about what is not."""

    url: str
    headers: Mapping[str, str]
    known: Mapping[str, Sequence[str | int]]

    def document(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/openapi.json", timeout=20).raise_for_status().json())


@dataclass(frozen=True)
class Report:
    """What schemathesis printed, and whether it found nothing wrong."""

    text: str
    clean: bool


def fuzz(
    surface: Surface, document: Mapping[str, Any], directory: Path, examples: int, phases: str = "coverage,fuzzing"
) -> Report:
    """`examples` for each operation. The same seed makes the same requests; it is printed with what is wrong."""
    described = directory / "openapi.json"
    described.write_text(json.dumps(document), "utf-8")
    config = directory / "schemathesis.toml"
    config.write_text("".join(_dictionary(name, values) for name, values in surface.known.items()), "utf-8")
    program = Path(sys.executable).parent / "schemathesis"
    command = [str(program), "--config-file", str(config), "run", str(described), "--url", surface.url]
    for name, value in surface.headers.items():
        command += ["--header", f"{name}: {value}"]
    command += ["--seed", str(SEED), "--max-examples", str(examples), "--phases", phases]
    command += ["--checks", ",".join(CHECKS), "--request-timeout", "20", "--continue-on-failure", "--no-color"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return Report(done.stdout + done.stderr, done.returncode == 0)


def of_registration(item: Mapping[str, Any]) -> bool:
    """Whether a path of a document is one of registration."""
    return _tagged(item, "registration")


def of_alerting(item: Mapping[str, Any]) -> bool:
    """Whether a path of a document is one of rules and alerts."""
    return _tagged(item, "alerting")


def _tagged(item: Mapping[str, Any], tag: str) -> bool:
    return any(tag in operation.get("tags", ()) for operation in item.values())


def _dictionary(name: str, values: Sequence[str | int]) -> str:
    return (
        f"dictionaries.{name}.values = {json.dumps(list(values))}\n"
        f'parameters."path.{name}" = {{ dictionary = "{name}", probability = {KNOWN} }}\n'
    )
