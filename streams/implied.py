"""The roots that the log implies, folded in memory, without any store: for attestations, and for the golden logs that hold
the roots of every view from release to release (tests/golden)."""

from collections.abc import Mapping

from connectors.ports import LogReader
from connectors.rows import canonical
from projections.canonical import CHUNK, chunk_hash, document_leaf, roots_of_leaves, row_root
from projections.projection import KeyedProjection, Projection, RowProjection, with_position
from schemas.log import TopicPartition
from schemas.record_columns import BatchDecoder
from schemas.row_bytes import row_hashes
from streams.refold import Source, Until, read_up_to, refold, whole
from streams.roots import Roots


def implied_roots(
    projection: Projection,
    log: LogReader,
    decoders: Mapping[str, BatchDecoder],
    positions: Mapping[TopicPartition, int],
) -> Roots:
    """The roots of a view that has folded everything below these positions.

    Raises:
        ValueError: the log no longer reaches back to its beginning.
    """
    if isinstance(projection, KeyedProjection):
        documents = refold(Source(projection, log, decoders), Until(positions))
        leaves = {key: document_leaf(key, document) for key, document in documents.items()}
        return Roots(positions, roots_of_leaves(leaves, projection.partitions))
    return Roots(
        positions,
        {
            str(source): row_root(_chunks(projection, log, decoders, (source, positions[source])))
            for source in sorted(positions)
        },
    )


def _chunks(
    projection: RowProjection, log: LogReader, decoders: Mapping[str, BatchDecoder], upto: tuple[TopicPartition, int]
) -> dict[int, bytes]:
    source, position = upto
    low, _ = log.bounds([source.topic])[source]
    whole(source, low, projection.name)
    hashes: dict[int, list[bytes]] = {}
    for batch in read_up_to(log, source, (low, position, position)):
        frame = projection.rows(with_position(decoders[source.topic].decode(batch.values).frame, batch))
        made = list(canonical(projection.table, source, batch.begins, batch.following, frame).iter_rows())
        for row, hashed in zip(made, row_hashes(projection.table, made), strict=True):
            hashes.setdefault(row[2] // CHUNK, []).append(hashed)
    return {number: chunk_hash(found) for number, found in hashes.items()}
