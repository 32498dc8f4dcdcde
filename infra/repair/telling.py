"""How times and corrections are told to people."""

from datetime import UTC, datetime
from typing import Any

from infra.repair.desk import Desk
from schemas.check import json_values
from schemas.correction_messages import RecordPatched
from schemas.corrections import Entry


def moment(micros: int) -> str:
    return datetime.fromtimestamp(micros / 1_000_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def correction(desk: Desk, entry: Entry) -> dict[str, Any]:
    """A correction, for people."""
    given = entry.correction
    told = {
        "lies_at": f"fleet.corrections:0:{entry.at}",
        "kind": type(given).__name__,
        "reason": given.reason,
        "actor": given.actor,
        "at": moment(given.occurred_at),
    }
    if isinstance(given, RecordPatched):
        topic = desk.topic(given.topic)
        told["values"] = json_values(desk.told(topic, given.value).partly.values)
    return told
