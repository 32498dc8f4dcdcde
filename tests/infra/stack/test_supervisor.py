"""The supervisor with small stand-in processes: order, restarts, failures, stops."""

import json
import os
import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.stack import state
from infra.stack.harness import Stack, run_services
from infra.stack.ports import free_ports
from infra.stack.service import StackError
from tests.infra.stack.fakes import listens, notes, script, server, step


def settings(directory: Path) -> Settings:
    return Settings(data_dir=str(directory))


def pauses(stack: Stack, name: str) -> list[float]:
    """Seconds between each end of `name` and its next start."""
    written = state.read(stack.settings.data)
    assert written is not None
    changes = [(seconds, what) for seconds, who, what in written.timeline if who == name and what in ("backoff", "starting")]
    return [start - end for (end, what), (start, _) in pairwise(changes) if what == "backoff"]


def test_starts_in_the_order_of_needs_and_stops_in_reverse(tmp_path: Path) -> None:
    with free_ports(3) as ports:
        services = (
            server(tmp_path, "third", ports[2], ("second",)),
            server(tmp_path, "first", ports[0]),
            server(tmp_path, "second", ports[1], ("first", "not in this stack")),
        )
        with run_services(services, settings(tmp_path)) as stack:
            assert [stack.state(name) for name in ("first", "second", "third")] == ["healthy"] * 3
    whole = ["first start", "second start", "third start", "third end", "second end", "first end"]
    assert notes(tmp_path) == whole


