"""certificates: what the ledger says of each certificate, by serial number. A document per certificate:

| field | holds |
| --- | --- |
| `certificate` | `device_id`, `key_hash` (hexadecimal) and all of CERTIFICATE |
| `superseded` | `by`, the serial number of the certificate that took its place; `occurred_at` |
| `revocation` | `reason`, `detail`, `revocation_id`, `actor`, `occurred_at`: worthless since then |
| `exception` | `until`, `detail`, `actor`, `occurred_at`: may be renewed after its end |
| `count.events`, `position.TOPIC/PARTITION` | as in every document |

A certificate is `revoked` where there is a `revocation`, else `superseded`, else `valid`; see `status`. Times are
microseconds since 1970 UTC. "Newest" is by the log: the ledger is one partition.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import polars as pl

from projections.keyed import by_record
from projections.projection import KEY, KeyedProjection
from projections.updates import Add, Most, Newest, Update

TOPIC = "fleet.certificates"
ISSUED = ("CertificateIssued", "CertificateRenewed")
CERTIFICATE = (
    "device_id", "hardware_id", "session_id", "purpose", "previous_serial", "not_before", "not_after", "key_algorithm",
    "key_hash", "issuer_key_id", "owner", "model", "leaf_index", "occurred_at",
)  # fmt: skip
REVOCATION = ("reason", "detail", "revocation_id", "actor", "occurred_at")
EXCEPTION = ("until", "detail", "actor", "occurred_at")

FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(ISSUED, ("certificate", CERTIFICATE)),
    "CertificateRevoked": ("revocation", REVOCATION),
    "ExceptionGranted": ("exception", EXCEPTION),
}
SUPERSEDES = "__supersedes"
COLUMNS = (*dict.fromkeys((*CERTIFICATE, *REVOCATION, *EXCEPTION)),)


def keyed(topic: str, frame: pl.DataFrame) -> pl.DataFrame:
    """The records that change a document, with its serial number in the column KEY. A certificate that takes the place of
    another touches that one's too: such a row says so in the column SUPERSEDES."""
    needed = ("topic", "partition", "offset", "record", "serial", *COLUMNS)
    frame = frame.filter(pl.col("record").is_in(list(FIELDS))).select(needed)
    own = frame.with_columns(pl.col("serial").alias(KEY), pl.lit(False).alias(SUPERSEDES))
    replaced = frame.filter(pl.col("record").is_in(ISSUED) & pl.col("previous_serial").is_not_null())
    others = replaced.with_columns(pl.col("previous_serial").alias(KEY), pl.lit(True).alias(SUPERSEDES))
    return pl.concat([own, others]).sort("offset", maintain_order=True)


def each(topic: str, record: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Update]]]:
    """The documents that one record touches, and their updates: as `keyed` and `updates` say."""
    kind = record["record"]
    if kind in FIELDS:
        yield record["serial"], updates(topic, {**record, SUPERSEDES: False})
        if kind in ISSUED and record["previous_serial"] is not None:
            yield record["previous_serial"], updates(topic, {**record, SUPERSEDES: True})


def updates(topic: str, record: Mapping[str, Any]) -> dict[str, Update]:
    """What one row of `keyed` changes in its document."""
    partition, offset = record["partition"], record["offset"]
    field, names = FIELDS[record["record"]]
    payload = {name: record[name] for name in names}
    if record[SUPERSEDES]:
        field, payload = "superseded", {"by": record["serial"], "occurred_at": record["occurred_at"]}
    elif field == "certificate":
        payload["key_hash"] = record["key_hash"].hex()
    return {
        field: Newest((partition, offset), payload),
        "count.events": Add(1),
        f"position.{topic}/{partition}": Most(offset),
    }


def status(payloads: Mapping[str, Any]) -> Literal["valid", "revoked", "superseded", "unknown"]:
    """Of `payloads(document)`: what the ledger says of a certificate, whatever its life by the clock."""
    if "revocation" in payloads:
        return "revoked"
    if "certificate" not in payloads:
        return "unknown"
    return "superseded" if "superseded" in payloads else "valid"


CERTIFICATES = KeyedProjection(
    "certificates",
    (TOPIC,),
    by_record(updates),
    keyed,
    each,
    counters={"count.events": TOPIC},
    records={TOPIC: frozenset(FIELDS)},
    partitions=1,
    key="certificate's serial number",
)
