"""Rule documents from text: YAML or JSON, with errors that name the field and the line.

Of YAML only what JSON has too: no anchors, aliases or tags, no keys twice, no words but true, false and null that are not
text. So a document means what it looks like, and can't grow when it is read.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

from schemas.rules.document import MOST_BYTES, Rule

MOST_DEPTH = 12
_AT = re.compile(r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?P<place>\$[^`]*)`)?$", re.S)
_STEP = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\[(\d+|\.\.\.)\]")


class BadRule(ValueError):
    """What is wrong with a rule: `errors` are sentences, each with the field and, where it is known, the line."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """How PyYAML is told what a plain word is: for its first character, tags and their patterns."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for tag, pattern, first in (
        ("bool", r"true|false", ("t", "f")),
        ("null", r"null|~|", ("n", "~", "")),
        ("int", r"-?(?:0|[1-9][0-9]*)", tuple("-0123456789")),
        ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", tuple("-0123456789")),
    ):
        for character in first:
            found.setdefault(character, []).append((f"tag:yaml.org,2002:{tag}", re.compile(rf"^(?:{pattern})$")))
    return found


class _Loader(yaml.SafeLoader):
    """YAML with JSON's types alone."""

    yaml_implicit_resolvers = _resolvers()


def read(text: str | bytes) -> Rule:
    """The rule that a document says.

    Raises:
        BadRule: it is too large, no YAML or JSON, or has a field that is missing, unknown or of another type.
    """
    node = _composed(_text(text))
    plain = _plain(node, "")
    try:
        return msgspec.convert(plain, Rule)
    except msgspec.ValidationError as error:
        raise BadRule(_explained(str(error), node)) from None


def _text(text: str | bytes) -> str:
    size = len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        raise BadRule(f"the document has {size:,} bytes; a rule has at most {MOST_BYTES:,}")
    try:
        return text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise BadRule(f"the document is no UTF-8: {error}") from None


def _composed(text: str) -> yaml.Node:
    """The document's tree, each node with its line."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise BadRule(f"line {_number(event.start_mark)}: anchors, aliases and tags are not allowed")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                raise BadRule(f"line {_number(event.start_mark)}: nested deeper than {MOST_DEPTH}")
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise BadRule(f"line {_number(error.problem_mark)}: no YAML or JSON: {error.problem}") from None
    except yaml.YAMLError as error:
        raise BadRule(f"no YAML or JSON: {error}") from None
    if not isinstance(node, yaml.MappingNode):
        raise BadRule("a rule is a mapping of fields, such as id, input and when")
    return node


def _plain(node: yaml.Node, place: str) -> Any:
    """The node's value of Python's own types."""
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise BadRule(f"line {_number(key.start_mark)}: the name of a field must be text")
            if key.value in found:
                raise BadRule(f"line {_number(key.start_mark)}: {place}{key.value} is there twice")
            found[key.value] = _plain(value, f"{place}{key.value}.")
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(value, f"{place}{index}.") for index, value in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> Any:
    kind, text = node.tag.rpartition(":")[2], node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text == "true"
    if kind == "int" and len(text) <= 20:
        return int(text)
    return float(text) if kind in ("int", "float") else text


def _explained(message: str, node: yaml.Node) -> str:
    """msgspec's message, with the field's path and line in front."""
    found = _AT.match(message)
    assert found is not None
    steps = list(_steps(found["place"] or "$"))
    line, named = _line(node, steps), ".".join(steps)
    what = found["what"]
    return f"line {line}: {named + ': ' if named else ''}{what[:1].lower()}{what[1:]}"


def _steps(place: str) -> Iterator[str]:
    for name, index in _STEP.findall(place):
        yield name or index


def _line(node: yaml.Node, steps: list[str]) -> int:
    """The line of what the path leads to, as far as it leads."""
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            following = [value for key, value in node.value if key.value == step]
        elif isinstance(node, yaml.SequenceNode) and step.isdigit():
            following = node.value[int(step) : int(step) + 1]
        else:
            following = []
        if not following:
            break
        node = following[0]
    return _number(node.start_mark)


def _number(mark: Any) -> int:
    """The line of a mark of PyYAML's, from 1."""
    return 1 if mark is None else int(mark.line) + 1
