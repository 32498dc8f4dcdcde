"""Requests that must be refused, as data: what is sent, and the status, code and place of the answer."""

import gzip
import json
from dataclasses import dataclass, field
from typing import Any

from tests.connectors.ingress.raw import request
from tests.connectors.ingress.uploads import event, heartbeat, registration, telemetry

GZIP = {"Content-Encoding": "gzip"}
TELEMETRY, EVENTS, HEARTBEAT = (f"/v1/devices/d/{kind}" for kind in ("telemetry", "events", "heartbeat"))


@dataclass(frozen=True)
class Bad:
    """`place` is the path of one of the faults named; for Kafka-REST (`code` a number) a part of the message."""

    name: str
    status: int
    code: str | int
    place: str
    body: bytes = b""
    method: str = "POST"
    path: str | bytes = TELEMETRY
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    @property
    def content(self) -> bytes:
        return self.raw if self.raw is not None else request(self.method, self.path, self.body, self.headers)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def with_value(text: str) -> bytes:
    """A telemetry upload with `text` for the value of its reading."""
    return as_json(telemetry(value=12345.5)).replace(b"12345.5", text.encode())


def event_with(text: str) -> bytes:
    """An event with `text` for a value of its metadata."""
    return as_json(event()).replace(b"0.9}", text.encode() + b"}")


def at(moment: str | int) -> bytes:
    return as_json(telemetry(occurred_at=moment))


def without(name: str) -> bytes:
    upload = telemetry()
    del upload[name]
    return as_json(upload)


