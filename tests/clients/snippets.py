"""The snippets of docs/clients.md: by section, in their order."""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
_SECTION = re.compile(r"^## (.+)$", re.M)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


class Snippet(NamedTuple):
    language: str
    text: str


def snippets() -> dict[str, list[Snippet]]:
    _, *parts = _SECTION.split(PAGE.read_text("utf-8"))
    return {
        title: [Snippet(*block) for block in _BLOCK.findall(body)]
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def statements(sql: str) -> list[str]:
    """The statements of a text of SQL, each ended by a semicolon at a line's end."""
    return [statement for statement in re.split(r";\s*\n", sql) if statement.strip()]
