"""The shape of a row view: which columns it has and what makes a row unique. A store turns it into a table of its own."""

from dataclasses import dataclass
from enum import StrEnum


class ColumnType(StrEnum):
    """Column types that every row store must keep exactly."""

    STRING = "string"
    LABEL = "label"  # a string with few distinct values
    LONG = "long"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # microseconds since 1970-01-01 UTC
    DOUBLES = "doubles"  # an array
    STRINGS = "strings"  # an array


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: ColumnType
    doc: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A row view's table.

    `order` names the columns by which rows are sorted for reading. `identity` names the columns that make a row one
    row: two rows with the same values there are the same row, written twice. `key` is the column whose values are the
    view's keys (for verification).

    Every table starts with the columns of `provenance`.
    """

    name: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]
    identity: tuple[str, ...]
    key: str = "device_id"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


PROVENANCE = (
    Column("topic", ColumnType.LABEL, "Topic of the record that the row was made from."),
    Column("partition", ColumnType.LONG, "Its partition."),
    Column("offset", ColumnType.LONG, "Its offset."),
)
