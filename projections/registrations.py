"""registrations: how far each device and each claim is. A document per hardware id, and one per claim id.

Of a device:

| field | holds of the newest such event |
| --- | --- |
| `pre_registration` | `owner`, `model`, `key_algorithm` |
| `session` | `session_id`, `device_id`, `model`, `firmware_version`, `hardware_revision`, `capabilities`, ... |
| `challenge` | `session_id`, `via`, `claim_id`, `owner`: the device was admitted, for this owner |
| `challenge_failure` | `session_id`, `attempts_left`, `detail` |
| `passed` | `session_id`, `key_mode` |
| `certificate` | `session_id`, `purpose`, `serial`, `not_before`, `not_after`, `leaf_index` |
| `failure` | `session_id`, `purpose`, `detail`: no certificate could be made |
| `withdrawal` | `serial`, `reason` |
| `renewal` | `session_id`, `purpose`, `serial` |
| `activation` | `device_id` |
| `reset` | `serial`, `detail` |
| `registered` | `device_id`, `model`, `firmware_version` of a device that registered itself without proof |
| `state`, `approach` | see `lifecycle` |

Of a claim: `claim` (`owner`, `expires_at`, `registration_type`, ...), `spent` (`hardware_id`, `session_id`, `owner`),
`attempt` (`hardware_id`, `credential`, `attempts_left`), `lock`.

Of both: `refused` (`command`, `code`, `detail`), `refusals.CODE` (how many), `count.events`, and `position.TOPIC/PARTITION`.

Each has `occurred_at` too. Times are microseconds since 1970 UTC. "Newest" is by the log: all events of a device, and all
of a claim, are in one partition, and what a decider wrote later it decided later, whatever the clocks said. Hashes, nonces,
keys and certificates are left out: whoever needs one reads the event.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from projections.keyed import by_record
from projections.projection import KEY, KeyedProjection
from projections.updates import Add, Most, Newest, Update
from schemas.message_values import DeviceState

TOPIC = "fleet.registration.events"
SESSION = (
    "session_id", "device_id", "model", "firmware_version", "hardware_revision", "capabilities", "key_algorithm",
    "expires_at", "occurred_at",
)  # fmt: skip

FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "DevicePreRegistered": ("pre_registration", ("owner", "model", "key_algorithm", "occurred_at")),
    "SessionOpened": ("session", SESSION),
    "ChallengeIssued": ("challenge", ("session_id", "device_id", "via", "claim_id", "owner", "occurred_at")),
    "ChallengeFailed": ("challenge_failure", ("session_id", "attempts_left", "detail", "occurred_at")),
    "ChallengePassed": ("passed", ("session_id", "device_id", "key_mode", "occurred_at")),
    "CertificateRecorded": (
        "certificate",
        ("session_id", "device_id", "purpose", "serial", "not_before", "not_after", "leaf_index", "occurred_at"),
    ),
    "CertificateFailed": ("failure", ("session_id", "purpose", "detail", "occurred_at")),
    "CertificateWithdrawn": ("withdrawal", ("serial", "reason", "occurred_at")),
    "RenewalRequested": ("renewal", ("session_id", "purpose", "serial", "occurred_at")),
    "DeviceActivated": ("activation", ("device_id", "occurred_at")),
    "DeviceReset": ("reset", ("serial", "detail", "occurred_at")),
    "DeviceRegistered": ("registered", ("device_id", "model", "firmware_version", "occurred_at")),
    "DeviceStateChanged": ("state", ("state", "detail", "occurred_at")),
    "ClaimTokenIssued": (
        "claim",
        ("owner", "registration_type", "device_type", "expires_at", "latitude", "longitude", "occurred_at"),
    ),
    "ClaimSpent": ("spent", ("hardware_id", "session_id", "owner", "credential", "occurred_at")),
    "ClaimAttemptFailed": ("attempt", ("hardware_id", "credential", "attempts_left", "occurred_at")),
    "ClaimLocked": ("lock", ("hardware_id", "occurred_at")),
    "CommandRefused": ("refused", ("command", "code", "detail", "occurred_at")),
}
"""Record type -> the field that holds its newest, and what of it. Other types change nothing."""

OF_CLAIMS = ("ClaimTokenIssued", "ClaimSpent", "ClaimAttemptFailed", "ClaimLocked")
COMMANDS_OF_CLAIMS = ("IssueClaimToken", "SpendClaim")

STATES: Mapping[str, DeviceState] = {
    "ChallengePassed": "activating",
    "DeviceActivated": "operational",
    "DeviceReset": "setup_mode",
}
"""The state that an event brings a device to."""
APPROACHES: Mapping[str, DeviceState] = {"SessionOpened": "network_ready", "ChallengeIssued": "claiming"}
"""The state that an event brings a device to unless it has a certificate, which nothing unproven takes from it."""

COLUMNS = (*dict.fromkeys(name for _, names in FIELDS.values() for name in names),)


def keyed(topic: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The records that change a document, with the document's key in the column KEY."""
    record = pl.col("record")
    of_claim = record.is_in(OF_CLAIMS) | ((record == "CommandRefused") & pl.col("command").is_in(COMMANDS_OF_CLAIMS))
    key = pl.when(of_claim.fill_null(False)).then(pl.col("claim_id")).otherwise(pl.col("hardware_id"))
    needed = ("topic", "partition", "offset", "record", KEY, *COLUMNS)
    return frame.filter(record.is_in(list(FIELDS))).with_columns(key.alias(KEY)).drop_nulls(KEY).select(needed)


