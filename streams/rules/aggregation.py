"""The measures of a rule about the fleet: what is known of each bucket and group, and what a window comes to. Pure.

Amounts are added up one by one in the order of the log, by partition; the sums of partitions are added exactly (fsum). So a
measure depends neither on how rows fall into cuts nor on the order of the partitions.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import fsum
from typing import Any, NamedTuple

import msgspec

from streams.rules.ports import Added, Counts, RuleFailed

FLEET = "fleet/"
MOST_GROUPS = 10_000
"""Groups of one rule in one partition."""
MOST_BEHIND = 3_600_000_000
"""An engine that takes rows older than this (microseconds) asks of none of the times before."""

Values = list[float | None]
RAISED, NEITHER, CLEARED = 1, 0, -1


def home_key(rule_id: str, group: str) -> str:
    """The key of the alerts about a group."""
    return f"{FLEET}{rule_id}/{group}"


def group_of(home: str) -> str:
    """The group of a home key."""
    return home.split("/", 2)[2]


class Bucket(NamedTuple):
    """Of a group, as far as one partition's rows that are visible from `visible` on. Times in microseconds."""

    begins: int
    source: int
    visible: int


class Said(msgspec.Struct, array_like=True):
    """What the rule last said of a group, and how often in a row it was raised."""

    code: int = CLEARED
    raised: int = 0


class _Kept(msgspec.Struct, array_like=True):
    parts: dict[str, list[tuple[int, int, int, Values]]]
    said: dict[str, Said]
    asked: int


class Aggregation:
    """Of one rule in one partition."""

    def __init__(self, counter: Counts) -> None:
        self.counter = counter
        self.asked = 0
        """The end of the newest window that the rule was asked about."""
        self._parts: dict[str, dict[Bucket, Values]] = {}
        self._said: dict[str, Said] = {}

    def add(self, added: Added, clock: int) -> int | None:
        """Take in what rows add, at the engine's time `clock`; the end of the window by which they are visible, None if they
        are too old to be asked about.

        Raises:
            RuleFailed: there are more groups than one rule may have.
        """
        counter = self.counter
        visible = max(added.visible, self.asked + counter.length if self.asked else 0)
        oldest = (clock - MOST_BEHIND) // counter.length * counter.length
        visible = max(visible, oldest)
        if added.bucket + counter.window < visible:
            return None
        parts = self._parts.setdefault(added.group, {})
        if len(self._parts) > MOST_GROUPS:
            raise RuleFailed(f"group_by: more than {MOST_GROUPS:,} groups")
        values = parts.setdefault(Bucket(added.bucket, added.source, visible), [None] * len(added.amounts))
        for place, amounts in enumerate(added.amounts):
            if amounts:
                values[place] = _added(values[place], amounts)
        return visible

    def windows(self, until: int) -> Iterator[tuple[str, dict[str, float | None]]]:
        """Every group with what its window [until - window, until) comes to; in a window of nothing counts are 0 and sums
        null. A group of which nothing is left is asked about once more, and forgotten."""
        counter = self.counter
        self.asked = until
        for group in sorted(self._parts):
            parts = self._parts[group]
            inside = [
                values
                for bucket, values in parts.items()
                if until - counter.window <= bucket.begins < until and bucket.visible <= until
            ]
            if not parts:
                del self._parts[group]
            for bucket in [one for one in parts if one.begins < until + counter.length - counter.window]:
                del parts[bucket]
            yield group, dict(zip(counter.names, self._whole(inside), strict=True))

    def _whole(self, inside: Sequence[Values]) -> Values:
        found: Values = []
        for place, count in enumerate(self.counter.counts):
            amounts = [values[place] for values in inside]
            found.append(_sum([amount for amount in amounts if amount is not None], count))
        return found

    @property
    def following(self) -> int | None:
        """The end of the next window that the rule is to be asked about, if any is left to ask about."""
        return self.asked + self.counter.length if self._parts else None

    def turned(self, group: str, code: int, repeat: int) -> int | None:
        """What the rule says of a group, if that is not what it said before; it counts as raised from
        the time on that it is so for the `repeat`-th time in a row."""
        said = self._said.get(group) or Said()
        raised = said.raised + 1 if code == RAISED else 0
        if code == RAISED and raised < repeat:
            code = NEITHER
        if code == CLEARED:
            self._said.pop(group, None)
        else:
            self._said[group] = Said(code, raised)
        return None if code == said.code else code

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        parts = {
            group: [(*bucket, values) for bucket, values in sorted(parts.items(), key=_first)]
            for group, parts in sorted(self._parts.items())
        }
        return msgspec.msgpack.encode(_Kept(parts, dict(sorted(self._said.items())), self.asked))

    def restore(self, data: bytes) -> None:
        kept = msgspec.msgpack.decode(data, type=_Kept)
        self.asked, self._said = kept.asked, kept.said
        self._parts = {
            group: {Bucket(begins, source, visible): values for begins, source, visible, values in parts}
            for group, parts in kept.parts.items()
        }


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def _sum(amounts: Sequence[float], count: bool) -> float | None:
    """Null for a sum of nothing, and for one that is beyond doubles."""
    try:
        return fsum(amounts) if amounts or count else None
    except (OverflowError, ValueError):
        return None


def _added(before: float | None, amounts: Iterable[float]) -> float:
    total = 0.0 if before is None else before
    for amount in amounts:
        total += amount
    return total
