"""Templates of annotations: text with placeholders, and nothing else.

`{{ NAME }}` or `{{ NAME | FORMAT }}`. A name is `value`, `rule.id`, `rule.severity`, `group`, `device.id`, `device.state`,
`device.model`, `device.labels.X`, or `labels.X` (the rule's own labels). Formats, of numbers: `.0f` to `.9f` (digits after
the point), `%` (times 100, with one digit and a percent sign). Values go in as they are and are not looked at again: what a
device says can't be a placeholder. A value longer than `MOST_VALUE` characters is cut, characters that control terminals
become spaces, and what is not known is `?`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

MOST_VALUE = 200
MOST_TEXT = 4096
_PLACE = re.compile(r"\{\{(.*?)\}\}", re.S)
_INNER = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.]*)\s*(?:\|\s*(\.[0-9]f|%)\s*)?")
_NAMES = frozenset(("value", "rule.id", "rule.severity", "group", "device.id", "device.state", "device.model"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class BadTemplate(ValueError):
    """The template has a placeholder that is none; the message shows it."""


class _Place(NamedTuple):
    name: str
    form: str | None


class Template:
    """A template that was checked."""

    def __init__(self, text: str) -> None:
        """
        Raises:
            BadTemplate
        """
        self._parts: list[str | _Place] = []
        end = 0
        for found in _PLACE.finditer(text):
            self._parts += [_literal(text[end : found.start()], text), _placeholder(found[1])]
            end = found.end()
        self._parts.append(_literal(text[end:], text))

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text with values by name; those that are not there or null are `?`."""
        parts = [part if isinstance(part, str) else _shown(values.get(part.name), part.form) for part in self._parts]
        return "".join(parts)[:MOST_TEXT]


def _literal(text: str, whole: str) -> str:
    if "{{" in text or "}}" in text:
        raise BadTemplate(f"{whole[:60]!r} has braces that do not belong to a placeholder")
    return text


def _placeholder(inner: str) -> _Place:
    found = _INNER.fullmatch(inner)
    if found is None:
        raise BadTemplate(f"{{{{{inner[:60]}}}}} is no placeholder such as {{{{ value }}}} or {{{{ value | .1f }}}}")
    name, form = found[1], found[2]
    if name not in _NAMES and not re.fullmatch(r"(device\.)?labels\.[A-Za-z_][A-Za-z0-9_]*", name):
        raise BadTemplate(
            f"{{{{{inner}}}}}: there is no {name}; there are {', '.join(sorted(_NAMES))}, labels.X, device.labels.X"
        )
    if form is not None and name != "value":
        raise BadTemplate(f"{{{{{inner}}}}}: only value is a number")
    return _Place(name, form)


def _shown(value: Any, form: str | None) -> str:
    if value is None:
        return "?"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _CONTROL.sub(" ", str(value))[:MOST_VALUE]
    return _FORMS[form[-1] if form else ""](float(value), form or "")


_FORMS: Mapping[str, Callable[[float, str], str]] = {
    "": lambda value, _: f"{value:.15g}",
    "f": lambda value, form: f"{value:{form}}"[:MOST_VALUE],
    "%": lambda value, _: f"{value * 100:.1f} %"[:MOST_VALUE],
}
