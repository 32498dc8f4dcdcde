"""One spelling for each Avro schema, so that the same schema is recognised however it is written.

As Confluent's registry does (which keeps what Avro's Java library prints): white space and the order of attributes do not
count, `{"type": "string"}` is `"string"`, a full name is a name and a namespace. Doc, aliases, defaults and all other
attributes do count. Apicurio's own canonical form leaves out doc and aliases, and takes schemas for the same that are not.
"""

import json
from typing import Any

_NAMED = frozenset({"record", "error", "enum", "fixed"})
_COMPLEX = _NAMED | {"array", "map"}
_PRIMITIVE = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_OF_SCHEMA = ("type", "name", "namespace", "doc", "fields", "symbols", "size", "items", "values", "default", "aliases")
_OF_FIELD = ("name", "type", "doc", "default", "order", "aliases")


class NotJson(ValueError):
    """A text is no JSON; the message says where."""


def normal(text: str) -> str:
    """A schema's text in the one spelling. What is JSON but no schema comes back as the JSON it is.

    The text must not nest deeper than Python's recursion allows.

    Raises:
        NotJson: it is no JSON.
    """
    return json.dumps(_schema(_loaded(text), "", set()), separators=(",", ":"), ensure_ascii=False)


def same(one: str, other: str) -> bool:
    """Whether two texts are the same schema; texts that are no JSON are the same if they are equal."""
    try:
        return normal(one) == normal(other)
    except NotJson:
        return one == other


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except ValueError as error:  # JSONDecodeError, or an integer of thousands of digits
        raise NotJson(str(error)) from None


def _no_number(name: str) -> Any:
    raise NotJson(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotJson(f"{digits} is too large a number")
    return number


def _schema(schema: Any, space: str, known: set[str]) -> Any:
    """`space`: the enclosing namespace; `known`: the full names of the types defined so far."""
    if isinstance(schema, list):
        return [_schema(branch, space, known) for branch in schema]
    if isinstance(schema, str):
        within = f"{space}.{schema}"
        return within if "." not in schema and schema not in _PRIMITIVE and within in known else schema
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    found = dict(schema)
    if isinstance(kind, str) and kind in _NAMED:
        space = _name(found, space, known)
    for part in ("items", "values"):
        if part in found:
            found[part] = _schema(found[part], space, known)
    if isinstance(found.get("fields"), list):
        found["fields"] = [_field(field, space, known) for field in found["fields"]]
    if set(found) == {"type"} and isinstance(kind, str) and kind not in _COMPLEX:
        return _schema(kind, space, known)
    return _ordered(found, _OF_SCHEMA)


def _name(found: dict[str, Any], space: str, known: set[str]) -> str:
    """Split a definition's full name, note it, and leave out a namespace that is the enclosing one. Returns its own."""
    name, given = found.get("name"), found.get("namespace")
    if not isinstance(name, str):
        return space
    if "." in name:
        own, _, found["name"] = name.rpartition(".")
    else:
        own = given if isinstance(given, str) else space
    found.pop("namespace", None)
    if own != space:
        found["namespace"] = own
    known.add(f"{own}.{found['name']}" if own else str(found["name"]))
    return own


def _field(field: Any, space: str, known: set[str]) -> Any:
    if not isinstance(field, dict):
        return field
    found = dict(field)
    if "type" in found:
        found["type"] = _schema(found["type"], space, known)
    if found.get("order") == "ascending":
        del found["order"]
    return _ordered(found, _OF_FIELD)


def _ordered(found: dict[str, Any], first: tuple[str, ...]) -> dict[str, Any]:
    """Known attributes in Avro's order, then all others by name."""
    return {key: found[key] for key in first if key in found} | {
        key: found[key] for key in sorted(found.keys() - set(first))
    }
