"""What the view `registrations` says of devices and claims."""

import asyncio
import json
import time
from typing import Any

import pytest

from connectors.ports import Away, Document
from connectors.registration.faults import RegistrationFault
from connectors.registration.view_lookups import ViewLookups

SESSION = {"session_id": "s1", "device_id": "dev-SN-1", "model": "M1", "capabilities": ["camera"]}


class Views:
    """The port ViewReader. `after`: a document is there this long after the first question."""

    def __init__(self, documents: dict[str, Document], after: float = 0.0) -> None:
        self.documents, self.after, self.away, self.asked = documents, after, "", 0
        self.first = float("inf")

    async def get(self, view: str, key: str) -> Document | None:
        if self.away:
            raise Away(self.away)
        self.asked += 1
        self.first = min(self.first, time.monotonic())
        late = time.monotonic() < self.first + self.after
        return None if late else self.documents.get(key)

    async def close(self) -> None: ...


def document(*events: tuple[str, dict[str, Any]]) -> Document:
    """Of events in the order of the log."""
    placed = {name: json.dumps({**payload, "order": [3, offset]}) for offset, (name, payload) in enumerate(events)}
    return {**placed, "count.events": str(len(events)), "position.fleet.registration.events/3": "9"}


def of(session: str, **more: Any) -> dict[str, Any]:
    return {"session_id": session, **more}


ADMITTED = ("challenge", of("s1", owner="alice"))
LIFE = [
    (("session", SESSION), "session", None),
    (ADMITTED, "challenged", None),
    (("passed", of("s1")), "passed", "alice"),
    (("certificate", of("s1", serial="a")), "certified", "alice"),
    (("activation", {"device_id": "dev-SN-1"}), "activated", "alice"),
    (("certificate", of("r1", serial="b")), "activated", "alice"),
    (("reset", {"serial": "b"}), "activated", None),
]


@pytest.mark.parametrize("count", range(1, len(LIFE) + 1))
def test_a_devices_life(count: int) -> None:
    events = [event for event, _, _ in LIFE[:count]]
    _, stage, owner = LIFE[count - 1]
    device = asyncio.run(ViewLookups(Views({"SN-1": document(*events)})).device("dev-SN-1"))
    assert device is not None
    assert (device.stage, device.owner, device.hardware_id, device.model) == (stage, owner, "SN-1", "M1")


def test_a_new_session_is_another_life() -> None:
    events = [event for event, _, _ in LIFE]
    again = document(*events, ("session", {**SESSION, "session_id": "s2"}), ("challenge", of("s2", owner="bob")))
    device = asyncio.run(ViewLookups(Views({"SN-1": again})).device("dev-SN-1"))
    assert device is not None
    assert (device.stage, device.owner, device.session_id) == ("challenged", None, "s2")


def test_who_is_admitted_and_has_not_proved_its_key_owns_nothing() -> None:
    events = [event for event, _, _ in LIFE[:4]]
    other = document(*events, ("session", {**SESSION, "session_id": "s2"}), ("challenge", of("s2", owner="mallory")))
    device = asyncio.run(ViewLookups(Views({"SN-1": other})).device("dev-SN-1"))
    assert device is not None
    assert device.owner is None


@pytest.mark.parametrize(("left", "stage", "failure"), [(1, "challenged", None), (0, "failed", "REG-004")])
def test_the_third_wrong_signature_is_the_end(left: int, stage: str, failure: str | None) -> None:
    document_of = document(LIFE[0][0], ADMITTED, ("challenge_failure", of("s1", attempts_left=left)))
    device = asyncio.run(ViewLookups(Views({"SN-1": document_of})).device("dev-SN-1"))
    assert device is not None
    assert (device.stage, device.failure) == (stage, failure)


def test_a_claim() -> None:
    issued = ("claim", {"owner": "alice", "expires_at": 7})
    spent = ("spent", {"hardware_id": "SN-1", "session_id": "s1"})
    views = Views({"claim-1": document(issued), "claim-2": document(issued, ("attempt", {}), spent)})
    one, two = (asyncio.run(ViewLookups(views).claim(name)) for name in ("claim-1", "claim-2"))
    assert one is not None
    assert two is not None
    assert (one.owner, one.expires_at, one.tried, one.hardware_id) == ("alice", 7, False, None)
    assert (two.tried, two.locked, two.hardware_id, two.session_id) == (True, False, "SN-1", "s1")


def test_a_view_that_lags_is_waited_for_a_little() -> None:
    issued = ("claim", {"owner": "alice", "expires_at": 7})
    views = Views({"claim-1": document(issued)}, after=0.2)
    assert asyncio.run(ViewLookups(views).claim("claim-1")) is not None
    started = time.monotonic()
    assert asyncio.run(ViewLookups(Views({})).claim("claim-2")) is None
    assert 0.9 < time.monotonic() - started < 3


def declared(device_id: str) -> tuple[str, dict[str, Any]]:
    return "registered", {"device_id": device_id, "model": "M9"}


def test_a_device_that_was_made_known_under_an_id_of_its_own_is_found_by_it() -> None:
    state = {"registration": json.dumps({"hardware_id": "HW-9", "order": [1]})}
    views = Views({"lab-1": state, "HW-9": document(declared("lab-1"))})
    device = asyncio.run(ViewLookups(views).device("lab-1"))
    assert device is not None
    assert (device.device_id, device.hardware_id, device.model, device.owner, device.stage) == (
        "lab-1", "HW-9", "M9", None, None,
    )  # fmt: skip
    views.documents["HW-9"] = document(declared("lab-1"), *(event for event, _, _ in LIFE[:4]))
    device = asyncio.run(ViewLookups(views).device("lab-1"))
    assert device is not None
    assert (device.device_id, device.hardware_id, device.owner) == ("lab-1", "HW-9", "alice")
    views.documents["HW-9"] = document(declared("lab-2"))
    assert asyncio.run(ViewLookups(views).device("lab-1")) is None, "the machine goes by another id"


def test_an_id_that_nobody_has_is_not_waited_for() -> None:
    started = time.monotonic()
    assert asyncio.run(ViewLookups(Views({})).device("other")) is None
    assert time.monotonic() - started < 0.5


def test_where_the_newest_certificate_was_recorded() -> None:
    async def at(count: int) -> tuple[int, int] | None:
        views = Views({"SN-1": document(*(event for event, _, _ in LIFE[:count]))})
        found = await ViewLookups(views).device("dev-SN-1")
        assert found is not None
        return found.recorded

    assert [asyncio.run(at(count)) for count in range(1, len(LIFE) + 1)] == [None, None, None, (3, 3), (3, 3), (3, 5), None]


def test_a_store_that_is_away_is_told() -> None:
    views = Views({})
    views.away = "on purpose"
    with pytest.raises(RegistrationFault) as fault:
        asyncio.run(ViewLookups(views).hardware("SN-1"))
    assert (fault.value.status, fault.value.code) == (503, "REG-009")
