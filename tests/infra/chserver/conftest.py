"""A server of one's own: a process on free ports and a fresh directory."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "let me in"
START_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A server process. `log` holds what it wrote to standard error."""

    def __init__(self, path: Path, log: Path) -> None:
        self.path, self.log = path, log
        self.tcp_port, self.http_port = free_port(), free_port()
        self.process: subprocess.Popen[str] | None = None
        self.clients: list[Client] = []

    def launch(self) -> subprocess.Popen[str]:
        """Start the process without waiting for it to serve."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEETLOG_")}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                f"{sys.executable} -m infra.chserver --path {self.path}"
                f" --tcp-port {self.tcp_port} --http-port {self.http_port}".split(),
                cwd=ROOT,
                env={**environment, "FLEETLOG_CLICKHOUSE_PASSWORD": PASSWORD},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self.process

    def start(self) -> "Process":
        process = self.launch()
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready: "), self.log.read_text()
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal the process; returns its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=START_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def client(self, **options: Any) -> Client:
        made = Client("127.0.0.1", port=self.tcp_port, **{"password": PASSWORD, **options})
        self.clients.append(made)
        return made

    def connect(self, port: int | None = None) -> socket.socket:
        """A bare connection, to the native port by default."""
        return socket.create_connection(("127.0.0.1", port or self.tcp_port), timeout=20)

    def http(self, sql: str = "", data: bytes | None = None, headers: dict[str, str] | None = None, **params: Any) -> Any:
        """POST a statement (GET when `data` is None and the parameter `get` is given): (status, headers, body)"""
        is_get = params.pop("get", False)
        path = params.pop("path", "/")
        if sql:
            params["query"] = sql
        url = f"http://127.0.0.1:{self.http_port}{path}" + (f"?{urllib.parse.urlencode(params)}" if params else "")
        token = base64.b64encode(f"default:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {token}"} if headers is None else headers
        request = urllib.request.Request(url, None if is_get else data or b"", headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Makes server processes (not started yet) that are killed at the end of the test."""
    made: list[Process] = []

    def make(name: str = "data") -> Process:
        made.append(Process(tmp_path / name, tmp_path / f"{name}.log"))
        return made[-1]

    yield make
    for server in made:
        for client in server.clients:
            client.disconnect()
        if server.process is not None:
            server.stop(signal.SIGKILL)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("chserver")
    server = Process(folder / "data", folder / "log").start()
    yield server
    code = server.stop()
    text = server.log.read_text()
    assert code == 0, text
    assert "a fault in the server" not in text


@pytest.fixture
def server(shared: Process) -> Iterator[Process]:
    """One server for all tests that do not stop it; use `table` for names. It must live on after each test."""
    before = len(shared.clients)
    yield shared
    for client in shared.clients[before:]:
        client.disconnect()
    assert shared.process is not None
    assert shared.process.poll() is None


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def table(_numbers: Iterator[int]) -> str:
    """A table's name that no other test uses."""
    return f"t{next(_numbers)}"


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    def wait(holds: Callable[[], bool], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it did not become true in time"
            time.sleep(0.02)

    return wait
