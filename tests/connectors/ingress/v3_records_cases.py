"""The table v3_records_cases.toml: reading it, sending a case, checking what came back."""

import base64
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from schemas.wire import PREFIX_BYTES
from tests.connectors.ingress.rest_v2_cases import assert_like
from tests.connectors.ingress.served import CONTRACT

OPEN = ("free", "absent")  # topics that are open to REST while the cases run
PARTITIONS = 6
TELEMETRY = CONTRACT.topics["fleet.telemetry"]
CITY: dict[str, Any] = {"type": "string"}
WEATHER: list[dict[str, Any]] = [
    {"type": "record", "name": "test.Weather", "fields": [{"name": "t", "type": "int"}]},
    {
        "type": "record",
        "name": "test.Weather",
        "fields": [{"name": "t", "type": "int"}, {"name": "u", "type": ["null", "string"], "default": None}],
    },
]
EDGE = Path(__file__).parents[3] / "schemas/examples/TelemetryReceived/edge.json"

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Seen:
    """A record as it is in the log."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int
    timestamp: int


Read = Callable[[str, Sequence[Mapping[str, Any]]], list[Seen]]
"""The records of a topic that the results of a request name."""


@dataclass(frozen=True)
class Case:
    """One row. What the names mean stands at the top of the table."""

    name: str
    status: int
    body: str | None = None
    to: str = "free/records"
    request: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    key: bool = True
    chunked: bool = False
    code: int | None = None
    message: str = ""
    results: str | None = None
    answer: str | None = None
    written: str | None = None

    def send(self, client: httpx.Client, cluster: str, names: Mapping[str, str]) -> httpx.Response:
        """`client` sends the key; it is left out where the case says so. `names`: what stands for $NAME."""
        method, path = (self.request or f"POST /v3/clusters/{{cluster}}/topics/{self.to}").split(" ")
        headers = {"Content-Type": "application/json", **self.headers}
        content = None if self.body is None else named(self.body, names).encode()
        request = client.build_request(
            method,
            path.replace("{cluster}", cluster),
            headers={name: value for name, value in headers.items() if value},
            content=_pieces(content) if self.chunked and content else content,
        )
        if not self.key:
            del request.headers["X-API-Key"]
        return client.send(request)

    def check(self, response: httpx.Response, read: Read, names: Mapping[str, str]) -> None:
        assert response.status_code == self.status, response.text
        assert response.headers["content-type"] == "application/json"
        lines = [json.loads(line) for line in response.text.splitlines()]
        if self.code is not None:
            assert len(lines) == 1
            assert lines[0].keys() == {"error_code", "message"}
            assert lines[0]["error_code"] == self.code, lines
            assert lines[0]["message"]
            assert self.message in lines[0]["message"], lines
        if self.results is not None:
            expected = [json.loads(named(line, names)) for line in self.results.splitlines()]
            assert_like(lines, expected, "$")
        if self.answer is not None:
            assert_like(lines[0], json.loads(named(self.answer, names)), "$")
        if self.written is not None:
            results = lines[0]["successes"] if ":batch" in self.to or "%3A" in self.to else lines
            found = read(self.to.split("/")[0], [one for one in results if "offset" in one])
            wanted = json.loads(self.written)
            assert len(found) == len(wanted)
            for seen, expected in zip(found, wanted, strict=True):
                self._check_record(seen, expected)

    def _check_record(self, seen: Seen, expected: Mapping[str, Any]) -> None:
        avro = "schema" in (self.body or "") or '"type"' not in (self.body or "")
        for part, content in (("key", seen.key), ("value", seen.value)):
            if part in expected:
                framed = avro and content is not None and content[:1] == b"\0"
                shown = content[PREFIX_BYTES:] if framed and content is not None else content
                assert shown == _bytes(expected[part])
        if "headers" in expected:
            wanted = [(name, _bytes(value)) for name, value in expected["headers"]]
            keep_trace = any(name == "traceparent" for name, _ in wanted)
            assert [one for one in seen.headers if keep_trace or one[0] != "traceparent"] == wanted
        for part in ("partition", "timestamp"):
            if part in expected:
                assert getattr(seen, part) == expected[part]


def cases() -> list[Case]:
    table = tomllib.loads(Path(__file__).with_name("v3_records_cases.toml").read_text("utf-8"))
    return [Case(**row) for row in table["case"]]


def names_of(register: Callable[[str, Mapping[str, Any]], int]) -> dict[str, str]:
    """Registers what the cases need; what stands for $NAME."""
    first, second = (register("free-value", schema) for schema in WEATHER)
    return {
        "WEATHER1": str(first),
        "WEATHER2": str(second),
        "CITY": str(register("free-key", CITY)),
        "CONTRACT": str(register(TELEMETRY.subject(TELEMETRY.record), TELEMETRY.record.schema)),
        "TEXT": json.dumps(json.dumps(TELEMETRY.record.schema)),
        "EDGE": json.dumps(json.loads(EDGE.read_text("utf-8"))["values"]),
    }


def named(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f'"${name}"', value).replace(f"${name}", value)
    return text


def _pieces(content: bytes) -> Iterator[bytes]:
    for at in range(0, len(content), 5):
        yield content[at : at + 5]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
