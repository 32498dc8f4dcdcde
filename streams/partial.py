"""Partial rebuild: some documents of the live version, folded anew from the log, each put in its place in one step while the
view goes on living.

A document is loaded with its revision, and then the version's positions are read. If the document still has that revision
when it is replaced, no record touched it since it was loaded, and every record below those positions had been folded
before: the document must then be the fold of the records below the positions, whatever is in it now. Nothing that the
document says of itself is trusted. If it has another revision, what came meanwhile is folded too, and it is tried again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from connectors.leaves import Leaves
from connectors.ports import Conflict, Document, KeyedStore, Leaf, LogReader
from projections.canonical import bucket_of, document_leaf
from projections.projection import KeyedProjection, Projection
from schemas.record_columns import BatchDecoder
from streams.key_fold import KeyFold
from streams.versions import Refused

MOST_TRIES = 100
"""A key that is touched more often than this between load and write is not folded in time."""


@dataclass(frozen=True, slots=True)
class Refolded:
    """The live version, and the keys whose documents were as the log implies, were replaced, or were removed."""

    version: int
    unchanged: tuple[str, ...]
    replaced: tuple[str, ...]
    removed: tuple[str, ...]


class TooBusy(Exception):
    """A document changed at every try."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The part of a view that is asked for: documents by their keys, devices, a part of the log (`ranged`), or a tenant."""

    keys: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    ranged: bool = False
    tenant: str | None = None


def keys_of(projection: Projection, asked: Asked) -> tuple[str, ...]:
    """The keys of the documents that make up the part; none where it is a range of a view of rows (streams.row_range).

    Raises:
        Refused: the part can't be made by itself; the message says why.
    """
    name = projection.name
    if asked.tenant is not None:
        raise Refused("records name no tenant (schemas/topics.toml), so there is no part of a view that is one's own")
    if isinstance(projection, KeyedProjection):
        if asked.ranged:
            raise Refused(
                f"{name}: a document is made of all its records, those of a part of the log can't take its place; "
                "name documents (--device, --key), or rebuild all"
            )
        if asked.devices and projection.key != "device":
            raise Refused(f"{name}: a document is of a {projection.key}, not of a device; name it with --key")
        return tuple(dict.fromkeys((*asked.devices, *asked.keys)))
    if asked.devices or asked.keys:
        raise Refused(
            f"{name}: a row is of its record, and the rows of a device may be of any; name a part of the log "
            "(--from, --to, --partition), or rebuild all, beside the live version"
        )
    return ()


def refold(
    projection: KeyedProjection,
    store: KeyedStore,
    leaves: Leaves,
    log: LogReader,
    decoders: Mapping[str, BatchDecoder],
    keys: Sequence[str],
) -> Refolded:
    """Make the documents of `keys` in the live version what the log implies. The log is read once, and then only what came
    meanwhile.

    Raises:
        Away, and ValueError where the log no longer reaches back to its beginning: nothing was changed.
        Superseded: the version was dropped meanwhile.
        TooBusy: documents change faster than they are folded; the message names them. The others are done.
    """
    version, found = store.live(), KeyFold(projection, log, decoders, keys)
    unchanged: list[str] = []
    replaced: list[str] = []
    removed: list[str] = []
    pending = list(keys)
    for _ in range(MOST_TRIES):
        loaded = store.load(version, pending)
        for source, position in store.positions(version).items():
            found.advance(source, dict.fromkeys(pending, position))
        again = []
        for key, old in zip(pending, loaded, strict=True):
            document = found.documents[key]
            if document == old.document:
                unchanged.append(key)
            elif _put(projection, leaves, version, (key, old.revision, document)):
                (replaced if document else removed).append(key)
            else:
                again.append(key)
        if not again:
            return Refolded(version, tuple(unchanged), tuple(replaced), tuple(removed))
        pending = again
    raise TooBusy(f"{projection.name}: folded on at each of {MOST_TRIES} tries: {', '.join(pending)}")


def _put(projection: KeyedProjection, leaves: Leaves, version: int, made: tuple[str, int, Document]) -> bool:
    """Put a document in its place; False when it has another revision by now."""
    key, revision, document = made
    leaf = Leaf(bucket_of(key, projection.partitions), document_leaf(key, document))
    try:
        leaves.replace(version, key, revision, document, leaf)
    except Conflict:
        return False
    return True
