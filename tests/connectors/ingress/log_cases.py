"""The table log_cases.toml: reading it, sending a case, checking what came back."""

import io
import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
import httpx

from tests.connectors.ingress.rest_v2_cases import assert_like


@dataclass(frozen=True)
class Case:
    """One row. What the names mean stands at the top of the table."""

    name: str
    request: str
    status: int
    accept: str = ""
    key: bool = True
    code: str | None = None
    message: str = ""
    media: str = "application/json"
    answer: str | None = None
    lines: str | None = None
    rows: str | None = None
    offsets: list[int] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, client: httpx.Client, **headers: str) -> httpx.Response:
        method, path = self.request.split(" ")
        request = client.build_request(method, path, headers=headers)
        if self.accept:
            request.headers["Accept"] = self.accept
        else:
            del request.headers["Accept"]  # httpx's own
        if not self.key:
            del request.headers["X-API-Key"]
        return client.send(request)

    def check(self, response: httpx.Response) -> None:
        assert response.status_code == self.status, response.text
        assert response.headers["content-type"] == (self.media if self.code is None else "application/problem+json")
        for name, expected in self.headers.items():
            told = response.headers.get(name)
            assert told == expected or (expected == "$text" and told), (name, told)
        if self.code is not None:
            told = response.json()
            assert (told["code"], told["status"]) == (self.code, self.status)
            assert self.message in told["detail"]
            return
        if self.answer is not None:
            assert_like(response.json(), json.loads(self.answer), "$")
        if self.lines is not None:
            assert_like(records_of(response), json.loads(self.lines), "$")
        if self.rows is not None:
            assert_like(_plain(records_of(response)), json.loads(self.rows), "$")
        if self.offsets is not None:
            assert [record["offset"] for record in records_of(response)] == self.offsets


def cases() -> list[Case]:
    table = tomllib.loads(Path(__file__).with_name("log_cases.toml").read_text("utf-8"))
    return [Case(**row) for row in table["case"]]


def records_of(response: httpx.Response) -> list[Any]:
    """The records of a page, in whatever form it is."""
    media_type = response.headers["content-type"]
    if media_type == "application/x-ndjson":
        return [json.loads(line) for line in response.text.splitlines()]
    if media_type == "application/json":
        return response.json()["records"]
    return list(fastavro.reader(io.BytesIO(response.content)))


def next_of(response: httpx.Response) -> str:
    """The address of the next page."""
    return response.links["next"]["url"]


def _plain(value: Any) -> Any:
    """What fastavro read, with bytes as {"$bytes": text}."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {"$bytes": value.decode("latin-1")} if isinstance(value, bytes) else value