GOOD = as_json(telemetry())
JSON = [
    Bad("empty body", 400, "MALFORMED_JSON", "$"),
    Bad("no JSON", 400, "MALFORMED_JSON", "$", b"{"),
    Bad("trailing text", 400, "MALFORMED_JSON", "$", GOOD + b"x"),
    Bad("two documents", 400, "MALFORMED_JSON", "$", GOOD + GOOD),
    Bad("byte order mark", 400, "MALFORMED_JSON", "$", b"\xef\xbb\xbf" + GOOD),
    Bad("UTF-16", 400, "MALFORMED_JSON", "$", GOOD.decode().encode("utf-16")),
    Bad("invalid UTF-8", 400, "MALFORMED_JSON", "$", GOOD.replace(b'"boot"', b'"bo\xfft"')),
    Bad("NaN", 400, "MALFORMED_JSON", "$", with_value("NaN")),
    Bad("Infinity", 400, "MALFORMED_JSON", "$", with_value("-Infinity")),
    Bad("number with a leading zero", 400, "MALFORMED_JSON", "$", with_value("01")),
    Bad("control character in a string", 400, "MALFORMED_JSON", "$", GOOD.replace(b"Cel", b"C\x00l")),
    Bad("an array", 422, "INVALID_BODY", "$", b"[]"),
    Bad("null", 422, "INVALID_BODY", "$", b"null"),
    Bad("too deep", 400, "TOO_DEEP", "$", b'{"a":' * 33 + b"1" + b"}" * 33),
    Bad("far too deep", 400, "TOO_DEEP", "$", b"[" * 200_000 + b"]" * 200_000),
    Bad("deep and never closed", 400, "TOO_DEEP", "$", b"[" * 5_000_000),
    Bad("deep inside of metadata", 400, "TOO_DEEP", "$", path=EVENTS, body=event_with("[" * 40 + "]" * 40)),
]
VALUES = [
    Bad("1e400", 422, "INVALID_BODY", "$.readings[0].value", with_value("1e400")),
    Bad("integer of 500 digits", 422, "INVALID_BODY", "$.readings[0].value", with_value("9" * 500)),
    Bad("integer of a million digits", 422, "INVALID_BODY", "$.readings[0].value", with_value("9" * 1_000_000)),
    Bad("text for a number", 422, "INVALID_BODY", "$.readings[0].value", with_value('"21.5"')),
    Bad("boolean for a number", 422, "INVALID_BODY", "$.readings[0].value", with_value("true")),
    Bad("null for a number", 422, "INVALID_BODY", "$.readings[0].value", with_value("null")),
    Bad("object for a number", 422, "INVALID_BODY", "$.readings[0].value", with_value("{}")),
    Bad("half a surrogate pair", 422, "INVALID_BODY", "$.boot_id", GOOD.replace(b'"boot"', rb'"\ud800"')),
    Bad("sequence beyond 64 bits", 422, "INVALID_BODY", "$.sequence", as_json(telemetry(2**63))),
    Bad("negative sequence", 422, "INVALID_BODY", "$.sequence", as_json(telemetry(-1))),
    Bad("fraction for a sequence", 422, "INVALID_BODY", "$.sequence", GOOD.replace(b": 1,", b": 1.5,")),
    Bad("empty boot id", 422, "INVALID_BODY", "$.boot_id", as_json(telemetry(boot_id=""))),
    Bad("boot id too long", 422, "INVALID_BODY", "$.boot_id", as_json(telemetry(boot_id="b" * 65))),
    Bad("year 9999", 422, "INVALID_BODY", "$.occurred_at", at("9999-12-31T23:59:59Z")),
    Bad("year 10000", 422, "INVALID_BODY", "$.occurred_at", at("10000-01-01T00:00:00Z")),
    Bad("before 1970", 422, "INVALID_BODY", "$.occurred_at", at("1969-12-31T23:59:59Z")),
    Bad("no zone", 422, "INVALID_BODY", "$.occurred_at", at("2026-05-01T12:00:00")),
    Bad("no time", 422, "INVALID_BODY", "$.occurred_at", at("yesterday")),
    Bad("microseconds of the year 9999", 422, "INVALID_BODY", "$.occurred_at", at(253402300799000000)),
    Bad("no readings", 422, "INVALID_BODY", "$.readings", as_json(telemetry(readings=[]))),
    Bad("too many readings", 422, "INVALID_BODY", "$.readings", as_json(telemetry(readings=telemetry()["readings"] * 1001))),
    Bad("bad name of a metric", 422, "INVALID_BODY", "$.readings[0].metric", GOOD.replace(b"temperature", b"../etc/passwd")),
    Bad("confidence beyond 1", 422, "INVALID_BODY", "$.confidence", as_json({**event(), "confidence": 2}), path=EVENTS),
    Bad("number out of range in metadata", 422, "INVALID_BODY", "$.metadata", path=EVENTS, body=event_with("1e999")),
    Bad(
        "latitude beyond the pole",
        422,
        "INVALID_BODY",
        "$.location.latitude",
        path=HEARTBEAT,
        body=as_json(heartbeat(location={"latitude": 91, "longitude": 0, "timestamp": 0})),
    ),
    Bad("hardware id with a slash", 422, "INVALID_BODY", "$.hardware_id", as_json(registration("../x")), path="/v1/devices"),
]
FIELDS = [
    Bad("unknown field", 422, "INVALID_BODY", "$.colour", as_json(telemetry(colour="red"))),
    Bad(
        "unknown field in a reading", 422, "INVALID_BODY", "$.readings[0].x", GOOD.replace(b'"metric"', b'"x": 1, "metric"')
    ),
    Bad("a field of the server's", 422, "INVALID_BODY", "$.event_id", as_json(telemetry(event_id="x"))),
    Bad("the device's id in the body", 422, "INVALID_BODY", "$.device_id", as_json(telemetry(device_id="other"))),
    *(Bad(f"without {name}", 422, "INVALID_BODY", f"$.{name}", without(name)) for name in telemetry()),
    Bad(
        "heartbeat without metrics",
        422,
        "INVALID_BODY",
        "$.metrics",
        path=HEARTBEAT,
        body=as_json({name: value for name, value in heartbeat().items() if name != "metrics"}),
    ),
]
BATCHES = [
    Bad("empty batch", 422, "INVALID_BODY", "$.records", b'{"records": []}'),
    Bad("batch of no array", 422, "INVALID_BODY", "$.records", b'{"records": 1}'),
    Bad("batch with more", 422, "INVALID_BODY", "$", b'{"records": [{}], "x": 1}'),
    Bad("too many records", 413, "TOO_MANY_RECORDS", "$.records", as_json({"records": [1] * 10_001})),
    Bad("batch cut off", 400, "MALFORMED_JSON", "$", b'{"records": [{}'),
    Bad("registrations in a batch", 422, "INVALID_BODY", "$.records", as_json({"records": []}), path="/v1/devices"),
]
IDS = [
    *(
        Bad(
            f"device id {bad[:40]} of {len(bad)}",
            400,
            "INVALID_DEVICE_ID",
            "{id}",
            GOOD,
            path=f"/v1/devices/{bad}/telemetry",
        )
        for bad in (
            *(
                "%2e%2e",
                "..",
                ".",
                "%00",
                "a%00b",
                "a%2Fb",
                "%2F..%2Fetc",
                "%C3%BC",
                "a%20b",
                "a%0d%0ab",
                "-a",
                "a;b",
                "a'--",
            ),
            *("%25", "%", "%zz", "a\\b", "a" * 129, "a" * 4_000, "%E2%80%AE"),
        )
    ),
    Bad("empty device id", 400, "INVALID_DEVICE_ID", "{id}", GOOD, path="/v1/devices//telemetry"),
    Bad("device id that is no UTF-8", 400, "INVALID_PATH", "path", GOOD, path="/v1/devices/%ff/telemetry"),
    Bad("slash in the path", 404, "NOT_FOUND", "path", GOOD, path="/v1/devices/a/b/telemetry"),
    Bad("dots in the path", 404, "NOT_FOUND", "path", GOOD, path="/v1/devices/d/../d/telemetry"),
]
ROUTES = [
    Bad("unknown path", 404, "NOT_FOUND", "path", path="/nothing"),
    Bad("root", 404, "NOT_FOUND", "path", method="GET", path="/"),
    Bad("slash at the end", 404, "NOT_FOUND", "path", GOOD, path=f"{TELEMETRY}/"),
    Bad("slash twice", 404, "NOT_FOUND", "path", GOOD, path=f"/{TELEMETRY}"),
    Bad("upper case", 404, "NOT_FOUND", "path", GOOD, path="/V1/devices/d/telemetry"),
    Bad("GET of an upload", 405, "METHOD_NOT_ALLOWED", "method", method="GET"),
    Bad("DELETE of an upload", 405, "METHOD_NOT_ALLOWED", "method", method="DELETE"),
    Bad("OPTIONS of an upload", 405, "METHOD_NOT_ALLOWED", "method", method="OPTIONS"),
    Bad("POST of health", 405, "METHOD_NOT_ALLOWED", "method", path="/health"),
    Bad("no key", 401, "UNAUTHORIZED", "header X-API-Key", GOOD, headers={"X-API-Key": ""}),
    Bad("wrong key", 401, "UNAUTHORIZED", "header X-API-Key", GOOD, headers={"X-API-Key": "wrong"}),
    Bad("key that is no ASCII", 401, "UNAUTHORIZED", "header X-API-Key", GOOD, headers={"X-API-Key": "\xe9"}),
    Bad(
        "wrong media type",
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "header Content-Type",
        GOOD,
        headers={"Content-Type": "text/plain"},
    ),
    Bad("form", 415, "UNSUPPORTED_MEDIA_TYPE", "header Content-Type", GOOD, headers={"Content-Type": "multipart/form-data"}),
    Bad("wrong encoding", 415, "UNSUPPORTED_ENCODING", "header Content-Encoding", GOOD, headers={"Content-Encoding": "br"}),
    Bad(
        "two encodings",
        415,
        "UNSUPPORTED_ENCODING",
        "header Content-Encoding",
        GOOD,
        headers={"Content-Encoding": "gzip, gzip"},
    ),
]
BODIES = [
    Bad("no gzip", 400, "BAD_GZIP", "$", GOOD, headers=GZIP),
    Bad("empty gzip", 400, "BAD_GZIP", "$", b"", headers=GZIP),
    Bad("gzip cut off", 400, "BAD_GZIP", "$", gzip.compress(GOOD)[:-9], headers=GZIP),
    Bad("gzip without its end", 400, "BAD_GZIP", "$", gzip.compress(GOOD)[:-1], headers=GZIP),
    Bad("gzip with a wrong sum", 400, "BAD_GZIP", "$", gzip.compress(GOOD)[:-8] + b"\0" * 8, headers=GZIP),
    Bad("rubbish after gzip", 400, "BAD_GZIP", "$", gzip.compress(GOOD) + b"rubbish", headers=GZIP),
    Bad("many gzip members", 400, "BAD_GZIP", "$", gzip.compress(b"") * 400_000, headers=GZIP),
    Bad("gzip bomb", 413, "BODY_TOO_LARGE", "$", gzip.compress(b" " * 100_000_000), headers=GZIP),
    Bad("gzip of the largest ratio", 413, "BODY_TOO_LARGE", "$", gzip.compress(b" " * 5_000_000), headers=GZIP),
    Bad("gzip in gzip", 400, "MALFORMED_JSON", "$", gzip.compress(gzip.compress(GOOD)), headers=GZIP),
    Bad("a byte too many", 413, "BODY_TOO_LARGE", "$", b" " * 10_000_001),
]
TABLE = [*JSON, *VALUES, *FIELDS, *BATCHES, *IDS, *ROUTES, *BODIES]
