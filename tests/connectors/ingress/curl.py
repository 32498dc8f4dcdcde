"""The commands in a document's `sh` blocks, so that its examples can be run."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Curl:
    """A curl command: what it sends."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str | None

    def send(self, client: httpx.Client) -> httpx.Response:
        return client.request(self.method, self.url, headers=dict(self.headers), content=self.body)


def commands(document: Path, program: str) -> Iterator[list[str]]:
    """The words of each command of this program; variables stay as they are."""
    for block in _BLOCK.findall(document.read_text("utf-8")):
        for line in re.split(r"\n(?=\S)", block):  # what goes on over several lines is indented
            if line.startswith(f"{program} "):
                yield shlex.split(line)


def curls(document: Path, variables: Mapping[str, str]) -> Iterator[Curl]:
    """All curl commands of a document, with the variables filled in."""
    for words in commands(document, "curl"):
        _, *rest = (_filled(word, variables) for word in words)
        method, url, headers, body = "", "", {}, None
        while rest:
            word = rest.pop(0)
            if word == "-X":
                method = rest.pop(0)
            elif word == "-H":
                name, _, value = rest.pop(0).partition(": ")
                headers[name] = value
            elif word == "-d":
                body = rest.pop(0)
            else:
                url = word
        yield Curl(method or ("POST" if body is not None else "GET"), url, headers, body)


def _filled(word: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        word = re.sub(rf"\${name}\b", lambda _, value=value: value, word)  # type: ignore[misc]
    return word
