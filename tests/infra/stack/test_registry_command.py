"""`fleetlog registry`: before which registry it stands, and what it refuses to start with."""

import argparse
import socket
from dataclasses import replace

import pytest

from infra.cli.registry import options, run
from infra.settings import Settings

READY = "http://127.0.0.1:9/health/ready"


def test_before_the_local_registry() -> None:
    made = options(Settings(registry_backend_port=4711, request_deadline=3.0), READY)
    assert made.url == "http://127.0.0.1:4711/apis/ccompat/v7"
    assert made.native_url == "http://127.0.0.1:4711/apis/registry/v3"
    assert made.ready_url == READY
    assert made.request_deadline == 3.0


@pytest.mark.parametrize(
    ("url", "native_url"),
    [
        ("http://registry:8081/", ""),
        ("http://registry:8081/apis/ccompat/v7", "http://registry:8081/apis/registry/v3"),
        ("http://registry:8081/below/apis/ccompat/v7/", "http://registry:8081/below/apis/registry/v3"),
    ],
)
def test_before_an_outside_registry(url: str, native_url: str) -> None:
    made = options(Settings(registry_url=url), "")
    assert (made.url, made.native_url, made.ready_url) == (url.rstrip("/"), native_url, "")


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:8081", "http://localhost:8081/apis/ccompat/v7"),  # itself
        *("registry:8081", "registry", "http://registry:port", "http://", "ftp://registry:8081"),  # nothing
    ],
)
def test_never_before_itself_or_nothing(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(registry_url=url)
    assert run(argparse.Namespace(ready=""), settings) == 2
    assert "FLEETLOG_REGISTRY_URL" in capsys.readouterr().err


def test_a_port_that_is_taken_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(argparse.Namespace(ready=""), replace(Settings(), registry_port=port)) == 2
    assert str(port) in capsys.readouterr().err