def each(topic: str, record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Update]]]:
    """The document that one record touches, and its updates: as `keyed` and `updates` say."""
    kind = record["record"]
    if kind in FIELDS:
        of_claim = kind in OF_CLAIMS or (kind == "CommandRefused" and record["command"] in COMMANDS_OF_CLAIMS)
        key = record["claim_id"] if of_claim else record["hardware_id"]
        if key is not None:
            yield key, updates(topic, record)


def updates(topic: str, record: Mapping[str, Any]) -> dict[str, Update]:
    """What one record of `keyed` changes in its document."""
    partition, offset, kind = record["partition"], record["offset"], record["record"]
    order = (partition, offset)
    field, names = FIELDS[kind]
    found: dict[str, Update] = {
        field: Newest(order, {name: record[name] for name in names}),
        "count.events": Add(1),
        f"position.{topic}/{partition}": Most(offset),
    }
    if kind == "CommandRefused":
        found[f"refusals.{record['code']}"] = Add(1)
    about = {"detail": record.get("detail"), "occurred_at": record["occurred_at"]}
    if kind == "CertificateFailed" and record["purpose"] == "registration":
        found["state"] = Newest(order, {"state": "error", **about})
    elif kind in STATES:
        found["state"] = Newest(order, {"state": STATES[kind], **about})
    elif kind in APPROACHES or (kind == "ChallengeFailed" and record["attempts_left"] == 0):
        found["approach"] = Newest(order, {"state": APPROACHES.get(kind, "network_ready"), **about})
    return found


def lifecycle(payloads: Mapping[str, Any], orders: Mapping[str, tuple[int, ...]]) -> DeviceState:
    """The state of a device, from `payloads(document)` and `orders(document)`: of the newest step, but that one towards a
    registration counts only as long as the device has no certificate."""
    held = orders.get("certificate", ())
    gone = max((orders.get(name, ()) for name in ("reset", "withdrawal")), default=())
    steps = ["state"] if held and held > gone else ["state", "approach"]
    newest = max((name for name in steps if name in payloads), key=lambda name: orders[name], default=None)
    state: DeviceState = "uninitialized" if newest is None else payloads[newest]["state"]
    return state


REGISTRATIONS = KeyedProjection(
    "registrations",
    (TOPIC,),
    by_record(updates),
    keyed,
    each,
    counters={"count.events": TOPIC},
    records={TOPIC: frozenset(FIELDS)},
    key="hardware id or a claim id",
)
