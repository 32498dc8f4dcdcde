"""Updates of a document's fields that commute.

A device's records reach a view from several topics and, where a client chose the partition itself, from several
partitions of one topic. Nothing orders partitions among each other, so a view that is to be rebuilt to the same bytes
may only use updates whose order does not matter:

- `Add`: a sum of integers,
- `Most`: the largest of integers,
- `Newest`: the payload with the largest order, a tuple that is different for every record (it ends with the record's
  position), so that there are no ties.

In a document an Add or Most is its number as text; a Newest is a JSON object of its payload with `order`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

Order = tuple[int | str, ...]

# Fields in a fixed order, so that equal payloads are equal bytes.
_encode = msgspec.json.Encoder(order="deterministic").encode


class Add(msgspec.Struct, frozen=True):
    amount: int


class Most(msgspec.Struct, frozen=True):
    value: int


class Newest(msgspec.Struct, frozen=True):
    order: Order
    payload: Mapping[str, Any]


Update = Add | Most | Newest


class _Ordered(msgspec.Struct):
    order: list[int | str]


_order_of = msgspec.json.Decoder(_Ordered).decode


def changes(document: Mapping[str, str], updates: Mapping[str, Update]) -> dict[str, str]:
    """The fields that `updates` change in `document`, with their new text."""
    changed: dict[str, str] = {}
    for name, update in updates.items():
        old = document.get(name)
        new = _apply(old, update)
        if new is not None and new != old:
            changed[name] = new
    return changed


def _apply(old: str | None, update: Update) -> str | None:
    """The field's new text, or None where the old one stays."""
    if isinstance(update, Add):
        return str(update.amount + (int(old) if old is not None else 0))
    if isinstance(update, Most):
        return str(update.value) if old is None or update.value > int(old) else None
    if old is not None and tuple(_order_of(old).order) >= update.order:
        return None
    return _encode({**update.payload, "order": update.order}).decode()


_payload = msgspec.json.Decoder(dict[str, Any]).decode


def payloads(document: Mapping[str, str]) -> dict[str, Any]:
    """What the fields of a document say: of an Add or Most its number, of a Newest its payload (without the order)."""
    found: dict[str, Any] = {}
    for name, text in document.items():
        if text.startswith("{"):
            found[name] = _payload(text)
            del found[name]["order"]
        else:
            found[name] = int(text)
    return found


def orders(document: Mapping[str, str]) -> dict[str, tuple[int | str, ...]]:
    """The orders of a document's fields of the kind Newest: of two, the newer is the greater."""
    return {name: tuple(_order_of(text).order) for name, text in document.items() if text.startswith("{")}


def merge(parts: Iterable[Mapping[str, Update]]) -> dict[str, Update]:
    """Several keys' worth of updates of one key as one: the same as applying them one after the other."""
    merged: dict[str, Update] = {}
    for part in parts:
        for name, update in part.items():
            merged[name] = _both(merged[name], update) if name in merged else update
    return merged


def _both(one: Update, other: Update) -> Update:
    if isinstance(one, Add) and isinstance(other, Add):
        return Add(one.amount + other.amount)
    if isinstance(one, Most) and isinstance(other, Most):
        return one if one.value >= other.value else other
    if isinstance(one, Newest) and isinstance(other, Newest):
        return one if one.order >= other.order else other
    raise TypeError(f"one field is updated as {type(one).__name__} and as {type(other).__name__}")
