"""The columnar fold equals the fold of single records, in any split into batches and any order of partitions."""

import itertools
import random
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from projections import device_state
from projections.catalogue import DEVICE_STATE
from projections.updates import Add, Most, Newest, changes, merge
from tests.projections.records import frame, logs, rows

Log = list[tuple[str, int, int, dict[str, Any]]]
State = dict[str, dict[str, str]]


def by_record(log: Log) -> State:
    state: State = {}
    for topic, partition, offset, record in log:
        if updates := device_state.updates(topic, partition, offset, record):
            document = state.setdefault(record["device_id"], {})
            document.update(changes(document, updates))
    return state


def by_batch(log: Log, size: int, shape: Callable[..., Any]) -> State:
    state: State = {}
    for (topic, partition), members in itertools.groupby(log, key=lambda entry: entry[:2]):
        numbered = [(offset, record) for _, _, offset, record in members]
        for start in range(0, len(numbered), size):
            for key, updates in DEVICE_STATE.summary(topic, shape(topic, partition, numbered[start : start + size])).items():
                document = state.setdefault(key, {})
                document.update(changes(document, updates))
    return state


@given(logs(), st.integers(1, 7))
def test_columns_fold_as_records_do(log: Log, size: int) -> None:
    assert by_batch(log, size, frame) == by_record(log)
    assert by_batch(log, size, rows) == by_record(log)


@given(logs(), st.randoms(use_true_random=False))
def test_order_among_partitions_does_not_matter(log: Log, source: random.Random) -> None:
    """Partitions interleave at random, each in its own order."""
    queues = [list(members) for _, members in itertools.groupby(log, key=lambda entry: entry[:2])]
    mixed: Log = []
    while queues:
        queue = source.choice(queues)
        mixed.append(queue.pop(0))
        queues = [q for q in queues if q]
    assert by_record(mixed) == by_record(log)


@given(logs())
def test_merged_updates_change_what_single_ones_do(log: Log) -> None:
    expected = by_record(log)
    parts: dict[str, list[dict[str, Any]]] = {}
    for topic, partition, offset, record in log:
        if updates := device_state.updates(topic, partition, offset, record):
            parts.setdefault(record["device_id"], []).append(updates)
    assert {key: changes({}, merge(updates)) for key, updates in parts.items()} == expected


def test_metrics_of_many_names_fold_as_records_do() -> None:
    """Each device has a metric of its own, so that nearly all pairs of a device and a metric are not there."""
    at = 1_790_000_000_000_000
    log = [
        (
            device_state.TELEMETRY,
            0,
            offset,
            {
                "event_id": "e",
                "device_id": f"d-{offset % 50}",
                "occurred_at": at,
                "received_at": at,
                "boot_id": "b",
                "sequence": offset,
                "readings": [{"metric": f"m-{offset % 50}", "at": at, "value": float(offset), "unit": None}],
            },
        )
        for offset in range(100)
    ]
    assert by_batch(log, 100, frame) == by_record(log)


def test_clock_ahead_does_not_hide_later_readings() -> None:
    def telemetry(at: int, received: int, value: float) -> dict[str, Any]:
        reading = {"metric": "temperature", "at": at, "value": value, "unit": "Cel"}
        return {"occurred_at": at, "received_at": received, "readings": [reading]}

    year_2100, now = 4_102_444_800_000_000, 1_790_000_000_000_000
    document: dict[str, str] = {}
    for offset, record in enumerate([telemetry(year_2100, now, 99.0), telemetry(now + 10, now + 11, 20.0)]):
        document.update(changes(document, device_state.updates("fleet.telemetry", 0, offset, record)))
    assert '"value":20.0' in document["metric.temperature"]
    assert document["skew"].startswith('{"micros":1,')


def test_late_reading_does_not_replace_a_newer_one() -> None:
    newer = Newest((20, 0, 1, 0), {"value": 2.0})
    late = Newest((10, 0, 2, 0), {"value": 1.0})
    document = changes({}, {"metric.t": newer})
    assert changes(document, {"metric.t": late}) == {}


def test_updates_that_change_nothing_are_left_out() -> None:
    document = {"count": "3", "last": "7"}
    assert changes(document, {"count": Add(0), "last": Most(5)}) == {}
    assert changes(document, {"count": Add(2), "last": Most(9)}) == {"count": "5", "last": "9"}
