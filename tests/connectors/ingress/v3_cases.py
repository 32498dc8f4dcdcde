"""The table v3_cases.toml: reading it, sending a case, checking what came back; and who asks."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from connectors.ingress.access import Principal, Rights
from tests.connectors.ingress.served import key_of, principal

OWNER = Rights(write=("free", "absent", "made-rw*"), manage=("made*",))
OTHERS = (
    principal("reader", read=("free",), devices=False),
    principal("manager", manage=("made*", "free"), devices=False),
    principal("stranger", devices=False),
)
Steps = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Place:
    """Where a case is sent: the service's URL, the one that it gives itself, and the cluster's id."""

    base: str
    own: str
    cluster: str

    def path(self, path: str) -> str:
        return f"/v3/clusters/{self.cluster}{path[1:]}" if path.startswith("c") else path

    def filled(self, text: str) -> str:
        below = f"{self.base}/v3/clusters/{self.cluster}"
        for name, value in {"$base": self.base, "$own": self.own, "$id": self.cluster}.items():
            text = text.replace(name, value)
        return text.replace("$c/", below + "/").replace('$c"', below + '"')


@dataclass(frozen=True)
class Case:
    """One row. What the names mean stands at the top of the table."""

    name: str
    request: str
    status: int
    who: str = "owner"
    type: str = "application/json"
    host: str = ""
    body: str | None = None
    before: Steps = ()
    after: Steps = ()
    code: int | None = None
    message: str = ""
    answer: str | None = None
    location: str | None = None

    def run(self, client: httpx.Client, place: Place) -> httpx.Response:
        """`client` sends the owner's key."""
        try:
            for step in self.before:
                self._step(client, place, step)
            method, path = self.request.split(" ", 1)
            headers = {"Host": self.host} if self.host else {}
            body = None if self.body is None else self.body.replace("{long}", "x" * 250)
            return self._send(client, method, place.path(path), body, headers)
        finally:
            for step in self.after:
                self._step(client, place, step)

    def check(self, response: httpx.Response, place: Place) -> None:
        assert response.status_code == self.status, response.text
        if self.status == 204:
            assert response.content == b""
            return
        assert response.headers["content-type"] == "application/json"
        told = response.json()
        if self.code is not None:
            assert told.keys() == {"error_code", "message"}
            assert told["error_code"] == self.code, told
            assert told["message"]
            assert self.message in told["message"]
        if self.answer is not None:
            assert_like(told, json.loads(place.filled(self.answer)), "$")
        if self.location is not None:
            assert response.headers["location"] == place.filled(self.location + '"')[:-1]

    def _step(self, client: httpx.Client, place: Place, step: Sequence[str]) -> None:
        method, path, *body = step
        answer = self._send(client, method, place.path(path), body[0] if body else None, {})
        assert answer.is_success, (step, answer.text)

    def _send(
        self, client: httpx.Client, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> httpx.Response:
        content = None if body is None else body.encode()
        typed = {} if body is None else {"Content-Type": self.type}
        request = client.build_request(method, path, headers={**headers, **typed}, content=content)
        del request.headers["X-API-Key"]
        if self.who:
            request.headers["X-API-Key"] = client.headers["X-API-Key"] if self.who == "owner" else key_of(self.who)
        return client.send(request)


def cases() -> list[Case]:
    table = tomllib.loads(Path(__file__).with_name("v3_cases.toml").read_text("utf-8"))
    return [Case(**row) for row in table["case"]]


def principals_toml(principals: Sequence[Principal] = OTHERS) -> str:
    """The file that holds these principals."""
    parts = []
    for one in principals:
        rights = one.rights
        lists = {"write": rights.write, "read": rights.read, "manage": rights.manage}
        lines = [f"{name} = {json.dumps(patterns)}" for name, patterns in lists.items()]
        head = [f"[principals.{one.name}]", f'key_sha256 = "{one.key_digest}"', f"devices = {str(rights.devices).lower()}"]
        parts.append("\n".join([*head, *lines]))
    return "\n\n".join(parts) + "\n"


def assert_like(told: Any, expected: Any, place: str) -> None:
    """`expected` may hold "$int", "$text", "$list" and "$object" (not empty), and as a name in an object "..."."""
    if expected == "$int":
        assert type(told) is int, place
    elif expected in ("$text", "$list", "$object"):
        assert isinstance(told, {"$text": str, "$list": list, "$object": dict}[expected]), place
        assert told, place
    elif isinstance(expected, dict):
        assert isinstance(told, dict), place
        names = expected.keys() - {"..."}
        assert told.keys() >= names if "..." in expected else told.keys() == names, place
        for name in names:
            assert_like(told[name], expected[name], f"{place}.{name}")
    elif isinstance(expected, list):
        assert len(told) == len(expected), (place, told)
        for i, (one, wanted) in enumerate(zip(told, expected, strict=True)):
            assert_like(one, wanted, f"{place}[{i}]")
    else:
        assert told == expected, place
