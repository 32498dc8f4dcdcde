"""What fills in the annotations of alerts."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from schemas.rules.document import Rule, canonical
from streams.rules.ports import KEY
from streams.rules.templates import Template

RULES_REMEMBERED = 1_000


def annotator() -> Callable[[Rule, Mapping[str, Any]], Mapping[str, str]]:
    """A function that gives the annotations of a rule, filled in with what is known of a row."""

    @lru_cache(RULES_REMEMBERED)
    def templates(document: bytes, texts: tuple[tuple[str, str], ...]) -> dict[str, Template]:
        return {name: Template(text) for name, text in texts}

    def annotate(rule: Rule, fields: Mapping[str, Any]) -> Mapping[str, str]:
        if not rule.annotations:
            return {}
        values = {
            **{f"labels.{name}": value for name, value in rule.labels.items()},
            "rule.id": rule.id,
            "rule.severity": rule.severity,
            "device.id": fields.get(KEY),
            **fields,
        }
        made = templates(canonical(rule), tuple(rule.annotations.items()))
        return {name: template.fill(values) for name, template in made.items()}

    return annotate
