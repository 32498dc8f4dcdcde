"""What the log holds while the cases of log_cases.toml run, in memory and on a real broker."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import fastavro

from schemas.codec import parsed
from schemas.wire import prefix

START = 1_777_636_800_000  # 2026-05-01T12:00:00Z, in milliseconds
TOPICS = ("mixed", "readings", "trimmed", "hidden")
OPEN = ("mixed", "readings", "trimmed", "absent")
PARTITIONS = 2
KEPT_FROM = 5  # of "trimmed"

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Seed:
    """A record of partition 0."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


def reading_schema(version: int) -> dict[str, Any]:
    fields = [
        {"name": "station", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "value", "type": ["null", "double"]},
        {"name": "raw", "type": "bytes"},
        {"name": "unit", "type": "string", "default": "Cel"},
    ]
    return {"type": "record", "name": "Reading", "namespace": "sea", "fields": fields[: 3 + version]}


def readings(ids: Sequence[int]) -> list[Seed]:
    """Ten of the first schema, fifteen of the second; the twentieth is a tombstone."""
    made = []
    for number in range(25):
        version = 1 if number < 10 else 2
        schema = reading_schema(version)
        values = {"station": f"station-{number}", "at": (START + number * 1000) * 1000, "value": number + 0.5}
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed(schema), {**values, "raw": b"\x00\xff", "unit": "K"})
        key = f"station-{number}".encode()
        made.append(Seed(key, None if number == 20 else prefix(ids[version - 1]) + out.getvalue()))
    return made


def mixed(ids: Sequence[int], string_id: int) -> list[Seed]:
    """All that a topic may hold; `string_id` is of the schema "string"."""
    reading = readings(ids)[0].value
    assert reading is not None
    return [
        Seed(b"k", b'{"t": 4.50,\n "n": null}', [("trace", b"a b"), ("trace", b"\xff"), ("none", None)]),
        Seed(None, None),
        Seed(b"\xff\x00", b"sea state 3"),
        Seed(b"42", b"42"),
        Seed(b"", b""),
        Seed(b"", b"\xff\xff\xff\xff"),
        Seed(b"", b"\x01\x02"),
        Seed(b"", prefix(999_999) + b"\x0a"),
        Seed(b"", reading[:-1]),
        Seed(prefix(string_id) + b"\x08oslo", reading),
        Seed(b"", b"null"),
        Seed(b"", b'"last"'),
    ]


def trimmed() -> list[Seed]:
    return [Seed(None, b'{"n": %d}' % number) for number in range(8)]


Write = Callable[[str, int, Seed], None]


def fill(write: Write, register: Callable[[str, dict[str, Any]], int]) -> None:
    """Write all of it; `write` puts a seed into partition 0 of a topic with a timestamp."""
    ids = [register("readings-value", reading_schema(version)) for version in (1, 2)]
    string_id = register("mixed-key", {"type": "string"})
    for topic, seeds in (("readings", readings(ids)), ("mixed", mixed(ids, string_id)), ("trimmed", trimmed())):
        for number, seed in enumerate(seeds):
            write(topic, START + number * 1000, seed)
