"""The rows of a view as of a time: those of the records that count, page by page or all at once."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryLog
from projections.as_of import Moment
from projections.catalogue import TELEMETRY
from schemas.log import TopicPartition
from streams.as_of_rows import Place, RowsAsOf
from streams.snapshotting import LogTooShort
from tests.projections.records import DEVICES, RECORDS, times
from tests.streams.decoding import BAD, JsonDecoder, encode

TOPIC = "fleet.telemetry"
RECORD = RECORDS[TOPIC]
Row = tuple[int, int, int]


def view_of(log: list[tuple[int, dict[str, Any]]]) -> RowsAsOf:
    kept = MemoryLog({TOPIC: 2}, batch_records=3)
    for partition, record in log:
        kept.append(TopicPartition(TOPIC, partition), b"key", encode(record))
    return RowsAsOf(TELEMETRY, kept, {TOPIC: JsonDecoder(TOPIC)})


def expected(log: list[tuple[int, dict[str, Any]]], moment: Moment, key: str | None) -> list[Row]:
    found = []
    for partition in (0, 1):
        for offset, record in enumerate(record for where, record in log if where == partition):
            happened = min(record["occurred_at"], record["received_at"])
            if happened <= moment.at and record["received_at"] <= moment.known and key in (None, record["device_id"]):
                found += [(partition, offset, reading) for reading in range(len(record["readings"]))]
    return found


def places(rows: list[dict[str, Any]]) -> list[Row]:
    return [(row["partition"], row["offset"], row["reading"]) for row in rows]


@given(
    st.lists(st.tuples(st.integers(0, 1), RECORD), max_size=20),
    times,
    times,
    st.none() | st.sampled_from(DEVICES),
    st.integers(1, 9),
)
@settings(max_examples=60)
def test_rows_are_those_of_the_records_that_count_and_pages_put_together_are_all(
    log: list[tuple[int, dict[str, Any]]], at: int, known: int, key: str | None, most: int
) -> None:
    view, moment = view_of(log), Moment(at, known)
    right = expected(log, moment, key)
    assert [place for _, frame in view.frames(moment, key) for place in places(frame.to_dicts())] == right
    paged: list[Row] = []
    begin: Place | None = None
    for _ in range(len(right) + len(log) + 2):
        rows, begin = view.page(moment, key, begin, most)
        assert len({(partition, offset) for partition, offset, _ in places(rows)}) <= most
        paged += places(rows)
        if begin is None:
            break
        begin = Place.parse(str(begin))
    assert paged == right
    assert begin is None


def test_bad_records_have_no_rows_and_a_place_must_be_one() -> None:
    view = view_of([])
    assert isinstance(view.log, MemoryLog)
    view.log.append(TopicPartition(TOPIC, 0), b"key", BAD)
    assert view.page(Moment(1, 1), None, None, 5) == ([], None)
    with pytest.raises(ValueError, match=r"telemetry does not read fleet\.heartbeats/0"):
        view.page(Moment(1, 1), None, Place(TopicPartition("fleet.heartbeats", 0), 0), 5)
    for text in ("", "a/0", "a:1", "a/0:x"):
        with pytest.raises(ValueError, match="not a TOPIC/PARTITION"):
            Place.parse(text)


def test_what_retention_removed_can_not_be_told() -> None:
    view = view_of([])
    assert isinstance(view.log, MemoryLog)
    for _ in range(3):
        view.log.append(TopicPartition(TOPIC, 0), b"key", BAD)
    view.log.truncate(TopicPartition(TOPIC, 0), 2)
    with pytest.raises(LogTooShort, match="begins at offset 2"):
        view.page(Moment(1, 1), None, None, 5)