def test_a_step_is_done_before_what_needs_it_starts(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    text = f"import time, pathlib; time.sleep(0.3); pathlib.Path({str(mark)!r}).write_text(str(time.monotonic()))"
    with free_ports(1) as ports:
        services = (server(tmp_path, "user", ports[0], ("step",)), step(tmp_path, "step", text))
        with run_services(services, settings(tmp_path)) as stack:
            assert stack.state("step") == "done"
            assert stack.restarts("step") == 0
            started = float((tmp_path / "notes").read_text().split()[0])
    assert float(mark.read_text()) < started


def test_a_killed_process_is_restarted_alone(tmp_path: Path) -> None:
    with free_ports(2) as ports:
        services = (server(tmp_path, "one", ports[0]), server(tmp_path, "two", ports[1], ("one",)))
        with run_services(services, settings(tmp_path)) as stack:
            other, old = stack.pid("two"), stack.kill("one")
            stack.wait_healthy("one", 20)
            assert stack.pid("one") != old
            assert stack.pid("two") == other
            assert (stack.restarts("one"), stack.restarts("two")) == (1, 0)


def test_restarts_back_off(tmp_path: Path) -> None:
    with free_ports(1) as ports, run_services((server(tmp_path, "one", ports[0]),), settings(tmp_path)) as stack:
        for _ in range(3):
            stack.kill("one")
            stack.wait_healthy("one", 20)
        found = pauses(stack, "one")
    assert found == pytest.approx([0.2, 0.4, 0.8], rel=0.4)


def test_a_long_healthy_life_resets_the_back_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.stack.child.STEADY_SECONDS", 0.3)
    with free_ports(1) as ports, run_services((server(tmp_path, "one", ports[0]),), settings(tmp_path)) as stack:
        for _ in range(3):
            time.sleep(0.5)
            stack.kill("one")
            stack.wait_healthy("one", 20)
        found = pauses(stack, "one")
    assert found == pytest.approx([0.2, 0.2, 0.2], rel=0.4)


def test_a_process_that_dies_at_its_start_fails_the_stack(tmp_path: Path) -> None:
    text = "import sys; sys.stderr.write('no such disk'); sys.exit(3)"
    with free_ports(1) as ports:
        services = (script(tmp_path, "bad", text), server(tmp_path, "good", ports[0]))
        with pytest.raises(StackError) as failure, run_services(services, settings(tmp_path)):
            pytest.fail("it is not up")
    assert "bad exited with code 3" in str(failure.value)
    assert "no such disk" in str(failure.value)
    assert str(tmp_path / "logs" / "bad.log") in str(failure.value)
    assert notes(tmp_path)[-1:] == ["good end"], "what was up was stopped cleanly"
    written = state.read(tmp_path)
    assert written is not None
    assert written.state == "failed"


def test_a_process_that_never_gets_healthy_fails_the_stack(tmp_path: Path) -> None:
    slow = replace(script(tmp_path, "slow", "import time; time.sleep(60)"), start_seconds=0.3)
    failure = pytest.raises(StackError, match=r"slow did not become healthy in 0 s: never")
    with failure, run_services((slow,), settings(tmp_path)):
        pytest.fail("it is not up")


def test_a_preparation_that_fails_fails_the_stack(tmp_path: Path) -> None:
    def refuse() -> None:
        raise StackError("the disk is read-only")

    service = replace(script(tmp_path, "one", ""), prepare=refuse)
    failure = pytest.raises(StackError, match="one could not be started: the disk is read-only")
    with failure, run_services((service,), settings(tmp_path)):
        pytest.fail("it is not up")


def test_one_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    text = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    deaf = replace(script(tmp_path, "deaf", text), check=lambda: None, stop_seconds=0.5)
    with run_services((deaf,), settings(tmp_path)) as stack:
        pid = stack.pid("deaf")
        until = time.monotonic() + 10
        while "deaf" not in (tmp_path / "logs" / "deaf.log").read_text():
            assert time.monotonic() < until
            time.sleep(0.01)
        begun = time.monotonic()
    assert 0.5 <= time.monotonic() - begun < 5
    assert state.start_time(pid) is None


def test_a_stopped_process_is_shown_unhealthy_and_not_restarted(tmp_path: Path) -> None:
    with free_ports(1) as ports, run_services((server(tmp_path, "one", ports[0]),), settings(tmp_path)) as stack:
        stack.stop("one")
        assert stack.state("one") == "stopped"
        time.sleep(0.6)
        with pytest.raises(StackError, match="one is not running"):
            stack.pid("one")
        stack.start("one")
        assert stack.restarts("one") == 0
        assert stack.state("one") == "healthy"


def test_an_unhealthy_process_is_left_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.stack.child.POLL_HEALTHY", 0.05)
    port_file = tmp_path / "port"
    with free_ports(2) as ports:
        port_file.write_text(str(ports[0]))
        service = server(tmp_path, "one", ports[0])

        moved = replace(service, check=lambda: listens(int(port_file.read_text())))
        with run_services((moved,), settings(tmp_path)) as stack:
            pid = stack.pid("one")
            port_file.write_text(str(ports[1]))
            until = time.monotonic() + 10
            while stack.state("one") != "unhealthy":
                assert time.monotonic() < until
                time.sleep(0.01)
            port_file.write_text(str(ports[0]))
            stack.wait_healthy("one", 10)
            assert stack.pid("one") == pid


def test_every_log_line_has_the_eight_fields(tmp_path: Path) -> None:
    with free_ports(1) as ports, run_services((server(tmp_path, "one", ports[0]),), settings(tmp_path)) as stack:
        stack.kill("one", signal.SIGKILL)
        stack.wait_healthy("one", 20)
        path = stack.log("one")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["message"] for line in lines] == ["one listens", "one listens"]
    assert {line["component"] for line in lines} == {"one"}


def test_services_that_need_each_other_are_refused(tmp_path: Path) -> None:
    services = (script(tmp_path, "a", "", ("b",)), script(tmp_path, "b", "", ("a",)))
    with pytest.raises(StackError, match="wait for one another: a, b"), run_services(services, settings(tmp_path)):
        pytest.fail("it is not up")


def test_a_second_stack_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with free_ports(1) as ports, run_services((server(tmp_path, "one", ports[0]),), settings(tmp_path)):
        refusal = pytest.raises(StackError, match=rf"already runs on .* \(supervisor pid {os.getpid()}\)")
        with refusal, run_services((), settings(tmp_path)):
            pytest.fail("it is not up")
