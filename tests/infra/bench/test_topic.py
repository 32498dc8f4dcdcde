"""The records that the benches are fed are records of the contract, each different, and the same at every run."""

import io
from collections import Counter

import fastavro
import pytest

from infra.bench.topic import BLOCK, MOST_RECORDS, READINGS, SCHEMA_ID, TOPIC, Fleet, blocks
from schemas import contract as contracts
from schemas.codec import parsed
from schemas.columns import ColumnDecoder
from schemas.wire import PREFIX_BYTES, schema_id

RECORD = contracts.load().topics[TOPIC].record


def test_every_record_keeps_the_contract() -> None:
    columns = ColumnDecoder(RECORD, lambda _: RECORD.schema)
    seen = 0
    for block in blocks(Fleet(records=BLOCK + 500, devices=300)):
        decoded = columns.decode([value for _, value in block])
        assert decoded.faults == ()
        assert decoded.frame["device_id"].to_list() == [key.decode() for key, _ in block]
        assert set(decoded.frame["readings"].list.len()) == {READINGS}
        seen += len(block)
    assert seen == BLOCK + 500


def test_the_reference_decoder_reads_the_same_values() -> None:
    (block,) = blocks(Fleet(records=3, devices=2), schema_id=4_711)
    key, value = block[2]
    found = fastavro.schemaless_reader(io.BytesIO(value[PREFIX_BYTES:]), parsed(RECORD.schema), None)
    assert schema_id(value) == 4_711
    assert (key, found["device_id"], found["sequence"]) == (b"device-000000", "device-000000", 8_194)
    assert [(reading["metric"], reading["unit"]) for reading in found["readings"]] == [
        ("temperature", "Cel"),
        ("humidity", "%"),
        ("battery", None),
    ]
    assert all(reading["at"] <= found["occurred_at"] for reading in found["readings"])
    assert found["occurred_at"] < found["received_at"]


def test_records_differ_and_devices_take_turns() -> None:
    (block,) = blocks(Fleet(records=1_000, devices=7))
    assert len({value for _, value in block}) == 1_000
    counted = Counter(key for key, _ in block)
    assert len(counted) == 7
    assert max(counted.values()) - min(counted.values()) <= 1


def test_a_seed_gives_the_same_records_again() -> None:
    def made(seed: int) -> list[list[tuple[bytes, bytes]]]:
        return list(blocks(Fleet(records=100, devices=10, value_seed=seed)))

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_the_default_schema_id_is_the_one_that_contestants_expect() -> None:
    (block,) = blocks(Fleet(records=1, devices=1))
    assert schema_id(block[0][1]) == SCHEMA_ID


@pytest.mark.parametrize(("records", "devices"), [(0, 1), (MOST_RECORDS + 1, 1), (1, 0), (1, MOST_RECORDS + 1)])
def test_a_fleet_beyond_the_fixed_widths_is_refused(records: int, devices: int) -> None:
    with pytest.raises(ValueError, match="not between 1 and"):
        Fleet(records, devices)


def test_the_largest_fleet_still_fits_the_fixed_widths() -> None:
    *_, last = blocks(Fleet(records=MOST_RECORDS, devices=MOST_RECORDS))
    columns = ColumnDecoder(RECORD, lambda _: RECORD.schema)
    decoded = columns.decode([value for _, value in last])
    assert decoded.faults == ()
    assert decoded.frame["device_id"][-1] == f"device-{MOST_RECORDS - 1}"
