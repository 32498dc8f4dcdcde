"""The table rest_v2_cases.toml: reading it, sending a case, checking what came back."""

import base64
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from schemas.wire import PREFIX_BYTES

OPEN = ("free", "absent")  # topics that are open to REST while the cases run
PARTITIONS = 6
V2_JSON = "application/vnd.kafka.v2+json"

Record = tuple[bytes | None, bytes | None]
ReadRecord = Callable[[str, int, int], Record]
"""Key and value of the record at topic, partition, offset."""


@dataclass(frozen=True)
class Case:
    """One row. What the names mean stands at the top of the table."""

    name: str
    request: str
    status: int
    accept: str = ""
    type: str | None = None
    key: bool = True
    body: str | None = None
    code: int | None = None
    message: str = ""
    media: str = V2_JSON
    answer: str | None = None
    written: str | None = None

    def send(self, client: httpx.Client) -> httpx.Response:
        """`client` sends the key; it is left out where the case says so."""
        method, path = self.request.split(" ")
        headers = {"Accept": self.accept} if self.accept else {}
        if self.type:
            embedded = "/" not in self.type
            headers["Content-Type"] = f"application/vnd.kafka.{self.type}.v2+json" if embedded else self.type
        content = None if self.body is None else self.body.encode()
        request = client.build_request(method, path, headers=headers, content=content)
        if not self.accept:
            del request.headers["Accept"]  # httpx's own
        if not self.key:
            del request.headers["X-API-Key"]
        return client.send(request)

    def check(self, response: httpx.Response, read: ReadRecord) -> None:
        assert response.status_code == self.status, response.text
        assert response.headers["content-type"] == self.media
        told = response.json()
        if self.code is not None:
            assert told["error_code"] == self.code, told
            assert told["message"]
            assert self.message in told["message"]
        if self.answer is not None:
            assert_like(told, json.loads(self.answer), "$")
        if self.written is not None:
            self._check_written(told, read)

    def _check_written(self, told: Any, read: ReadRecord) -> None:
        assert self.written is not None
        topic = self.request.split("/")[2]
        places = [(one["partition"], one["offset"]) for one in told["offsets"] if one["error_code"] is None]
        found = [read(topic, *place) for place in places]
        if self.type == "avro":
            found = [(_body(key), _body(value)) for key, value in found]
        assert found == [(_bytes(key), _bytes(value)) for key, value in json.loads(self.written)]


def cases() -> list[Case]:
    table = tomllib.loads(Path(__file__).with_name("rest_v2_cases.toml").read_text("utf-8"))
    return [Case(**row) for row in table["case"]]


def assert_like(told: Any, expected: Any, place: str) -> None:
    """`expected` may hold "$int", "$text" and, as a name in an object, "..."."""
    if expected == "$int":
        assert type(told) is int, place
    elif expected == "$text":
        assert isinstance(told, str), place
        assert told, place
    elif isinstance(expected, dict):
        assert isinstance(told, dict), place
        names = expected.keys() - {"..."}
        assert told.keys() >= names if "..." in expected else told.keys() == names, place
        for name in names:
            assert_like(told[name], expected[name], f"{place}.{name}")
    elif isinstance(expected, list):
        assert len(told) == len(expected), place
        for i, (one, wanted) in enumerate(zip(told, expected, strict=True)):
            assert_like(one, wanted, f"{place}[{i}]")
    else:
        assert told == expected, place


def _body(framed: bytes | None) -> bytes | None:
    return framed if framed is None else framed[PREFIX_BYTES:]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
