"""What `fleetlog dlq` says, as data and as text."""

import argparse
from collections.abc import Mapping
from typing import Any

import polars as pl

from infra.repair.desk import Desk, UnknownPlace
from infra.repair.redriving import NothingToRedrive, Outcome, until_of
from infra.repair.telling import correction, moment
from schemas.check import json_values
from schemas.log import TopicPartition
from schemas.places import Place
from schemas.wire import PREFIX_BYTES

MOST_HEX = 512  # bytes of a dump: around the fault
ROW = 16


def listing(letters: pl.DataFrame, filters: Mapping[str, str], limit: int, page: int) -> dict[str, Any]:
    """Counts of the letters that pass the filters, and one page of them."""
    for name, value in filters.items():
        letters = letters.filter(pl.col(name) == value)
    counts = {
        name: dict(letters.group_by(name).len().sort("len", name, descending=[True, False]).iter_rows())
        for name in ("reason", "view", "topic", "state")
    }
    shown = letters.slice((page - 1) * limit, limit)
    return {
        "letters": len(letters),
        "records": letters.n_unique(["topic", "partition", "offset"]) if len(letters) else 0,
        "counts": counts,
        "page": page,
        "pages": -(-len(letters) // limit),
        "listed": [_listed(row) for row in shown.iter_rows(named=True)],
    }


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "position": f"{row['topic']}:{row['partition']}:{row['offset']}",
        "view": row["view"],
        "reason": row["reason"],
        "detail": row["detail"],
        "state": row["state"],
        "set_aside_at": moment(row["set_aside_at"]),
        "bytes": row["size"],
        "letter": f"fleet.dead-letters:{row['letter_partition']}:{row['letter_offset']}",
    }


def print_listing(report: dict[str, Any]) -> None:
    print(f"{report['letters']:,} letters about {report['records']:,} records")
    for name, counts in report["counts"].items():
        if counts:
            print(f"  by {name}: " + ", ".join(f"{value} {count:,}" for value, count in counts.items()))
    for one in report["listed"]:
        print(f"{one['position']:<36} {one['view']:<18} {one['state']:<9} {one['reason']:<17} {one['detail'][:80]}")
    if report["pages"] > 1:
        print(f"page {report['page']} of {report['pages']} (--page N)")


def record(desk: Desk, place: Place) -> dict[str, Any]:
    """All that there is to say of a record.

    Raises:
        UnknownPlace: neither the log nor a letter has it.
    """
    letters = desk.letters_of(place)
    place = letters[0].place if letters else place
    try:
        found = desk.record(place)
        key, value, lies = found.key, found.value, True
    except UnknownPlace:
        if not letters:
            raise
        key, value, lies = letters[0].key, letters[0].value, False  # the log has lost it, the letter has not
    topic = desk.topic(place.source.topic)
    told = desk.told(topic, value)
    faults = desk.decoder(topic.name).decode([value]).faults
    at = None if told.partly.at is None else told.partly.at + (PREFIX_BYTES if told.record_type else 0)
    return {
        "position": str(place),
        "in_the_log": lies,
        "key": None if key is None else key.decode("utf-8", "backslashreplace"),
        "bytes": 0 if value is None else len(value),
        "schema_id": told.schema_id,
        "subject": told.subject,
        "subject_version": told.version,
        "record_type": told.record_type,
        "fault": f"{faults[0].reason}: {faults[0].detail}" if faults else None,
        "fault_at_byte": at if faults else None,
        "values": json_values(told.partly.values),
        "hex": hex_dump(value or b"", at if faults else None),
        "letters": [
            {"view": one.view, "reason": one.reason, "detail": one.detail, "set_aside_at": moment(one.set_aside_at),
             "lies_at": str(one.lies_at)} for one in letters
        ],
        "corrections": [correction(desk, entry) for entry in desk.history(place)],
    }  # fmt: skip


def hex_dump(value: bytes, fault: int | None) -> list[str]:
    """Lines of 16 bytes, those around the fault where there are many; `>` marks the line of the fault."""
    first = 0 if fault is None else max(0, fault // ROW * ROW - MOST_HEX // 2)
    lines = []
    for at in range(first, min(len(value), first + MOST_HEX), ROW):
        row = value[at : at + ROW]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        mark = ">" if fault is not None and at <= min(fault, len(value) - 1) < at + ROW else " "
        lines.append(f"{mark} {at:08x}  {row.hex(' '):<47}  {text}")
    return lines


def print_record(report: dict[str, Any]) -> None:
    where = "" if report["in_the_log"] else " (no longer in the log; from its letter)"
    print(f"{report['position']}{where}: key {report['key']!r}, {report['bytes']} bytes")
    print(
        f"  schema {report['schema_id']}, {report['subject']} version {report['subject_version']}, {report['record_type']}"
    )
    if report["fault"]:
        at = report["fault_at_byte"]
        print(f"  FAULT {report['fault']}" + ("" if at is None else f" (byte {at} of the value)"))
    for name, value in report["values"].items():
        print(f"  {name} = {value!r}")
    print("\n".join(report["hex"]))
    for one in report["letters"]:
        print(f"letter of {one['view']}: {one['reason']}: {one['detail']} ({one['set_aside_at']}, {one['lies_at']})")
    for one in report["corrections"]:
        print(f"{one['kind']} by {one['actor']} at {one['at']}: {one['reason']} ({one['lies_at']})")


def until(desk: Desk, options: argparse.Namespace) -> int:
    """Up to which correction the options say.

    Raises:
        NothingToRedrive: there is none.
    """
    corrections = desk.corrections()
    if options.all:
        if not corrections.until:
            raise NothingToRedrive("there are no corrections")
        return corrections.until
    if options.places:
        return until_of(desk, [Place.parse(text) for text in options.places])
    letters = desk.letters(corrections).filter((pl.col("reason") == options.reason) & (pl.col("state") != "open"))
    places = letters.select("topic", "partition", "offset").unique().iter_rows()
    entries = [corrections.of_record(TopicPartition(topic, partition), offset) for topic, partition, offset in places]
    found = max((entry.at + 1 for entry in entries if entry is not None), default=0)
    if not found:
        raise NothingToRedrive(f"no record that was set aside as {options.reason} is corrected")
    return found


def print_outcome(outcome: Outcome) -> None:
    print(f"{outcome.view}: {outcome.records:,} corrected records, {outcome.remade:,} documents or records' rows made anew")
