"""The log as it counts: corrections applied to batches of records, each at the place of the record that it is about.

A record that was patched has its new value, one that is skipped is left out as an offset without a record is; keys,
offsets, order and what a batch vouches for stay as they are. The function is pure: the same log with the same corrections is
always the same, so a view says up to which offset of the corrections' topic it was made (`Corrections.until`).
"""

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.correction_messages import Correction, CorrectionWithdrawn, RecordPatched
from schemas.log import Batch, TopicPartition, offsets_of

CORRECTIONS_TOPIC = "fleet.corrections"

FACT = "corrections"
"""The fact of a view's version that says which corrections are in it: all before this offset of their topic."""

REDRIVING = "redriving"
"""The fact of a view's version into which corrections are being brought: up to which offset of their topic."""


class MisplacedCorrection(ValueError):
    """A correction is about a record that does not lie where it says; the message names both."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A correction, and its offset in the corrections' topic."""

    at: int
    correction: Correction


def made_with(facts: Mapping[str, str]) -> int:
    """Of the facts of a view's version: the offset before which all corrections are in it; 0 where none is."""
    return int(facts.get(FACT, "0"))


def digest(value: bytes | None) -> str | None:
    """By what a correction knows its record: the SHA-256 of the value, hexadecimal; None of a tombstone."""
    return None if value is None else hashlib.sha256(value).hexdigest()


@dataclass(frozen=True)
class Corrections:
    """The corrections in force before the offset `until` of their topic: the last one of each record, unless it takes the
    ones before it back."""

    until: int = 0
    by_source: Mapping[TopicPartition, Mapping[int, Entry]] = field(default_factory=dict)
    _offsets: Mapping[TopicPartition, Sequence[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry], until: int) -> "Corrections":
        """Out of all entries of the topic, in their order; those from `until` on don't count."""
        found: dict[TopicPartition, dict[int, Entry]] = defaultdict(dict)
        for entry in entries:
            if entry.at >= until:
                continue
            correction = entry.correction
            if isinstance(correction, CorrectionWithdrawn):
                found[correction.source].pop(correction.offset, None)
            else:
                found[correction.source][correction.offset] = entry
        return cls(until, dict(found), {source: sorted(of_source) for source, of_source in found.items()})

    def __iter__(self) -> Iterator[Entry]:
        for of_source in self.by_source.values():
            yield from of_source.values()

    def of_record(self, source: TopicPartition, offset: int) -> Entry | None:
        """The correction in force of one record."""
        return self.by_source.get(source, {}).get(offset)

    def apply(self, batch: Batch) -> Batch:
        """The batch as it counts.

        Raises:
            MisplacedCorrection: a corrected record is not in the batch that vouches for its offset, or is another one.
        """
        offsets = self._offsets.get(batch.source, ())
        first = bisect_left(offsets, batch.begins) if offsets else 0
        due = offsets[first : bisect_left(offsets, batch.following)] if offsets else ()
        if not due:
            return batch
        entries = self.by_source[batch.source]
        values, left_out = list(batch.values), set()
        for offset in due:
            place = bisect_left(batch.offsets, offset)
            if place == len(batch) or batch.offsets[place] != offset:
                raise MisplacedCorrection(f"{_name(entries[offset])} is of {batch.source}:{offset}, where no record lies")
            patched = corrected(entries[offset], values[place])
            if patched is None:
                left_out.add(place)
            values[place] = patched
        if not left_out:
            return _with(batch, batch.offsets, batch.keys, values)
        kept = [place for place in range(len(batch)) if place not in left_out]
        offsets_kept = offsets_of([batch.offsets[place] for place in kept])
        return _with(batch, offsets_kept, [batch.keys[place] for place in kept], [values[place] for place in kept])


def corrected(entry: Entry, original: bytes | None) -> bytes | None:
    """The value with which a record counts under a correction in force; None where it does not count.

    Raises:
        MisplacedCorrection: the correction is of another record.
    """
    correction = entry.correction
    if digest(original) != correction.original_sha256:
        raise MisplacedCorrection(
            f"{_name(entry)} is of {correction.source}:{correction.offset} with the SHA-256 "
            f"{correction.original_sha256 or 'of nothing'}; the record there has {digest(original) or 'no value'}"
        )
    return correction.value if isinstance(correction, RecordPatched) else None


def _with(batch: Batch, offsets: Sequence[int], keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> Batch:
    return Batch(batch.source, offsets, keys, values, batch.epoch, batch.begins, batch.following)


def _name(entry: Entry) -> str:
    return f"the correction at {CORRECTIONS_TOPIC}/0:{entry.at}"
