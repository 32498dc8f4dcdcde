"""Rules about certificates are asked again as time goes by, and only of what a device has now."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid5

import pytest

from schemas.alert_messages import AlertEvent
from schemas.rules.checking import compile_expression
from schemas.rules.expression import durations
from schemas.rules.inputs import variables
from streams.rules.cuts import Cut
from tests.streams.rules.fleet_world import FleetWorld
from tests.streams.rules.world import SECOND, SPACE, START

EXAMPLES = Path(__file__).parents[3] / "schemas" / "examples"
DAY = 86_400
EXPIRY = """
id: expiry
input: certificate
when: not_after != null && not_after - at < duration("168h")
annotations: {summary: "{{ device.id }}"}
"""
Tell = Callable[[FleetWorld], None]


def entered(world: FleetWorld, kind: str, day: float, serial: str, ends: float | None = None, device: str = "a") -> None:
    values: dict[str, Any] = json.loads((EXAMPLES / kind / "typical.json").read_text("utf-8"))["values"]
    when = START + int(day * DAY) * SECOND
    for name in {"key_hash", "certificate"} & values.keys():  # examples have bytes as text
        values[name] = values[name].encode("latin-1")
    values |= {"occurred_at": when, "received_at": when, "device_id": device, "serial": serial}
    values["event_id"] = str(uuid5(SPACE, f"{kind}/{serial}"))
    if ends is not None:
        values["not_after"] = START + int(ends * DAY) * SECOND
    world.send("fleet.certificates", device, world.record("fleet.certificates", kind, values), when)


def applied(world: FleetWorld) -> None:
    world.apply(EXPIRY)


def issued(world: FleetWorld) -> None:
    entered(world, "CertificateIssued", 0, "01", 30)


def renewed(world: FleetWorld) -> None:
    entered(world, "CertificateRenewed", 25, "02", 60)


STORY: list[tuple[float, Tell | None]] = [
    (0.1, applied), (0.2, issued), (22, None), (24, None), (25.1, renewed),
    (26, lambda world: entered(world, "CertificateRevoked", 26, "01")), (40, None), (54, None), (55, None),
    (56, lambda world: entered(world, "CertificateRevoked", 56, "02")), (70, None),
]  # fmt: skip
EXPECTED = [("AlertFired", 23), ("AlertResolved", 25), ("AlertFired", 53), ("AlertResolved", 56)]


def lived(story: list[tuple[float, Tell | None]], every: int, restarts: bool = False) -> list[AlertEvent]:
    """`every` so many cuts are processed in one piece."""
    world, found, cuts = FleetWorld(1), list[AlertEvent](), list[Cut]()
    for number, (day, tell) in enumerate(story):
        if tell is not None:
            tell(world)
        cuts.append(world.cut_of(0, day * DAY))
        if len(cuts) == every or number == len(story) - 1:
            found, cuts = [*found, *world.step(0, cuts)], []
            if restarts:
                world.restart(0)
    return found


def told(events: list[AlertEvent]) -> list[tuple[str, int]]:
    return [(type(event).__name__, (event.occurred_at - START) // (DAY * SECOND)) for event in events]


@pytest.mark.parametrize(("every", "restarts"), [(1, False), (1, True), (3, True), (20, False)])
def test_it_fires_when_the_time_comes_and_is_over_with_another_certificate(every: int, restarts: bool) -> None:
    found = lived(STORY, every, restarts)
    assert told(found) == EXPECTED
    assert found == lived(STORY, 1)
    assert [event.cause is None for event in found] == [True, False, True, False], "timers, and records"
    assert {event.annotations for event in found} == {'{"summary":"a"}'}


def test_a_rule_that_is_applied_later_knows_what_devices_have() -> None:
    story = [(0.2, issued), (24, None), (24.5, applied), (25.1, renewed)]
    assert told(lived(story, 1)) == EXPECTED[:2]
    assert told(lived(story, 1, restarts=True)) == EXPECTED[:2]


def test_what_expires_while_nobody_looks_fires_afterwards() -> None:
    found = lived([(0.1, applied), (0.2, issued), (90, None)], 1)
    assert told(found) == EXPECTED[:1]
    assert found[0].received_at == START + 90 * DAY * SECOND


def test_literal_durations_are_found() -> None:
    known = variables("certificate", FleetWorld(1).contract)
    text = 'not_after - at < duration("1h30m") || not_after - at < duration("1.5s")'
    assert durations(compile_expression(text, known, False).root) == {5_400 * SECOND, SECOND * 3 // 2}
