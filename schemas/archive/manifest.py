"""Manifests: what the archive holds of a topic. Pure.

A manifest lists for each partition its segments, in order, without a break. Every entry carries a hash over itself and the
entry before (`chain`), so that one that was removed, edited or swapped breaks the chain at its place; the manifest carries
a hash over itself. Manifests are numbered, each is written once, and the one of the highest number counts.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from schemas.archive.records import Records
from schemas.archive.segment import Damaged
from schemas.archive.segment import root as root_of
from schemas.log import TopicPartition
from schemas.wire import MAGIC, PREFIX_BYTES

FORMAT = 1


class Segment(msgspec.Struct, frozen=True):
    """One object: all data records with first <= offset < following of a partition.

    `oldest` and `newest` are the least and greatest timestamp in milliseconds (None without records); `schemas` the ids that
    the values name; hashes are SHA-256 in hexadecimal: of the file, the Merkle root over the records, and the chain.
    """

    name: str
    first: int
    following: int
    records: int
    bytes: int
    oldest: int | None
    newest: int | None
    schemas: tuple[int, ...]
    sha256: str
    root: str
    chain: str


class Manifest(msgspec.Struct, frozen=True):
    """`partitions[p]` are the segments of partition p. `previous` is the hash of the manifest before; "" for the first."""

    topic: str
    number: int
    previous: str
    partitions: tuple[tuple[Segment, ...], ...]
    format: int = FORMAT

    def span(self, partition: int) -> tuple[int, int]:
        """The first offset that is archived of a partition, and the one behind the last; (0, 0) for one of which none is."""
        segments = self.partitions[partition] if partition < len(self.partitions) else ()
        return (segments[0].first, segments[-1].following) if segments else (0, 0)

    @property
    def records(self) -> int:
        return sum(segment.records for segments in self.partitions for segment in segments)

    def covering(self, partition: int, start: int, stop: int) -> Sequence[Segment]:
        """The segments that hold offsets in [start, stop)."""
        segments = self.partitions[partition] if partition < len(self.partitions) else ()
        return [segment for segment in segments if max(start, segment.first) < min(stop, segment.following)]


class _Sealed(msgspec.Struct):
    """A manifest as it is stored."""

    sha256: str
    manifest: msgspec.Raw


def empty(topic: str, partitions: int) -> Manifest:
    """Before the first one."""
    return Manifest(topic, 0, "", ((),) * partitions)


def described(records: Records, data: bytes) -> Segment:
    """The entry of a segment whose file is `data`, not yet chained."""
    digest = hashlib.sha256(data).hexdigest()
    source, times = records.source, records.timestamps
    return Segment(
        # The hash is in the name: what another run would cut otherwise is another object.
        name=f"topics/{source.topic}/{source.partition}/{records.read_from:020}-{records.read_to:020}-{digest[:16]}.avro",
        first=records.read_from,
        following=records.read_to,
        records=len(records),
        bytes=len(data),
        oldest=min(times) if times else None,
        newest=max(times) if times else None,
        schemas=tuple(sorted(schema_ids(records.values))),
        sha256=digest,
        root=root_of(records).hex(),
        chain="",
    )


def schema_ids(values: Sequence[bytes | None]) -> set[int]:
    """The schema ids that framed values name; what is not framed names none."""
    prefixes = {value[:PREFIX_BYTES] for value in values if value and len(value) >= PREFIX_BYTES}
    return {int.from_bytes(prefix[1:]) for prefix in prefixes if prefix[0] == MAGIC}


def extended(manifest: Manifest, previous: str, added: Sequence[tuple[int, Segment]]) -> Manifest:
    """The next manifest: with more segments, given as (partition, entry), in order. `previous`: the hash of `manifest` as it
    is stored.

    Raises:
        ValueError: a segment does not begin where its partition's last one ends.
    """
    partitions = [list(segments) for segments in manifest.partitions]
    for partition, segment in added:
        partitions += [[] for _ in range(partition + 1 - len(partitions))]
        before = partitions[partition]
        if before and before[-1].following != segment.first:
            raise ValueError(f"{segment.name} does not follow {before[-1].name}")
        chain = before[-1].chain if before else _beginning(manifest.topic, partition)
        before.append(msgspec.structs.replace(segment, chain=_chained(chain, segment)))
    return Manifest(manifest.topic, manifest.number + 1, previous, tuple(tuple(segments) for segments in partitions))


def sealed(manifest: Manifest) -> bytes:
    """A manifest as it is stored."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    return msgspec.json.encode(_Sealed(hashlib.sha256(body).hexdigest(), msgspec.Raw(body)))


def opened(data: bytes, name: str) -> Manifest:
    """The manifest stored as `data` in the object `name`.

    Raises:
        Damaged: it is none, or was edited.
    """
    try:
        found = msgspec.json.decode(data, type=_Sealed)
        if hashlib.sha256(bytes(found.manifest)).hexdigest() != found.sha256:
            raise Damaged(f"{name} was edited: its content has not the hash that it names")
        manifest = msgspec.json.decode(found.manifest, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Damaged(f"{name} is no manifest: {error}") from None
    if manifest.format != FORMAT:
        raise Damaged(f"{name} is of format {manifest.format}, this program reads format {FORMAT}")
    return manifest


def faults(manifest: Manifest) -> Iterator[str]:
    """What is wrong with a manifest by itself: each line names a segment."""
    for partition, segments in enumerate(manifest.partitions):
        for before, segment in pairwise((None, *segments)):
            assert segment is not None
            yield from _entry_faults(TopicPartition(manifest.topic, partition), before, segment)


def _entry_faults(source: TopicPartition, before: Segment | None, segment: Segment) -> Iterator[str]:
    chain = _beginning(source.topic, source.partition) if before is None else before.chain
    if _chained(chain, segment) != segment.chain:
        behind = "the beginning" if before is None else before.name
        yield f"{segment.name}: the chain is broken: it does not follow {behind}, or its entry was edited"
    if before is not None and before.following != segment.first:
        yield f"{segment.name}: begins at offset {segment.first}, the segment before ends at {before.following}"
    if segment.first >= segment.following:
        yield f"{segment.name}: spans no offset"


def _beginning(topic: str, partition: int) -> str:
    return hashlib.sha256(f"fleetlog archive of {topic}/{partition}".encode()).hexdigest()


def _chained(chain: str, segment: Segment) -> str:
    entry: dict[str, Any] = {name: getattr(segment, name) for name in segment.__struct_fields__ if name != "chain"}
    return hashlib.sha256(chain.encode() + msgspec.json.encode(entry, order="sorted")).hexdigest()
