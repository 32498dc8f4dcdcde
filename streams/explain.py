"""What made a document, and what a record is worth to it: from the log, by the view's own definition.

No store keeps a trail of how a field came to be; the log and the fold imply it. A field of the kind Newest or Most was made
by the one record whose update won; an Add by all records that added to it. The record is found by halving: of two halves of
a key's records the one that yields the same update holds it, so a view needs to say nothing more of itself than its fold.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from connectors.ports import Document, LogReader
from projections.projection import KeyedProjection
from projections.updates import Add, Newest, Update, merge
from schemas.log import TopicPartition
from schemas.places import Place
from schemas.record_columns import BatchDecoder
from streams.key_fold import Cuts, KeyFold


@dataclass(frozen=True, slots=True)
class Made:
    """How a field came to be: `how` is newest, greatest or sum; `places` are the records that made it, newest first within a
    partition; `more` says that there are others (of a sum, where only some were asked for)."""

    how: str
    places: tuple[Place, ...]
    more: bool = False


@dataclass
class _Records:
    """A key's records in one partition, as a keyed frame, and the updates of pieces of it."""

    source: TopicPartition
    frame: pl.DataFrame
    yields: Callable[[pl.DataFrame], Mapping[str, Update]]
    known: dict[tuple[int, int], Mapping[str, Update]] = field(default_factory=dict)

    def updates(self, start: int, stop: int) -> Mapping[str, Update]:
        if (start, stop) not in self.known:
            self.known[start, stop] = self.yields(self.frame[start:stop])
        return self.known[start, stop]

    def place(self, row: int) -> Place:
        return Place(self.source, int(self.frame["offset"][row]))

    def maker(self, name: str, update: Update) -> Place:
        """The record that alone yields `update`, which all of them together do."""
        start, stop = 0, len(self.frame)
        while stop - start > 1:
            middle = (start + stop) // 2
            if self.updates(start, middle).get(name) == update:
                stop = middle
            else:
                start = middle
        return self.place(start)

    def touching(self, name: str, most: int) -> list[Place]:
        """The newest records that touch a field, newest first."""
        found: list[Place] = []
        left = [(0, len(self.frame))]
        while left and len(found) < most:
            start, stop = left.pop()
            if name not in self.updates(start, stop):
                continue
            if stop - start == 1:
                found.append(self.place(start))
                continue
            middle = (start + stop) // 2
            left += [(start, middle), (middle, stop)]
        return list(dict.fromkeys(found))


def explain(
    fold: KeyFold, projection: KeyedProjection, key: str, cuts: Mapping[TopicPartition, Cuts], most: int
) -> dict[str, Made]:
    """For each field of a key's document how it came to be, from the records up to `cuts`. Of a sum the `most` newest
    records of each partition are named.

    Raises:
        Away: the broker or the registry does not answer.
        ValueError: the log no longer reaches back to its beginning.
    """
    parts: list[_Records] = []
    for source, of_source in cuts.items():
        frames = list(fold.records(source, of_source))
        if frames:
            yields = _yields(projection, source.topic, key)
            parts.append(_Records(source, pl.concat(frames), yields))
    made: dict[str, Made] = {}
    for name, update in merge(part.updates(0, len(part.frame)) for part in parts).items():
        having = [part for part in parts if name in part.updates(0, len(part.frame))]
        if isinstance(update, Add):
            places = [place for part in having for place in part.touching(name, most + 1)]
            shown = [place for part in having for place in part.touching(name, most)]
            made[name] = Made("sum", tuple(shown), len(places) > len(shown))
            continue
        winner = next(part for part in having if part.updates(0, len(part.frame))[name] == update)
        made[name] = Made("newest" if isinstance(update, Newest) else "greatest", (winner.maker(name, update),))
    return made


def _yields(projection: KeyedProjection, topic: str, key: str) -> Callable[[pl.DataFrame], Mapping[str, Update]]:
    return lambda frame: projection.summarize(topic, frame).get(key, {})


@dataclass(frozen=True, slots=True)
class Worth:
    """What a record is worth to a document: the fields that would be others without it, as they are and as they would be
    (None: not there)."""

    key: str
    fields: Mapping[str, tuple[str | None, str | None]]


def worth(
    projection: KeyedProjection,
    log: LogReader,
    decoders: Mapping[str, BatchDecoder],
    record: Place,
    cuts: Mapping[TopicPartition, Cuts],
) -> list[Worth]:
    """What a record is worth to each of the documents in `cuts`: these folded with and without it. Raises as `explain`."""
    keys = sorted({key for of_source in cuts.values() for key in of_source})
    whole, without = (
        KeyFold(projection, log, decoders, keys, left_out) for left_out in (None, (record.source, record.offset))
    )
    for source, of_source in cuts.items():
        whole.advance(source, of_source)
        without.advance(source, of_source)
    return [Worth(key, difference(whole.documents[key], without.documents[key])) for key in keys]


def difference(one: Document, other: Document) -> dict[str, tuple[str | None, str | None]]:
    """The fields in which two documents differ, with both values."""
    names: Iterable[str] = sorted({*one, *other})
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


def only(cuts: Mapping[TopicPartition, Cuts], sources: Sequence[TopicPartition]) -> dict[TopicPartition, Cuts]:
    """The cuts of some partitions."""
    return {source: of_source for source, of_source in cuts.items() if source in sources}
