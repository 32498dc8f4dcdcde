"""What is remembered of uploads, and how an event is written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.ingress.event import HEAD, Envelope, EventKind, rest_of
from connectors.ingress.ledger import LONGEST_KEY, Ledger, Receipt, ledger_key, packed
from connectors.ingress.recovery import Interpreter
from connectors.ingress.uploads import Uploads
from schemas.codec import decode
from schemas.contract import load
from schemas.shape import shape_of
from schemas.wire import PREFIX_BYTES, prefix, schema_id
from tests.schemas.records import within

CONTRACT = load()
TELEMETRY_TOPIC = CONTRACT.topics["fleet.telemetry"]
TELEMETRY = EventKind(TELEMETRY_TOPIC, TELEMETRY_TOPIC.record, "device_id", ("device_id", "boot_id", "sequence"))
RECORD = TELEMETRY_TOPIC.record
DEAD = CONTRACT.topics["fleet.dead-letters"]
EVENT_ID = "01985c07-4a00-7000-8000-000000000003"


def receipt(number: int) -> bytes:
    return packed(number.to_bytes(16, "big"), number % 6, number, -number)


def test_a_receipt_comes_back_as_it_was() -> None:
    ledger = Ledger(10)
    ledger.add(b"k", receipt(7))
    assert ledger.find(b"k") == Receipt((7).to_bytes(16, "big"), 1, 7, -7)
    assert ledger.find(b"other") is None


def test_the_first_answer_stays() -> None:
    ledger = Ledger(10)
    ledger.add(b"k", receipt(1))
    ledger.add(b"k", receipt(2))
    assert ledger.find(b"k") == Receipt((1).to_bytes(16, "big"), 1, 1, -1)


@given(st.lists(st.binary(min_size=1, max_size=2), max_size=60), st.integers(0, 8))
def test_the_newest_are_kept(keys: list[bytes], capacity: int) -> None:
    ledger, model = Ledger(capacity), {}
    for number, key in enumerate(keys):
        ledger.add(key, receipt(number))
        if capacity and key not in model:
            if len(model) == capacity:
                del model[next(iter(model))]
            model[key] = number
    assert len(ledger) == len(model) <= capacity
    for key in keys:
        found = ledger.find(key)
        assert (None if found is None else found.offset) == model.get(key)


@given(st.text(max_size=200), st.text(max_size=200))
def test_keys_tell_identities_apart_and_are_short(a: str, b: str) -> None:
    try:
        keys = ledger_key(a), ledger_key(b)
    except UnicodeEncodeError:
        return  # half a surrogate pair never gets here
    assert (keys[0] == keys[1]) == (a == b)
    assert max(map(len, keys)) <= LONGEST_KEY


IDENTITY = st.fixed_dictionaries(
    {
        "device_id": st.from_regex(r"[a-z0-9]{1,3}", fullmatch=True),
        "boot_id": st.text(max_size=3),
        "sequence": st.integers(0, 99),
    }
)


@given(IDENTITY, IDENTITY)
def test_uploads_of_different_identity_have_different_keys(a: dict[str, Any], b: dict[str, Any]) -> None:
    try:
        same = TELEMETRY.ledger_key(a) == TELEMETRY.ledger_key(b)
    except UnicodeEncodeError:
        return
    assert same == (a == b)


@given(within(shape_of(RECORD.schema)), st.integers(1, 2**31 - 1))
def test_an_event_is_written_as_its_schema_says_and_read_back_for_the_ledger(values: dict[str, Any], number: int) -> None:
    given_values = dict(values)
    rest = TELEMETRY.encode_rest(values)
    envelope = Envelope(number, values["device_id"], values["received_at"], [])
    value = envelope.value(EVENT_ID, values["occurred_at"], rest)
    assert schema_id(value) == number
    assert decode(RECORD.schema, value[PREFIX_BYTES:]) == {**given_values, "event_id": EVENT_ID}
    assert rest_of(value[PREFIX_BYTES:]) == rest
    found = Interpreter(TELEMETRY, number, lambda _: RECORD.schema).found(3, 77, value)
    assert found is not None
    received, key, packed_receipt = found
    assert (received, key) == (values["received_at"], TELEMETRY.ledger_key(values))
    ledger = Ledger(1)
    ledger.add(key, packed_receipt)
    kept = ledger.find(key)
    assert kept is not None
    assert (kept.event_text, kept.partition, kept.offset) == (EVENT_ID, 3, 77)
    assert kept.content == TELEMETRY.content(values, rest)


@given(st.none() | st.binary(max_size=60))
def test_poison_in_a_topic_is_no_upload_and_stops_no_recovery(value: bytes | None) -> None:
    assert Interpreter(TELEMETRY, 1, _no_schema).found(0, 0, value) is None


@given(st.binary(max_size=60))
def test_poison_that_claims_the_right_schema_is_no_upload(body: bytes) -> None:
    found = Interpreter(TELEMETRY, 1, _no_schema).found(0, 0, b"\0\0\0\0\1" + body)
    assert found is None or len(found[2]) == len(receipt(1))


def _no_schema(number: int) -> Any:
    from connectors.ports import UnknownSchema

    raise UnknownSchema(str(number))


def test_a_record_of_another_type_of_the_topic_is_no_upload() -> None:
    asked: list[int] = []

    def schema_of(number: int) -> dict[str, Any]:
        asked.append(number)
        return CONTRACT.records["SessionOpened"].schema

    topic = CONTRACT.topics["fleet.registration.events"]
    kind = EventKind(topic, CONTRACT.records["DeviceRegistered"], "hardware_id", ("hardware_id",))
    interpreter = Interpreter(kind, 1, schema_of)
    assert [interpreter.found(0, offset, prefix(2) + b"any") for offset in range(3)] == [None] * 3
    assert asked == [2]


def test_a_record_that_does_not_begin_as_events_do_is_no_event() -> None:
    with pytest.raises(ValueError, match=", ".join(HEAD)):
        EventKind(DEAD, DEAD.record, "device_id", ("device_id",))


def test_uploads_are_not_taken_before_the_schema_is_known() -> None:
    from connectors.http.request import Fault

    uploads = Uploads(TELEMETRY, Ledger(1), None, None)  # type: ignore[arg-type]  # never reached
    with pytest.raises(Fault) as fault:
        uploads.envelope("d", [])
    assert (fault.value.status, fault.value.code) == (503, "NOT_READY")
