"""schemathesis on a surface: requests made from its OpenAPI document, and answers held against it."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
PATIENCE = 180  # seconds


@dataclass(frozen=True)
class Surface:
    """A running server: where its OpenAPI document is, and headers that open everything."""

    document: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """What schemathesis printed, and whether it found nothing wrong."""

    text: str
    clean: bool


def fuzz(surface: Surface, directory: Path, examples: int, phases: str = "coverage,fuzzing") -> Report:
    """`examples` for each operation. The same seed makes the same requests; it is printed with what is wrong."""
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", surface.document]
    for name, value in surface.headers.items():
        command += ["--header", f"{name}: {value}"]
    command += ["--seed", str(SEED), "--max-examples", str(examples), "--phases", phases]
    command += ["--checks", ",".join(CHECKS), "--request-timeout", "20", "--continue-on-failure", "--no-color"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return Report(done.stdout + done.stderr, done.returncode == 0)
