"""device_state: what is known of each device now. One document per device:

| field | holds |
| --- | --- |
| `count.heartbeats`, `count.telemetry`, `count.events`, `count.registrations` | records of the topic |
| `count.readings` | readings in telemetry records |
| `metric.NAME` | newest reading of a metric: value, unit, at, received_at |
| `heartbeat` | newest heartbeat, whole |
| `event` | newest device event: event_id, event_type, confidence, occurred_at |
| `registration` | newest registration: hardware_id, model, firmware_version, ... |
| `last_seen` | newest received_at of any record |
| `online_until` | the device is online while the clock has not reached this |
| `skew` | of the newest record: received_at - occurred_at, in `micros` |
| `position.TOPIC/PARTITION` | offset of the last record of that partition folded into this document |

Times are microseconds since 1970 UTC. "Newest" is by the device's clock, but a clock that runs ahead does not outrun
the server's: the time that counts is min(device time, received_at). Otherwise one reading from the year 2100 would hide
all later ones.

This module is the definition, a record at a time. projections.frames.device_state is its columnar twin.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from projections.projection import KEY
from projections.updates import Add, Most, Newest, Update

HEARTBEATS = "fleet.heartbeats"
TELEMETRY = "fleet.telemetry"
EVENTS = "fleet.device-events"
REGISTRATIONS = "fleet.registration.events"
REGISTERED = "DeviceRegistered"
TOPICS = (HEARTBEATS, TELEMETRY, EVENTS, REGISTRATIONS)

COUNTERS = {HEARTBEATS: "heartbeats", TELEMETRY: "telemetry", EVENTS: "events", REGISTRATIONS: "registrations"}

# A device that was not heard of for this long is offline (third seed document, critical alerts: device offline > 5 min).
ONLINE_MICROS = 300 * 1_000_000

EVENT_FIELDS = ("event_id", "event_type", "confidence", "occurred_at", "received_at")
REGISTRATION_FIELDS = ("hardware_id", "model", "firmware_version", "hardware_revision", "capabilities", "received_at")
HEARTBEAT_LEFT_OUT = frozenset({"topic", "partition", "offset", "device_id", KEY})


def updates(topic: str, partition: int, offset: int, record: Mapping[str, Any]) -> dict[str, Update]:
    """What one record changes in its device's document. `record` has its columns; where the topic holds several record
    types, `record` among them says which one it is, and all but registrations change nothing."""
    if topic == REGISTRATIONS and record["record"] != REGISTERED:
        return {}
    received = record["received_at"]
    return {
        **seen(topic, partition, offset, received, record["occurred_at"]),
        f"count.{COUNTERS[topic]}": Add(1),
        **_content(topic, partition, offset, record),
    }


def each(topic: str, record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Update]]]:
    """The document that one record touches, and its updates."""
    if found := updates(topic, record["partition"], record["offset"], record):
        yield record["device_id"], found


def seen(topic: str, partition: int, offset: int, received: int, occurred: int) -> dict[str, Update]:
    """What every record changes: presence, skew, position."""
    return {
        "last_seen": Most(received),
        "online_until": Most(received + ONLINE_MICROS),
        "skew": Newest((received, topic, partition, offset), {"micros": received - occurred}),
        f"position.{topic}/{partition}": Most(offset),
    }


def _content(topic: str, partition: int, offset: int, record: Mapping[str, Any]) -> dict[str, Update]:
    received = record["received_at"]
    order = (min(record["occurred_at"], received), partition, offset)
    if topic == TELEMETRY:
        found: dict[str, Update] = {"count.readings": Add(len(record["readings"]))}
        for place, reading in enumerate(record["readings"]):
            update = Newest(
                (min(reading["at"], received), partition, offset, place),
                {"value": reading["value"], "unit": reading["unit"], "at": reading["at"], "received_at": received},
            )
            name = f"metric.{reading['metric']}"
            earlier = found.get(name)
            if not isinstance(earlier, Newest) or update.order > earlier.order:
                found[name] = update
        return found
    if topic == HEARTBEATS:
        return {"heartbeat": Newest(order, {k: v for k, v in record.items() if k not in HEARTBEAT_LEFT_OUT})}
    if topic == EVENTS:
        return {"event": Newest(order, {name: record[name] for name in EVENT_FIELDS})}
    return {"registration": Newest(order, {name: record[name] for name in REGISTRATION_FIELDS})}
