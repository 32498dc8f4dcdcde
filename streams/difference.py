"""The difference between two versions of a view, key by key, while both may be written.

Versions seldom stand at the same positions, so not every difference is one in what they make of a record. Rows are compared
up to where both have come. Documents carry the offset of the last record folded into them, per partition: where two differ
in these, and the one that has less stands where it need not have more, the difference is explained. All else is real.

The positions are read before the documents, so that a document holds at least what they imply.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from connectors.ports import Document, KeyedStore, RowStore
from schemas.log import TopicPartition

STAMP = "position."
AT_A_TIME = 1_000
"""Documents of each version that are held in memory."""

MOST_NAMED = 100
"""Differing keys whose fields are told; all are counted."""

Positions = Mapping[TopicPartition, int]


@dataclass(slots=True)
class Difference:
    """What two versions, `one` and `other`, have in common. `differing`: some of the keys that really differ, with the
    fields that do; a key that only one of them has is said so in the place of fields."""

    one: int
    other: int
    equal: int = 0
    differ: int = 0
    explained: int = 0
    differing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        return not self.differ

    def add(self, key: str, fields: list[str]) -> None:
        self.differ += 1
        if len(self.differing) < MOST_NAMED:
            self.differing[key] = fields


def diff_documents(store: KeyedStore, one: int, other: int) -> Difference:
    """Compare the documents of two versions; a thousand of each are held at a time."""
    found = Difference(one, other)
    positions = {version: store.positions(version) for version in (one, other)}
    for documents in _some_at_a_time(store.scan(one)):
        loaded = store.load(other, list(documents))
        for (key, ours), theirs in zip(documents.items(), loaded, strict=True):
            _compare(found, key, (ours, positions[one]), (theirs.document, positions[other]))
    for documents in _some_at_a_time(store.scan(other)):
        loaded = store.load(one, list(documents))
        for (key, theirs_only), ours_now in zip(documents.items(), loaded, strict=True):
            if not ours_now.document:
                _compare(found, key, ({}, positions[one]), (theirs_only, positions[other]))
    return found


def diff_rows(store: RowStore, one: int, other: int) -> Difference:
    """Compare the rows of two versions by key, up to where both stand; a hash of each key's rows is held."""
    found = Difference(one, other)
    ours, theirs = store.positions(one), store.positions(other)
    both = {source: min(ours[source], theirs[source]) for source in ours.keys() & theirs.keys()}
    hashes, others = store.digests(one, both), store.digests(other, both)
    for key in sorted(hashes.keys() | others.keys()):
        if hashes.get(key) == others.get(key):
            found.equal += 1
        else:
            found.add(key, _only(one, other, key in hashes, key in others) or ["rows"])
    return found


def _compare(found: Difference, key: str, ours: tuple[Document, Positions], theirs: tuple[Document, Positions]) -> None:
    one, other = ours[0], theirs[0]
    if one == other:
        found.equal += 1
    elif _stamps(one) != _stamps(other) and _behind(one, other, ours[1]) and _behind(other, one, theirs[1]):
        found.explained += 1
    else:
        fields = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        found.add(key, _only(found.one, found.other, bool(one), bool(other)) or fields)


def _behind(one: Document, other: Document, position: Positions) -> bool:
    """Whether whatever `other` holds and `one` does not is of records that `one` has not come to: its version stands
    before them."""
    mine = _stamps(one)
    return all(
        mine.get(source, -1) >= stamp or position.get(TopicPartition.parse(source), 0) <= stamp
        for source, stamp in _stamps(other).items()
    )


def _stamps(document: Document) -> dict[str, int]:
    return {name.removeprefix(STAMP): int(text) for name, text in document.items() if name.startswith(STAMP)}


def _only(one: int, other: int, in_one: bool, in_other: bool) -> list[str]:
    """Says so where a key is in one of two versions."""
    if in_one and in_other:
        return []
    return [f"only in version {one if in_one else other}"]


def _some_at_a_time(documents: Iterator[tuple[str, Document]]) -> Iterator[dict[str, Document]]:
    while some := dict(islice(documents, AT_A_TIME)):
        yield some
