"""Ports: a taken one is named with its setting and its owner; free ones are given to one user only."""

import os
import socket

import pytest

from infra.stack.ports import check_free, free_ports, is_free
from infra.stack.service import Port, StackError

HOST = "127.0.0.1"


def test_a_taken_port_is_named_with_its_setting_and_owner() -> None:
    with socket.create_server((HOST, 0)) as server:
        number = server.getsockname()[1]
        with pytest.raises(StackError) as refusal:
            check_free(HOST, [Port("redis_port", number)])
    message = str(refusal.value)
    assert f"port {number} is taken by pid {os.getpid()} (" in message
    assert "set FLEETLOG_REDIS_PORT to a free one" in message
    assert refusal.value.code == 2


def test_all_taken_ports_are_named_at_once() -> None:
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as two:
        ports = [Port("kafka_port", one.getsockname()[1]), Port("redis_port", two.getsockname()[1])]
        with pytest.raises(StackError) as refusal:
            check_free(HOST, ports)
    assert all(str(port.number) in str(refusal.value) for port in ports)


def test_one_port_for_two_is_refused() -> None:
    with free_ports(1) as (number,):
        with pytest.raises(StackError, match=f"port {number} is given to more than one: FLEETLOG_A_PORT, FLEETLOG_B_PORT"):
            check_free(HOST, [Port("a_port", number), Port("b_port", number)])
        check_free(HOST, [Port("a_port", number)])


def test_a_port_is_free_again_when_its_server_is_gone() -> None:
    with socket.create_server((HOST, 0)) as server:
        number = server.getsockname()[1]
        assert not is_free(HOST, number)
        client = socket.create_connection((HOST, number))
        server.accept()[0].close()  # the server's side closes first and so waits (TIME_WAIT)
        client.close()
    assert is_free(HOST, number)


def test_free_ports_are_consecutive_and_can_be_listened_on() -> None:
    with free_ports(5) as ports:
        assert ports == list(range(ports[0], ports[0] + 5))
        for port in ports:
            socket.create_server((HOST, port)).close()


def test_ports_that_are_given_to_one_user_are_given_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with free_ports(2) as pair:
        pass
    monkeypatch.setattr("infra.stack.ports.FREE_PORTS", range(pair[0], pair[0] + 3))  # two places for a single port
    with free_ports(1) as first, free_ports(1) as second:
        assert {*first, *second} == set(pair)
        # The locks count between processes: a third user, wherever it is, finds none.
        with pytest.raises(StackError, match="no 1 consecutive free ports"), free_ports(1):
            pytest.fail("it was given twice")
    with free_ports(1) as again:
        assert again[0] in pair
