"""The states of a device's life: every pair of the twelve, held against the diagram of the source document."""

import re
from itertools import pairwise, product
from typing import get_args

import pytest

from schemas.message_values import DeviceState
from streams.registration.lifecycle import FIRST, IN_SERVICE, SERVERS, TRANSITIONS, legal, path, reportable

STATES: tuple[DeviceState, ...] = get_args(DeviceState)
DIAGRAM = """
    [*] --> Uninitialized
    Uninitialized --> Initializing
    Initializing --> SetupMode
    Initializing --> Error
    SetupMode --> Configuring
    SetupMode --> SetupMode
    Configuring --> Connecting
    Configuring --> SetupMode
    Connecting --> NetworkReady
    Connecting --> SetupMode
    NetworkReady --> Claiming
    NetworkReady --> NetworkReady
    Claiming --> Activating
    Claiming --> NetworkReady
    Activating --> Operational
    Activating --> Error
    Operational --> Operational
    Operational --> Reconnecting
    Operational --> SetupMode
    Operational --> Updating
    Updating --> Operational
    Reconnecting --> Operational
    Reconnecting --> SetupMode
    Error --> SetupMode
    Error --> [*]
"""


def snake(name: str) -> str:
    return re.sub(r"(?<=.)([A-Z])", r"_\1", name).lower()


STEPS = {(snake(a), snake(b)) for a, b in re.findall(r"(\w+) --> (\w+)", DIAGRAM)}


def test_there_are_twelve_states() -> None:
    assert len(STATES) == 12
    assert set(TRANSITIONS) == set(STATES)
    assert len(STEPS) == 23
    assert FIRST == "uninitialized"


@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
def test_a_step_is_legal_if_and_only_if_the_diagram_has_it(before: DeviceState, after: DeviceState) -> None:
    assert legal(before, after) == ((before, after) in STEPS)
    assert reportable(before, after) == ((before, after) in STEPS - SERVERS)


@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
def test_a_path_is_a_walk_of_legal_steps(before: DeviceState, after: DeviceState) -> None:
    if before != after and (after == FIRST or (after == "initializing" and before != FIRST)):
        with pytest.raises(ValueError, match="no steps"):
            path(before, after)
        return
    walk = path(before, after)
    assert all(legal(a, b) for a, b in pairwise((before, *walk)))
    assert (before, *walk)[-1] == after


def test_first_contact() -> None:
    assert path(FIRST, "network_ready") == ("initializing", "setup_mode", "configuring", "connecting", "network_ready")


def test_a_device_in_service_got_there_by_the_servers_steps_alone() -> None:
    """No walk of reports leads into service."""
    reached, edge = {s for s in STATES if s not in IN_SERVICE}, [s for s in STATES if s not in IN_SERVICE]
    assert not [(a, b) for a in edge for b in STATES if reportable(a, b) and b not in reached]
