"""Segments give back what went in; manifests find whatever was taken out, changed or moved."""

import io
from dataclasses import replace

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.archive.manifest import Manifest, Segment, described, empty, extended, faults, opened, schema_ids, sealed
from schemas.archive.records import Records, joined
from schemas.archive.segment import Damaged, decoded, encoded, root
from tests.schemas.archive_records import SOURCE, records, rows


@given(records())
def test_a_segment_gives_back_every_byte(given_records: Records) -> None:
    data = encoded(given_records)
    found = decoded(data, SOURCE, given_records.read_from, given_records.read_to)
    assert rows(found) == rows(given_records)
    assert (found.read_from, found.read_to) == (given_records.read_from, given_records.read_to)
    assert root(found) == root(given_records)
    assert encoded(found) == data
    plain = decoded(data, SOURCE, given_records.read_from, given_records.read_to, with_headers=False)
    assert (plain.values, plain.headers) == (found.values, [()] * len(found))


@given(records())
def test_any_avro_reader_reads_a_segment(given_records: Records) -> None:
    found = list(fastavro.reader(io.BytesIO(encoded(given_records))))
    assert [(one["offset"], one["key"], one["value"]) for one in found] == list(
        zip(given_records.offsets, given_records.keys, given_records.values, strict=True)
    )
    assert [tuple((h["name"], h["value"]) for h in one["headers"]) for one in found] == list(given_records.headers)


@given(records(), st.data())
def test_another_record_is_another_root(given_records: Records, data: st.DataObject) -> None:
    if not len(given_records):
        return
    at = data.draw(st.integers(0, len(given_records) - 1))
    values = [*given_records.values[:at], b"another", *given_records.values[at + 1 :]]
    assert (root(replace(given_records, values=values)) == root(given_records)) == (given_records.values[at] == b"another")


@given(records(), st.integers(1, 40))
def test_pieces_follow_each_other_and_are_the_whole(given_records: Records, most: int) -> None:
    pieces = list(given_records.pieces(most))
    assert all(len(piece) <= most for piece in pieces)
    assert [piece.read_from for piece in pieces[1:]] == [piece.read_to for piece in pieces[:-1]]
    assert rows(joined(pieces)) == rows(given_records)
    assert (pieces[0].read_from, pieces[-1].read_to) == (given_records.read_from, given_records.read_to)


@given(records(), st.binary(max_size=200))
def test_what_is_no_segment_is_said_to_be_none(given_records: Records, noise: bytes) -> None:
    with pytest.raises(Damaged):
        decoded(noise, SOURCE, 0, 1)
    if len(given_records):
        with pytest.raises(Damaged, match="offsets"):
            decoded(encoded(given_records), SOURCE, given_records.read_to, given_records.read_to + 10)


def test_schema_ids_are_those_of_framed_values() -> None:
    assert schema_ids([None, b"", b"\0\0\0", b"\1\0\0\0\7x", b"\0\0\0\0\7x", b"\0\0\0\1\0"]) == {7, 256}


@st.composite
def manifests(draw: st.DrawFn, least: int = 0) -> Manifest:
    """A manifest of up to 3 partitions, made in several steps."""
    manifest = empty(SOURCE.topic, 3)
    for _ in range(draw(st.integers(1, 3))):
        added: list[tuple[int, Segment]] = []
        ends = {partition: manifest.span(partition)[1] for partition in range(3)}
        for partition in draw(st.lists(st.integers(0, 2), min_size=least, max_size=4)):
            following = ends[partition] + draw(st.integers(1, 9))
            part = Records(SOURCE._replace(partition=partition), range(0), [], [], [], [], ends[partition], following)
            added.append((partition, described(part, b"%d" % draw(st.integers(0, 99)))))
            ends[partition] = following
        manifest = extended(manifest, draw(st.text("0123456789abcdef", max_size=4)), added)
    return manifest


@given(manifests())
def test_a_manifest_is_read_back_and_has_no_fault(manifest: Manifest) -> None:
    assert opened(sealed(manifest), "name") == manifest
    assert list(faults(manifest)) == []


@given(manifests(least=1), st.data())
def test_an_edited_manifest_is_found(manifest: Manifest, data: st.DataObject) -> None:
    stored = bytearray(sealed(manifest))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Damaged):
        opened(bytes(stored), "name")


@given(manifests(least=2), st.data())
def test_a_removed_swapped_or_edited_entry_breaks_the_chain(manifest: Manifest, data: st.DataObject) -> None:
    partition = data.draw(st.sampled_from([p for p in range(3) if manifest.partitions[p]]))
    segments = list(manifest.partitions[partition])
    at = data.draw(st.integers(0, len(segments) - 1))
    what = data.draw(st.sampled_from(["remove", "swap", "edit"]))
    if what == "remove" and at < len(segments) - 1:
        del segments[at]
    elif what == "swap" and at < len(segments) - 1:
        segments[at], segments[at + 1] = segments[at + 1], segments[at]
    else:
        segments[at] = msgspec.structs.replace(segments[at], records=segments[at].records + 1)
    changed = [*manifest.partitions[:partition], tuple(segments), *manifest.partitions[partition + 1 :]]
    found = list(faults(msgspec.structs.replace(manifest, partitions=tuple(changed))))
    assert found
    assert any(segments[at].name in fault for fault in found)


def test_a_segment_that_does_not_follow_is_refused() -> None:
    manifest = extended(empty(SOURCE.topic, 1), "", [(0, described(Records(SOURCE, range(0), [], [], [], [], 0, 5), b""))])
    with pytest.raises(ValueError, match="does not follow"):
        extended(manifest, "", [(0, described(Records(SOURCE, range(0), [], [], [], [], 6, 9), b""))])


@given(manifests(least=1), st.integers(0, 40), st.integers(0, 40))
def test_what_covers_a_range_is_all_that_touches_it(manifest: Manifest, start: int, stop: int) -> None:
    for partition in range(3):
        covering = manifest.covering(partition, start, stop)
        first, following = manifest.span(partition)
        wanted = set(range(max(start, first), min(stop, following)))
        assert wanted <= {offset for one in covering for offset in range(one.first, one.following)}
        assert all(set(range(one.first, one.following)) & set(range(start, stop)) for one in covering)
