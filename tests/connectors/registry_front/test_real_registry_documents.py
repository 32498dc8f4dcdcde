"""What the documentation shows runs, and the served OpenAPI document is the one of the code."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from connectors.registry_front.front import Front
from connectors.registry_front.openapi import document
from connectors.registry_front.options import FrontOptions
from infra.stack.harness import Stack

pytestmark = pytest.mark.stack
DOCUMENT = Path(__file__).parents[3] / "docs/schema-registry.md"
EXAMPLE = re.compile(r"```sh\nexport URL=\S+\n(.*?)```\n```json\n(.*?)```", re.DOTALL)


def without_ids(text: str) -> list[str]:
    return re.sub(r'"id":\d+', '"id":N', text).splitlines()


def test_the_examples_run_and_print_what_is_shown(stack: Stack) -> None:
    found = EXAMPLE.search(DOCUMENT.read_text("utf-8"))
    assert found is not None
    commands, shown = found.groups()
    lines = "\n".join(f"{line}; echo" for line in commands.splitlines())
    script = f"set -eu; URL={stack.settings.registry}\n{lines}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert without_ids(ran.stdout) == without_ids(shown)


def test_the_served_document_and_the_service_s_own_pages(client: httpx.Client) -> None:
    client.get("/subjects")
    served = client.get("/openapi.json")
    assert served.content == document(Front(FrontOptions("http://registry")).routes)
    assert served.headers["content-type"] == "application/json"
    assert client.get("/health").json() == {"status": "ready", "checks": {"registry": "ok"}}
    text = client.get("/metrics").text
    assert 'fleetlog_registry_request_seconds_count{route="/subjects",status="200"}' in text
    assert "fleetlog_registry_backend_up 1.0" in text
