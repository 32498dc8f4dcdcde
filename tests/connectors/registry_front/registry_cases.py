"""The table registry_cases.toml: reading it, sending the cases of a group, checking what came back."""

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

V1 = "application/vnd.schemaregistry.v1+json"
TABLE = tomllib.loads(Path(__file__).with_name("registry_cases.toml").read_text("utf-8"))
SCHEMAS: dict[str, str] = TABLE["schemas"]


@dataclass(frozen=True)
class Case:
    """One row. What the names mean stands at the top of the table."""

    name: str
    request: str
    status: int
    schema: str | None = None
    more: str = "{}"
    body: str | None = None
    type: str = V1
    accept: str = ""
    code: int | None = None
    message: str = ""
    media: str = V1
    answer: str | None = None
    header: str = ""


@dataclass
class Run:
    """The cases of a group against one registry, in their order. `prefix` is what "~" stands for."""

    client: httpx.Client
    prefix: str
    bound: dict[str, int] = field(default_factory=dict)

    def send(self, case: Case) -> httpx.Response:
        method, path = case.request.split(" ")
        for name, value in self.bound.items():
            path = path.replace(f"{{{name}}}", str(value))
        headers = {"Accept": case.accept} if case.accept else {}
        body = case.body
        if case.schema is not None:
            body = json.dumps({"schema": SCHEMAS[case.schema]} | json.loads(self._own(case.more)))
        if body is not None and case.type:
            headers["Content-Type"] = case.type
        content = None if body is None else self._own(body).encode()
        request = self.client.build_request(method, self._own(path), headers=headers, content=content)
        if not case.accept:
            del request.headers["Accept"]  # httpx's own
        return self.client.send(request)

    def check(self, case: Case, response: httpx.Response) -> None:
        assert response.status_code == case.status, response.text
        assert response.headers["content-type"] == case.media
        if case.header:
            name, _, value = case.header.partition(": ")
            assert name in response.headers
            assert value in ("*", response.headers[name])
        if case.request.startswith("HEAD "):
            assert response.text == ""
        if case.code is not None:
            told = response.json()
            assert told.keys() == {"error_code", "message"}
            assert told["error_code"] == case.code, told
            assert told["message"]
            assert self._own(case.message) in told["message"]
        if case.answer is not None:
            self._like(response.json(), json.loads(self._own(case.answer)), "$")

    def _own(self, text: str) -> str:
        return text.replace("~", self.prefix)

    def _like(self, told: Any, expected: Any, place: str) -> None:
        if isinstance(expected, str) and expected.startswith("$"):
            self._like_placeholder(told, expected, place)
        elif isinstance(expected, dict):
            assert isinstance(told, dict), place
            names = expected.keys() - {"..."}
            assert told.keys() >= names if "..." in expected else told.keys() == names, f"{place}: {told}"
            for name in names:
                self._like(told[name], expected[name], f"{place}.{name}")
        elif isinstance(expected, list) and expected[:1] == ["$has"]:
            assert isinstance(told, list), place
            for one in expected[1:]:
                assert any(self._is_like(found, one) for found in told), f"{place}: no {one} in {told}"
        elif isinstance(expected, list):
            assert len(told) == len(expected), f"{place}: {told}"
            for i, (one, wanted) in enumerate(zip(told, expected, strict=True)):
                self._like(one, wanted, f"{place}[{i}]")
        else:
            assert told == expected, place

    def _is_like(self, told: Any, expected: Any) -> bool:
        try:
            self._like(told, expected, "")
        except AssertionError:
            return False
        return True

    def _like_placeholder(self, told: Any, expected: str, place: str) -> None:
        kind, _, name = expected.partition(":")
        if kind == "$int":
            assert type(told) is int, place
        elif kind == "$text":
            assert isinstance(told, str), place
            assert told, place
        elif kind == "$schema":
            assert told == SCHEMAS[name] or json.loads(told) == json.loads(SCHEMAS[name]), f"{place}: {told}"
        elif kind == "$bind":
            assert type(told) is int, place
            assert told == self.bound.setdefault(name, told), f"{place}: {name} is {self.bound[name]}"
        else:
            assert kind == "$any", f"{place}: there is no {expected}"


def groups() -> dict[str, list[Case]]:
    return {group["name"]: [Case(**row) for row in group["case"]] for group in TABLE["group"]}
