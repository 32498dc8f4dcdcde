"""The numbers of real records, compared from one schema id to the next."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from infra.evolution import units
from infra.evolution.fields import values_at
from infra.evolution.sample import Record
from schemas.shape import FLOATS, INTEGERS, Kind, Shape

Read = Sequence[tuple[Record, Mapping[str, Any]]]
Labels = tuple[str, ...]


def shifted(shape: Shape, by_id: Mapping[int, Read]) -> Iterator[tuple[int, str, str]]:
    """(schema id, field, message) of numbers that look to be in another unit than under the id before. The values are
    those of the present schema, whose shape is given.

    Numbers of an array's items are compared with those of the same labels: of the same metric, say, in the same unit.
    """
    ids = [number for number in sorted(by_id) if by_id[number]]
    for path, leaf, labels in _numbers(shape, (), ()):
        points = {number: _points(by_id[number], path, labels) for number in ids}
        for older, newer in pairwise(ids):
            for label in sorted(points[older].keys() & points[newer].keys()):
                found = units.shift(points[older][label], points[newer][label], leaf.kind is Kind.TIMESTAMP)
                if found is not None:
                    place = ".".join(path).replace(".[]", "[]")
                    of = f" of {', '.join(filter(None, label))}" if any(label) else ""
                    yield newer, place, f"{found}, against schema id {older}{of}: a change of units?"


def _numbers(
    shape: Shape, path: tuple[str, ...], labels: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Shape, tuple[str, ...]]]:
    """(path, shape, texts beside it) of each number; the texts only within an array's items."""
    if shape.kind is Kind.RECORD:
        for part in shape.fields:
            yield from _numbers(part.shape, (*path, part.name), labels)
    elif shape.kind is Kind.ARRAY:
        texts = tuple(part.name for part in shape.item.fields if part.shape.kind in (Kind.STRING, Kind.ENUM))
        yield from _numbers(shape.item, (*path, "[]"), texts)
    elif shape.kind in INTEGERS or shape.kind in FLOATS:
        yield path, shape, labels


def _points(read: Read, path: tuple[str, ...], labels: tuple[str, ...]) -> dict[Labels, list[units.Point]]:
    item = len(path) - path[::-1].index("[]") if labels else 0  # where the path within an item begins
    points: dict[Labels, list[units.Point]] = {}
    for record, values in read:
        received = values.get("received_at")
        at = received if isinstance(received, int) else None
        for part in values_at(values, path[:item]):
            label = tuple(str(part[name] or "") for name in labels)
            for number in values_at(part, path[item:]):
                if number is not None:
                    points.setdefault(label, []).append(units.Point(record.key, at, float(number)))
    return points
