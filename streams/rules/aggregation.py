"""The measures of a rule about the fleet: what is known of each bucket and group, and what a window comes to. Pure.

Amounts are added up one by one in the order of the log, by partition; the sums of partitions are added exactly (fsum). So a
measure depends neither on how rows fall into cuts nor on the order of the partitions.
"""

from collections.abc import Iterator, Sequence
from math import fsum
from typing import Any, NamedTuple, TypeVar

import msgspec

from streams.rules.ports import Added, Counts, RuleFailed

FLEET = "fleet/"
MOST_GROUPS = 10_000
MOST_GROUP = 1024  # characters of a group, which is a part of its alerts' key
"""Groups of one rule in one partition."""
MOST_BEHIND = 3_600_000_000
"""An engine that takes rows older than this (microseconds) asks of none of the times before."""

Values = list[float | None]
K = TypeVar("K")
V = TypeVar("V")
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


class Own(msgspec.Struct, array_like=True):
    """What was counted here of one bucket of a group, by the time from which it is visible; and how often it was told."""

    parts: dict[int, Values]
    revision: int = 0


class Told(NamedTuple):
    """What this partition has counted in a bucket of a group by now; a null measure had no row."""

    group: str
    begins: int
    revision: int
    values: Values


class _Kept(msgspec.Struct, array_like=True):
    parts: dict[str, list[tuple[int, int, int, Values]]]
    said: dict[str, Said]
    asked: int
    own: dict[str, dict[int, Own]]
    told: int


class Aggregation:
    """Of one rule in one partition."""

    def __init__(self, counter: Counts) -> None:
        self.counter = counter
        self.asked = 0
        """The end of the newest window that the rule was asked about."""
        self._parts: dict[str, dict[Bucket, Values]] = {}
        self._said: dict[str, Said] = {}
        self._own: dict[str, dict[int, Own]] = {}
        self._told = 0

    # --- what is at home here -----------------------------------------------------------------------------------------

    def add(self, added: Added, clock: int) -> int | None:
        """Take in what rows add, at the engine's time `clock`; the end of the window by which they are visible, None if they
        are too old to be asked about.

        Raises:
            RuleFailed: there are more groups than one rule may have.
        """
        visible = self._visible(added.bucket, added.visible, self.asked, clock)
        if visible is not None:
            parts = _of(self._parts, added.group)
            _add(parts.setdefault(Bucket(added.bucket, added.source, visible), [None] * len(added.amounts)), added)
        return visible

    def _visible(self, bucket: int, visible: int, done: int, clock: int) -> int | None:
        """The end of the window from which on something counts; windows up to `done` are over. None: of none
        any more."""
        length = self.counter.length
        oldest = (clock - MOST_BEHIND) // length * length
        found = max(visible, done + length if done else 0, oldest)
        return None if bucket + self.counter.window < found else found

    def hear(self, group: str, begins: int, source: int, values: Values, clock: int) -> int | None:
        """What a partition has counted by now, in place of what it had before; as `add`."""
        visible = self._visible(begins, begins + self.counter.length, self.asked, clock)
        if visible is not None:
            _of(self._parts, group)[Bucket(begins, source, 0)] = values
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
            found.append(_sum(amounts, count))
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

    # --- what is counted here for others ------------------------------------------------------------------------------

    def count(self, added: Added, clock: int) -> int | None:
        """Take in what rows of this partition add; when it is to be told, None if it is too old.

        Raises:
            RuleFailed: see `add`.
        """
        visible = self._visible(added.bucket, added.visible, self._told, clock)
        if visible is not None:
            own = _of(self._own, added.group).setdefault(added.bucket, Own({}))
            _add(own.parts.setdefault(visible, [None] * len(added.amounts)), added)
        return visible

    def tell(self, until: int) -> list[Told]:
        """What has become visible by `until` and was not told yet, and forget what no window holds any more."""
        found, before, self._told = list[Told](), self._told, max(self._told, until)
        oldest = until - self.counter.window
        for group, buckets in sorted(self._own.items()):
            for begins, own in sorted(buckets.items()):
                if any(before < visible <= until for visible in own.parts):
                    inside = [values for visible, values in own.parts.items() if visible <= until]
                    values = [_sum([v[place] for v in inside], False) for place in range(len(self.counter.counts))]
                    found.append(Told(group, begins, own.revision, values))
                    own.revision += 1
            for begins in [begins for begins in buckets if begins < oldest]:
                del buckets[begins]
        self._own = {group: buckets for group, buckets in self._own.items() if buckets}
        return found

    # --- snapshots ----------------------------------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        parts = {
            group: [(*bucket, values) for bucket, values in sorted(parts.items(), key=_first)]
            for group, parts in sorted(self._parts.items())
        }
        return msgspec.msgpack.encode(
            _Kept(parts, dict(sorted(self._said.items())), self.asked, dict(sorted(self._own.items())), self._told)
        )

    def restore(self, data: bytes) -> None:
        kept = msgspec.msgpack.decode(data, type=_Kept)
        self.asked, self._said, self._own, self._told = kept.asked, kept.said, kept.own, kept.told
        self._parts = {
            group: {Bucket(begins, source, visible): values for begins, source, visible, values in parts}
            for group, parts in kept.parts.items()
        }


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def _sum(amounts: Sequence[float | None], count: bool) -> float | None:
    """Null for a sum of nothing, and for one that is beyond doubles."""
    known = [amount for amount in amounts if amount is not None]
    try:
        return fsum(known) if known or count else None
    except (OverflowError, ValueError):
        return None


def _of(groups: dict[str, dict[K, V]], group: str) -> dict[K, V]:
    """What is known of a group.

    Raises:
        RuleFailed: it would be one more than a rule may have, or is too long.
    """
    if len(group) > MOST_GROUP:
        raise RuleFailed(f"group_by: a group of more than {MOST_GROUP:,} characters")
    if group not in groups and len(groups) >= MOST_GROUPS:
        raise RuleFailed(f"group_by: more than {MOST_GROUPS:,} groups")
    return groups.setdefault(group, {})


def _add(values: Values, added: Added) -> None:
    for place, amounts in enumerate(added.amounts):
        if amounts:
            total = values[place] or 0.0
            for amount in amounts:
                total += amount
            values[place] = total
