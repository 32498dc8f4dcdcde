"""`fleetlog up | down | status | logs` as a user runs them, with Redis as the only process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from infra.settings import Settings, child_environment
from infra.stack import state
from infra.stack.harness import free_settings

pytestmark = pytest.mark.stack
FLEETLOG = (sys.executable, "-m", "infra.cli.main")
ROOT = Path(__file__).resolve().parents[3]


class Commands:
    """Runs fleetlog commands with the same settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.environment = child_environment(settings.environment())

    def __call__(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*FLEETLOG, *arguments],
            cwd=ROOT,
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def foreground(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A `fleetlog up` in the foreground that is up."""
        command = [*FLEETLOG, "up", *arguments]
        with subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if line.startswith("healthy after"):
                        break
                yield process
            finally:
                process.kill()

    def redis(self) -> state.ProcessState:
        written = state.read(self.settings.data)
        assert written is not None
        (found,) = [process for process in written.processes if process.name == "redis"]
        return found

    def ask(self, command: bytes) -> bytes:
        """Redis's answer; nothing when it does not listen."""
        with suppress(OSError), socket.create_connection((self.settings.host, self.settings.redis_port), 2) as connection:
            connection.sendall(command + b"\r\n")
            return connection.recv(100)
        return b""

    def ping(self) -> bool:
        return self.ask(b"PING") == b"+PONG\r\n"


@pytest.fixture
def fleetlog(tmp_path: Path) -> Iterator[Commands]:
    with free_settings(tmp_path / "data") as (settings, _):
        yield Commands(settings)


def test_up_detached_status_logs_and_down(fleetlog: Commands) -> None:
    up = fleetlog("up", "--detach", "--only", "redis")
    try:
        assert up.returncode == 0, up.stderr
        assert "healthy after" in up.stdout
        assert fleetlog.ping()

        status = fleetlog("status", "--json")
        assert status.returncode == 0
        redis = json.loads(status.stdout)["processes"]["redis"]
        assert (redis["state"], redis["restarts"], redis["pid"]) == ("healthy", 0, fleetlog.redis().pid)
        assert redis["rss_bytes"] > 1_000_000
        assert redis["ports"] == {"redis_port": fleetlog.settings.redis_port}
        assert "redis          healthy" in fleetlog("status").stdout

        logs = fleetlog("logs", "redis", "-n", "1000")
        assert "Ready to accept connections" in logs.stdout
        unknown = fleetlog("logs", "../stack")
        assert unknown.returncode == 2
        assert "there are logs of: redis, supervisor" in unknown.stderr

        again = fleetlog("up", "--detach", "--only", "redis")
        assert again.returncode == 1
        assert f"already runs on {fleetlog.settings.data}" in again.stderr
    finally:
        down = fleetlog("down")
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert not fleetlog.ping()
    assert fleetlog("status").returncode == 3


def test_without_a_stack(fleetlog: Commands) -> None:
    status = fleetlog("status")
    assert status.returncode == 3
    assert f"no stack runs on {fleetlog.settings.data}" in status.stderr
    assert json.loads(fleetlog("status", "--json").stdout)["state"] == "none"
    down = fleetlog("down")
    assert down.returncode == 0
    assert f"no stack runs on {fleetlog.settings.data}" in down.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_foreground_cleanly(fleetlog: Commands, number: signal.Signals) -> None:
    with fleetlog.foreground("--only", "redis") as process:
        assert fleetlog.ping()
        redis = fleetlog.redis()
        process.send_signal(number)
        assert process.wait(20) == 0
        assert not state.alive(redis.pid, redis.start)
    log = fleetlog("logs", "redis", "-n", "1000").stdout
    assert "bye bye" in log, "Redis was stopped, not killed"


def test_after_kill_9_of_the_supervisor_nothing_is_left_and_up_works_again(fleetlog: Commands) -> None:
    with fleetlog.foreground("--only", "redis") as process:
        assert fleetlog.ask(b"SET kept yes") == b"+OK\r\n"
        redis = fleetlog.redis()
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        until = time.monotonic() + 5
        while state.alive(redis.pid, redis.start):
            assert time.monotonic() < until
            time.sleep(0.01)
    assert fleetlog("status").returncode == 3
    with fleetlog.foreground("--only", "redis"):
        assert fleetlog.ask(b"GET kept") == b"$3\r\nyes\r\n"


def test_a_taken_port_is_a_clear_error(fleetlog: Commands) -> None:
    with socket.create_server((fleetlog.settings.host, fleetlog.settings.redis_port)):
        up = fleetlog("up", "--detach", "--only", "redis")
    assert up.returncode == 2
    assert f"port {fleetlog.settings.redis_port} is taken by pid {os.getpid()}" in up.stderr
    assert "FLEETLOG_REDIS_PORT" in up.stderr
    assert fleetlog("status").returncode == 3


def test_a_process_that_fails_is_named_with_the_end_of_its_log(fleetlog: Commands) -> None:
    up = fleetlog("up", "--detach", "--only", "broker,redis", FLEETLOG_JAVA="/no/such/java")
    assert up.returncode == 1
    assert "broker could not be started" in up.stderr
    assert "/no/such/java" in up.stderr
    assert fleetlog("status").returncode == 3
    assert not fleetlog.ping(), "the rest is stopped"


def test_an_unknown_name_and_one_that_is_outside_are_refused(fleetlog: Commands) -> None:
    unknown = fleetlog("up", "--only", "redis,rabbit")
    assert unknown.returncode == 2
    assert "the stack has no 'rabbit'; it has broker, redis" in unknown.stderr
    outside = fleetlog("up", "--only", "redis", FLEETLOG_REDIS_URL="redis://elsewhere:1/0")
    assert outside.returncode == 2
    assert "redis: the settings name an outside one" in outside.stderr


def test_metrics_tell_restarts(fleetlog: Commands) -> None:
    import httpx

    with fleetlog.foreground("--only", "redis"):
        pid = fleetlog.redis().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until = time.monotonic() + 20
        while fleetlog.redis().pid in (pid, None) or fleetlog.redis().state != "healthy":
            assert time.monotonic() < until
            time.sleep(0.05)
        text = httpx.get(f"http://{fleetlog.settings.host}:{fleetlog.settings.supervisor_metrics_port}/metrics").text
    assert 'fleetlog_process_up{process="redis"} 1.0' in text
    assert 'fleetlog_process_restarts_total{process="redis"} 1.0' in text


def test_an_interrupt_while_it_starts_stops_all(fleetlog: Commands) -> None:
    with subprocess.Popen(
        [*FLEETLOG, "up"], cwd=ROOT, env=fleetlog.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().endswith("starting\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    written = state.read(fleetlog.settings.data)
    assert written is not None
    assert not [one.name for one in written.processes if state.alive(one.pid, one.start)]
