"""Records that wait for one of their key that could not be used, in views that declare it (KeyedProjection.parks).

After a record that is set aside, the later ones of its key in its partition are set aside too, as waiting, until the first
one is corrected: the view made under that correction folds all of them in their order. Which records wait is a pure
function of the log and the corrections, so live and rebuild come to the same; which keys are parked lies with the version,
as a fact, so that a runner that goes on half-way knows it. A fact names the record that a key waits for, so that noting it
before the position passes is harmless: what lies before that record does not wait for it.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from projections.projection import KeyedProjection
from schemas.columns import Fault
from schemas.log import Batch, TopicPartition

WAITING = "waiting"
"""The reason of such letters."""

MOST_PARKED = 1_000
MOST_WAITING = 100_000
"""Keys, and records, that wait in one partition; beyond that the view halts rather than put its whole log aside."""


class Parks(ValueError):
    """A document of the view is no fold of its key's records alone; the message names the view."""


def demand_no_parking(projection: KeyedProjection) -> None:
    """For what folds documents from the records of their keys, whatever became of other records: verification, healing,
    as-of, parts of a rebuild. It would take records that wait for folded ones.

    Raises:
        Parks: the projection parks.
    """
    if projection.parks:
        raise Parks(
            f"{projection.name}: its records wait for those of their key that were set aside, so that a document can't be "
            "folded by itself, to be compared, healed or looked at as of a time; a rebuild makes it anew"
        )


class TooManyWaiting(Exception):
    """More keys or records wait in a partition than may: somebody has to look after the letters."""


class Facts(Protocol):
    """What is needed of a view's store."""

    def facts(self, version: int) -> dict[str, str]: ...

    def note(self, version: int, facts: Mapping[str, str | None]) -> None: ...


class _Parked(msgspec.Struct):
    """Key (hexadecimal) -> the offset of the record that it waits for; how many records wait, counted up to `until`."""

    keys: dict[str, int] = {}
    waiting: int = 0
    until: int = 0


class Parking:
    """Of one view."""

    def __init__(self, store: Facts, most_keys: int = MOST_PARKED, most_records: int = MOST_WAITING) -> None:
        self._store, self._most_keys, self._most_records = store, most_keys, most_records

    def waiting(self, version: int, batch: Batch, faults: Sequence[Fault]) -> list[Fault]:
        """The records of a batch that wait, given those that are at fault. Noted in the version.

        Raises:
            Away: the store does not answer.
            TooManyWaiting: there are too many.
        """
        name = f"parked/{batch.source}"
        before = self._store.facts(version).get(name)
        parked = msgspec.json.decode(before, type=_Parked) if before else _Parked()
        found = list(_held(batch, {fault.index for fault in faults}, parked.keys))
        parked.waiting += sum(batch.offsets[fault.index] >= parked.until for fault in found)
        parked.until = max(parked.until, batch.following)
        if len(parked.keys) > self._most_keys or parked.waiting > self._most_records:
            raise TooManyWaiting(
                f"{batch.source}: {len(parked.keys)} keys are parked and {parked.waiting} records wait for them: "
                "correct what they wait for (fleetlog dlq list)"
            )
        if parked.keys:
            self._store.note(version, {name: msgspec.json.encode(parked).decode()})
        return found


def _held(batch: Batch, bad: set[int], keys: dict[str, int]) -> Sequence[Fault]:
    """The records that wait; `keys` is added to."""
    found = []
    for index, key in enumerate(batch.keys):
        if key is None:
            continue
        since = keys.get(key.hex())
        if since is not None and batch.offsets[index] > since:
            if index not in bad:
                found.append(Fault(index, WAITING, f"waits for {_place(batch.source, since)}, which was set aside"))
        elif index in bad:
            keys[key.hex()] = batch.offsets[index]
    return found


def _place(source: TopicPartition, offset: int) -> str:
    return f"{source.topic}:{source.partition}:{offset}"
