"""Keyed views that are defined a record at a time: for topics where the record types differ more than there are records."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from projections.projection import KEY
from projections.updates import Update, merge

Updates = Callable[[str, Mapping[str, Any]], Mapping[str, Update]]


def by_record(updates: Updates) -> Callable[[str, pl.DataFrame], dict[str, dict[str, Update]]]:
    """A `KeyedProjection.summarize` out of `updates(topic, record)`, which says what one row of a keyed frame changes."""

    def summarize(topic: str, frame: pl.DataFrame) -> dict[str, dict[str, Update]]:
        parts: dict[str, list[Mapping[str, Update]]] = {}
        for record in frame.iter_rows(named=True):
            parts.setdefault(record[KEY], []).append(updates(topic, record))
        return {key: merge(part) for key, part in parts.items()}

    return summarize
