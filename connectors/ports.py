"""Ports: what fleetlog needs of the outside, as protocols. Adapters beside this file fill them; `connectors.memory`
holds the in-memory versions. One contract suite per port runs on all of them (tests/ports).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from schemas.log import Batch, TopicPartition

if TYPE_CHECKING:
    import polars as pl  # 25 MB, of no use to processes without row stores
from schemas.wire import UnknownSchema

__all__ = ["UnknownSchema"]  # of SchemaRegistry's contract, though the wire format's layer defines it

Document = dict[str, str]
"""A keyed view's state of one key: field -> text. Kept flat so that a person reads it with the store's own client."""


class Away(Exception):
    """A store, broker or registry does not answer for now: wait and try again, nothing was decided."""


class Busy(Away):
    """It is there, but has more to do than it can hold for now."""


class Moved(Exception):
    """The stored position is not the expected one: somebody else wrote. Read the position anew."""

    def __init__(self, source: TopicPartition, expected: int, actual: int) -> None:
        super().__init__(f"{source}: position is {actual}, expected {expected}")
        self.source, self.expected, self.actual = source, expected, actual


class Conflict(Exception):
    """A document changed between load and commit (a key that several partitions touch): load and fold again."""


class Superseded(Exception):
    """The version written to is no longer the live one: another version was promoted."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document as loaded, with the revision that a later change must still find. 0: there was none."""

    document: Document
    revision: int


class Leaf(NamedTuple):
    """The hash of a document, and the bucket that its key falls into (projections.canonical)."""

    bucket: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What a commit does to one document: fields to set and fields to delete, if its revision still is `revision`.

    `leaf` is the hash of the document as it is then, kept beside it (connectors.leaves). Whoever folds gives it; a document
    that is written without is found by the next check, as one that somebody wrote by hand is.
    """

    revision: int
    put: Mapping[str, str]
    remove: Sequence[str] = field(default=())
    leaf: Leaf | None = None


class ViewStore(Protocol):
    """Where the versions of one view live. Version numbers start at 1; a view that was never promoted has version 1
    live. All calls may raise `Away`."""

    def live(self) -> int:
        """The version that readers see."""

    def versions(self) -> list[int]:
        """Versions that hold anything, ascending."""

    def prepare(self, version: int) -> None:
        """Make what `version` needs (tables, prefixes) where it is missing; idempotent."""

    def positions(self, version: int) -> dict[TopicPartition, int]:
        """For each partition that was read, the offset of the next record to fold. Absent: none was folded yet."""

    def facts(self, version: int) -> dict[str, str]:
        """What is noted about `version` (how it was made, its state): name -> text. Empty for one that is not there."""

    def note(self, version: int, facts: Mapping[str, str | None]) -> None:
        """Note facts about `version`, all of them in one atomic step; None removes a fact. `drop` removes them all.

        Raises:
            Superseded: the version was dropped or never prepared.
        """

    def promote(self, version: int) -> None:
        """Make `version` the live one, atomically for readers."""

    def drop(self, version: int) -> None:
        """Remove `version` and all it holds. The live version is refused with ValueError."""

    def close(self) -> None: ...


class KeyedStore(ViewStore, Protocol):
    """A view of one document per key."""

    def load(self, version: int, keys: Sequence[str]) -> list[Loaded]:
        """The documents of `keys`, in their order."""

    def commit(
        self, version: int, source: TopicPartition, expected: int, following: int, changes: Mapping[str, Change]
    ) -> None:
        """Write all changes and move the position from `expected` to `following` in one atomic step, or nothing.

        Raises:
            Moved: the stored position is not `expected` (an absent one counts as 0).
            Conflict: a document is not at the revision its change names.
        """

    def scan(self, version: int) -> Iterator[tuple[str, Document]]:
        """All documents, each read atomically; a key may come twice while others write, with the same or newer state."""


class RowStore(ViewStore, Protocol):
    """A view of rows."""

    def append(self, version: int, batch_of: TopicPartition, first: int, following: int, rows: "pl.DataFrame") -> None:
        """Add the rows made from the records [first, following) of a partition and move the position to `following`.

        The same call again changes nothing. `rows` has the table's columns (timestamps as Int64 microseconds or
        Datetime("us")) and may be empty.

        Raises:
            Moved: the stored position is beyond `first`.
        """

    def amend(self, version: int, source: TopicPartition, first: int, following: int, rows: "pl.DataFrame") -> None:
        """Put `rows`, which are made from the records [first, following) as they count now and may be none, in place of all
        rows that were made from them, in one step for readers. The position stays. The same call again changes nothing.

        Raises:
            ValueError: the view has not come to the last of these records yet.
            Superseded: the version was dropped or never prepared.
        """

    def digests(self, version: int, until: Mapping[TopicPartition, int]) -> dict[str, str]:
        """Per key a hash over all its rows with offset < until[topic, partition], independent of the rows' order and
        of how often a row was physically written."""

    def counts(self, version: int, source: TopicPartition, start: int, stop: int) -> dict[int, int]:
        """For each offset in [start, stop) that has rows: how many readers see. A row that was written twice is one; rows
        of the same identity at different places in the order are as many as they are."""


class LogReader(Protocol):
    """Reading the log by position, outside any group: for rebuild, verify and reconcile."""

    def bounds(self, topics: Iterable[str]) -> dict[TopicPartition, tuple[int, int]]:
        """For each partition the first offset kept and the end: the offset behind the last record that can be read, which
        is the one that the next record will get, or the first one of a transaction that is still open."""

    def read(self, source: TopicPartition, start: int, stop: int) -> Iterator[Batch]:
        """The records with start <= offset < stop, in order, in batches.

        The batches follow each other without a break from `start` to `stop`, or to the log's end if that comes first. Where
        these offsets end with ones that hold no data record, the last batch goes up to there, and may be empty.

        Raises:
            Away: the broker does not answer.
            ValueError: the log no longer reaches back to `start`.
        """

    def close(self) -> None: ...


class SchemaRegistry(Protocol):
    """The schema registry, Confluent-compatible."""

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """The id of `schema` under `subject`, registered when it is new; cached."""

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema under an id; cached.

        Raises:
            UnknownSchema: the registry answers that there is none.
            Away: it does not answer, and the id is not cached.
        """

    def version(self, subject: str, number: "int | Latest") -> "Version":
        """A version of a subject. A numbered one is cached for good; of the latest, what was told last is the answer while
        the registry is away.

        Raises:
            UnknownSchema: the registry answers that there is none.
            Away: it does not answer, and has not told of it before.
        """


Latest = Literal["latest"]


class Version(NamedTuple):
    """A schema as one of the versions of a subject."""

    number: int
    schema_id: int
    schema: dict[str, Any]


class DeadLetters(Protocol):
    """Where records that break the contract are set aside."""

    def set_aside(self, letters: Sequence["DeadLetter"]) -> None:
        """Returns when all letters are durable; may raise `Away`."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    view: str
    source: TopicPartition
    offset: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
