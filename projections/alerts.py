"""alerts: how each alert stands, by its id. A document per alert:

| field | holds |
| --- | --- |
| `alert` | what it is about: ABOUT of its newest event |
| `state` | `status` (pending, firing, acknowledged or resolved), by whom and when |
| `fired`, `acknowledgement`, `resolution` | newest of each: `occurred_at`, `actor`; `comment`; `reason`, `fired_at` |
| `escalation` | `level`, the highest so far |
| `repeat`, `flapping`, `silence`, `unsilence`, `comment` | newest of each |
| `count.events`, `position.TOPIC/PARTITION` | as in every document |

"Newest" is by the log: all events of an alert are in one partition, in the order in which they were decided. Times are
microseconds since 1970 UTC. Shadows have documents too; `mode` tells.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from projections.keyed import by_record
from projections.projection import KEY, KeyedProjection
from projections.updates import Add, Most, Newest, Update

TOPIC = "fleet.alerts"
ABOUT = (
    "rule_id", "rule_version", "home_key", "device_id", "group", "severity", "labels", "annotations", "value", "mode",
    "muted_by", "since", "occurred_at",
)  # fmt: skip
WHO = ("occurred_at", "actor")
FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "AlertPending": ("pending", (*WHO, "due_at")),
    "AlertFired": ("fired", WHO),
    "AlertAcknowledged": ("acknowledgement", (*WHO, "comment")),
    "AlertEscalated": ("escalation", (*WHO, "level")),
    "AlertRepeated": ("repeat", (*WHO, "repeat")),
    "AlertFlapping": ("flapping", (*WHO, "flapping", "changes", "window")),
    "AlertSilenced": ("silence", (*WHO, "silence_id", "until", "comment")),
    "AlertUnsilenced": ("unsilence", (*WHO, "silence_id", "comment")),
    "AlertCommented": ("comment", (*WHO, "comment")),
    "AlertResolved": ("resolution", (*WHO, "reason", "fired_at")),
}
STATUS = {
    "AlertPending": "pending",
    "AlertFired": "firing",
    "AlertAcknowledged": "acknowledged",
    "AlertResolved": "resolved",
}
COLUMNS = (*dict.fromkeys((*ABOUT, *(name for _, names in FIELDS.values() for name in names))),)


def keyed(topic: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The records that change a document, with the alert's id in the column KEY. Refusals of commands change none."""
    needed = ("topic", "partition", "offset", "record", *COLUMNS)
    return frame.filter(pl.col("record").is_in(list(FIELDS))).select(*needed, pl.col("alert_id").alias(KEY))


def each(topic: str, record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Update]]]:
    """The document that one record touches, and its updates."""
    if record["record"] in FIELDS:
        yield record["alert_id"], updates(topic, record)


def updates(topic: str, record: Mapping[str, Any]) -> dict[str, Update]:
    """What one event changes in its alert's document."""
    partition, offset = record["partition"], record["offset"]
    order, kind = (partition, offset), record["record"]
    field, names = FIELDS[kind]
    found: dict[str, Update] = {
        "alert": Newest(order, {name: record[name] for name in ABOUT}),
        field: Newest(order, {name: record[name] for name in names}),
        "count.events": Add(1),
        f"position.{topic}/{partition}": Most(offset),
    }
    if kind in STATUS:
        found["state"] = Newest(order, {"status": STATUS[kind], **{name: record[name] for name in WHO}})
    return found


ALERTS = KeyedProjection(
    "alerts",
    (TOPIC,),
    by_record(updates),
    keyed,
    each,
    counters={"count.events": TOPIC},
    records={TOPIC: frozenset(FIELDS)},
    partitions=6,
    key="alert",
)
