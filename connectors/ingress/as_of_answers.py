"""The documents of views as of a time."""

from typing import Any

import msgspec


class AsOfDocument(msgspec.Struct):
    """A document of a view. `hash`: its leaf hash, hexadecimal (SHA-256 of its canonical bytes); `fields` as the view has
    them, without what orders them. Times within are microseconds since 1970 UTC."""

    key: str
    hash: str
    fields: dict[str, Any]


class AsOfAnswer(msgspec.Struct):
    """One document. It is folded from `snapshot` (null: from the log's beginning) and `records` that were read; `unusable`
    names snapshots that could not be used, and why."""

    view: str
    at: str
    known_at: str
    key: str
    hash: str
    fields: dict[str, Any]
    snapshot: int | None
    records: int
    unusable: list[str]


class AsOfDocuments(msgspec.Struct):
    """Documents of a view, ascending by key; `next` leads to those that come after them, null after the last."""

    view: str
    at: str
    known_at: str
    documents: list[AsOfDocument]
    next: str | None


class AsOfRows(msgspec.Struct):
    """Rows of a view, by partition and offset of their records; `next` as above. Times are microseconds since 1970 UTC."""

    view: str
    at: str
    known_at: str
    rows: list[dict[str, Any]]
    next: str | None


AS_OF_DOCUMENTS = (AsOfDocument, AsOfAnswer, AsOfDocuments, AsOfRows)
