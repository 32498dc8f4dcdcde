"""What can be read of a damaged body: all before the fault, and the fault where the strict reader finds it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Decoder, Undecodable, encode
from schemas.contract import load
from schemas.partial import decoded_as_far_as_possible

RECORD = load().records["TelemetryReceived"]
STRICT = Decoder(RECORD.schema)
READINGS = st.lists(
    st.fixed_dictionaries(
        {
            "metric": st.sampled_from(["temperature", "humidity"]),
            "at": st.integers(0, 2**50),
            "value": st.floats(allow_nan=False),
            "unit": st.sampled_from([None, "Cel"]),
        }
    ),
    max_size=4,
)


def body_of(readings: list[dict[str, Any]]) -> bytes:
    envelope = {"event_id": "e" * 36, "device_id": "dev", "occurred_at": 1, "received_at": 2, "boot_id": "b", "sequence": 3}
    return encode(RECORD, {**envelope, "readings": readings})


def strict_fault(body: bytes) -> str:
    try:
        STRICT.decode(body)
    except Undecodable as fault:
        return str(fault)
    return ""


@given(READINGS, st.data())
def test_a_cut_body_gives_what_was_before_the_cut_and_the_strict_readers_fault(readings: list[Any], data: Any) -> None:
    whole = body_of(readings)
    cut = data.draw(st.integers(0, len(whole)))
    found = decoded_as_far_as_possible(RECORD.schema, whole[:cut])
    right = STRICT.decode(whole)
    assert found.fault == strict_fault(whole[:cut])
    assert (found.at is None) == (cut == len(whole))
    if found.at is not None:
        assert found.at <= cut
    for name, value in found.values.items():
        if name != "readings":
            assert value == right[name]
            continue
        for place, reading in enumerate(value):
            assert reading.items() <= right["readings"][place].items()


@given(READINGS, st.data())
def test_of_any_damage_the_fault_is_the_strict_readers(readings: list[Any], data: Any) -> None:
    body = bytearray(body_of(readings))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=3)):
        body[place] = data.draw(st.integers(0, 255))
    found = decoded_as_far_as_possible(RECORD.schema, bytes(body))
    fault = strict_fault(bytes(body))
    assert bool(found.fault) == bool(fault)


@pytest.mark.parametrize("body", [b"", b"\xff" * 12, bytes(3)])
def test_bytes_that_are_nothing_give_nothing(body: bytes) -> None:
    found = decoded_as_far_as_possible(RECORD.schema, body)
    assert found.fault == strict_fault(body)
    assert found.fault


def test_bytes_left_over_are_named() -> None:
    found = decoded_as_far_as_possible(RECORD.schema, body_of([]) + b"\x00\x00")
    assert (found.fault, found.at) == ("2 bytes are left over after the record's end", len(body_of([])))
    assert found.values["device_id"] == "dev"
