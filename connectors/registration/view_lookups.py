"""What is known of devices and claims, out of the view `registrations` (port Lookups).

Its documents are by hardware id and by claim id; a field holds of the newest event of one kind what its JSON object says,
and `order`, its place in the log (projections.registrations).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from connectors.ports import Away, Document
from connectors.registration.faults import store_away
from connectors.registration.lookups import Claim, Device, Stage, hardware_id_of
from connectors.view_reader import ViewReader

T = TypeVar("T")
VIEW, STATES = "registrations", "device_state"
PATIENCE = 1.0  # seconds in which a view that lags comes to what was decided a moment ago
LOOK_SECONDS = 0.02
STAGES: Mapping[str, Stage] = {
    "session": "session",
    "challenge": "challenged",
    "passed": "passed",
    "certificate": "certified",
    "failure": "failed",
    "challenge_failure": "failed",
    "activation": "activated",
}
"""Of the newest of these fields the stage."""
FAILURES = {"failure": "REG-008", "challenge_failure": "REG-004"}
Held = dict[str, dict[str, Any]]


class ViewLookups:
    """Reads the view."""

    def __init__(self, views: ViewReader) -> None:
        self._views = views

    async def device(self, device_id: str, serial: str | None = None) -> Device | None:
        hardware_id = hardware_id_of(device_id)
        if hardware_id is not None:

            def made(document: Document) -> Device | None:
                found = device_of(hardware_id, held(document))
                return found if found is not None and found.device_id == device_id else None

            found = await self._waited(hardware_id, made, patience=PATIENCE if serial else 0.0)
            if found is not None:
                return found
        return await self._declared(device_id)

    async def _declared(self, device_id: str) -> Device | None:
        """A device that was made known under an id of its own, without proof (POST /v1/devices)."""

        def hardware(document: Document) -> str | None:
            registration = held(document).get("registration")
            return None if registration is None else registration["hardware_id"]

        hardware_id = await self._waited(device_id, hardware, patience=0.0, view=STATES)
        if hardware_id is None:
            return None

        def made(document: Document) -> Device | None:
            fields = held(document)
            declared = fields.get("registered")
            if declared is None or declared["device_id"] != device_id:
                return None  # the machine was made known under yet another id since
            found = device_of(hardware_id, fields)
            if found is not None:
                return replace(found, device_id=device_id)
            return Device(hardware_id, device_id, None, declared["model"], (), None, None)

        return await self._waited(hardware_id, made, patience=0.0)

    async def hardware(self, hardware_id: str) -> Device | None:
        return await self._waited(hardware_id, lambda document: device_of(hardware_id, held(document)), patience=0.0)

    async def claim(self, claim_id: str) -> Claim | None:
        return await self._waited(claim_id, lambda document: claim_of(claim_id, held(document)), patience=PATIENCE)

    async def _waited(self, key: str, made: Callable[[Document], T | None], patience: float, view: str = VIEW) -> T | None:
        until = time.monotonic() + patience
        while True:
            try:
                document = await self._views.get(view, key)
            except Away as away:
                raise store_away(str(away)) from None
            found = made(document) if document is not None else None
            if found is not None or time.monotonic() >= until:
                return found
            await asyncio.sleep(LOOK_SECONDS)


def held(document: Document) -> Held:
    """The events in a document; what is no event of it is left out."""
    return {name: msgspec.json.decode(text) for name, text in document.items() if text.startswith("{")}


def device_of(hardware_id: str, fields: Held) -> Device | None:
    """The device of a document; None before it asked to be registered."""
    session = fields.get("session")
    if session is None:
        return None
    here = session["session_id"]
    own = [name for name in STAGES if name in fields and fields[name].get("session_id", here) == here]
    if "challenge_failure" in own and fields["challenge_failure"]["attempts_left"]:
        own.remove("challenge_failure")  # it may try again
    newest = max(own, key=lambda name: fields[name]["order"])
    return Device(
        hardware_id=hardware_id,
        device_id=session["device_id"],
        owner=_owner(fields),
        model=session["model"],
        capabilities=session["capabilities"],
        session_id=session["session_id"],
        stage=STAGES[newest],
        failure=FAILURES.get(newest),
        recorded=_recorded(fields),
    )


def _recorded(fields: Held) -> tuple[int, int] | None:
    certificate = fields.get("certificate")
    if certificate is None:
        return None
    for name in ("reset", "withdrawal"):
        gone = fields.get(name)
        if gone is not None and gone["serial"] == certificate["serial"] and gone["order"] > certificate["order"]:
            return None
    partition, offset = certificate["order"]
    return partition, offset


def _owner(fields: Held) -> str | None:
    """Whose the device is: of whom it was admitted for in the session that passed its challenge, until it is reset."""
    challenge, passed, reset = (fields.get(name) for name in ("challenge", "passed", "reset"))
    if challenge is None or passed is None or challenge["session_id"] != passed["session_id"]:
        return None
    if reset is not None and reset["order"] > passed["order"]:
        return None
    owner: str | None = challenge["owner"]
    return owner


def claim_of(claim_id: str, fields: Held) -> Claim | None:
    """The claim of a document."""
    issued, spent = fields.get("claim"), fields.get("spent", {})
    if issued is None:
        return None
    return Claim(
        claim_id=claim_id,
        owner=issued["owner"],
        expires_at=issued["expires_at"],
        tried="attempt" in fields,
        locked="lock" in fields,
        hardware_id=spent.get("hardware_id"),
        session_id=spent.get("session_id"),
    )
