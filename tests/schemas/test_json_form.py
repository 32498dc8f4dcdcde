"""What a device sends becomes Avro values, or every fault of it is named with its path."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import Encoder
from schemas.contract import ContractError, RecordType
from schemas.json_faults import faults_of
from schemas.json_form import MalformedBody, RequestForm, Violation, Violations
from schemas.json_schema import sent_fields
from schemas.shape import shape_of, violations
from tests.schemas.records import RECORDS, within
from tests.schemas.sending import sent

SENT = ["DeviceEventReceived", "DeviceRegistered", "HeartbeatReceived", "TelemetryReceived"]
FORMS = {name: RequestForm(RECORDS[name]) for name in SENT}
TELEMETRY = FORMS["TelemetryReceived"]
READING = {"metric": "temperature", "at": "2026-06-01T09:34:56.5Z", "value": 21.5, "unit": "Cel"}
UPLOAD: dict[str, Any] = {"occurred_at": 1780306496500000, "boot_id": "b", "sequence": 0, "readings": [READING]}


@pytest.mark.parametrize("name", SENT)
@given(data=st.data())
def test_values_within_the_contract_come_through(name: str, data: st.DataObject) -> None:
    shape = shape_of(RECORDS[name].schema)
    values = data.draw(within(shape))
    body = sent(shape, values)
    expected = {part.name: values[part.name] for part in sent_fields(shape)}
    jsonschema.Draft202012Validator(FORMS[name].json_schema).validate(body)
    assert FORMS[name].parse(json.dumps(body).encode()) == expected
    assert FORMS[name].parse_batch(json.dumps({"records": [body, body]}).encode()) == [expected, expected]


ODD = st.sampled_from(
    [None, True, 0, -1, 1.5, 2**63, 10**30, 1e308, "", "x", "2026-06-01", "2026-06-01T00:00:00", "é" * 70_000, "d\n",
     [], [[]], {}, {"a": 1}, "\ud800", 7258118400000000, "2200-01-01T00:00:00Z", "1969-12-31T23:59:59Z"]
)  # fmt: skip


def mutate(draw: st.DrawFn, value: Any) -> Any:
    """`value` with one place changed, left out, or added."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        how = draw(st.sampled_from(["inner", "without", "more"]))
        if how == "without":
            return {key: item for key, item in value.items() if key != name}
        return value | ({"more": 1} if how == "more" else {name: mutate(draw, value[name])})
    if isinstance(value, list) and value and draw(st.booleans()):
        i = draw(st.integers(0, len(value) - 1))
        return [*value[:i], mutate(draw, value[i]), *value[i + 1 :]]
    return draw(ODD)


@pytest.mark.parametrize("name", SENT)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_fast_path_slow_path_and_contract_agree(name: str, data: st.DataObject) -> None:
    """Accepted: within the contract, and the naming of faults finds none. Refused: it finds at least one."""
    form, shape = FORMS[name], shape_of(RECORDS[name].schema)
    body = json.dumps(data.draw(st.composite(mutate)(sent(shape, data.draw(within(shape)))))).encode()
    faults = faults_of(shape, body, "$")
    assert faults is not None
    if faults:
        with pytest.raises(Violations) as refusal:
            form.parse(body)
        assert list(refusal.value.violations) == faults
        return
    values = form.parse(body)
    server_made = {"event_id": "0" * 36, "device_id": "d", "received_at": 0}
    whole = values | {key: value for key, value in server_made.items() if key not in values}
    assert list(violations(shape, whole, "")) == []
    Encoder(RECORDS[name]).encode(whole)


@pytest.mark.parametrize("name", SENT)
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_json_schema_agrees_but_for_moments_and_lengths_of_objects(name: str, data: st.DataObject) -> None:
    shape = shape_of(RECORDS[name].schema)
    body = data.draw(st.composite(mutate)(sent(shape, data.draw(within(shape)))))
    paths = {error.json_path for error in jsonschema.Draft202012Validator(FORMS[name].json_schema).iter_errors(body)}
    found = faults_of(shape, json.dumps(body).encode(), "$") or []
    beyond = ("RFC 3339", "out of range", "surrogate", "has 65536", "characters, more")
    assert not paths or found
    assert paths or not [fault for fault in found if not any(word in fault.message for word in beyond)]


@pytest.mark.parametrize("name", SENT)
def test_json_schema_is_one(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(FORMS[name].json_schema)
    assert FORMS[name].json_schema["additionalProperties"] is False
    assert not {"event_id", "device_id", "received_at"} & FORMS[name].json_schema["properties"].keys()


def refused(body: bytes | dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(Violations) as caught:
        TELEMETRY.parse(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert str(caught.value)
    return [tuple(violation) for violation in caught.value.violations]  # type: ignore[misc]


def test_every_violation_is_named() -> None:
    body = {
        "occurred_at": "yesterday",
        "sequence": 1.5,
        "device_id": "mine",
        "colour": "red",
        "readings": [READING, {"metric": "1st", "at": True, "value": "21", "unit": "u" * 33}, 7],
    }
    assert refused(body) == [
        ("$.occurred_at", "'yesterday' is not RFC 3339 with a zone, such as 2024-05-01T12:00:00Z"),
        ("$.boot_id", "is required"),
        ("$.sequence", "expected an integer, got 1.5"),
        ("$.readings[1].metric", "'1st' does not match ^[A-Za-z][A-Za-z0-9_./:-]{0,127}$"),
        ("$.readings[1].at", "expected an RFC 3339 string or an integer of microseconds, got true"),
        ("$.readings[1].value", "expected a number, got '21'"),
        ("$.readings[1].unit", "has 33 characters, more than 32"),
        ("$.readings[2]", "expected an object, got 7"),
        ("$.device_id", "is filled in by the server"),
        ("$.colour", "is not a field"),
    ]


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"sequence": 2**63}, "$.sequence", "9223372036854775808 is out of range"),
        ({"sequence": 10**1000}, "$.sequence", "a number of more than 256 bits is out of range"),
        ({"sequence": -1}, "$.sequence", "-1 is below the minimum 0"),
        ({"sequence": True}, "$.sequence", "expected an integer, got true"),
        ({"boot_id": "\ud800"}, "$.boot_id", "holds half of a surrogate pair, which is no Unicode text"),
        ({"boot_id": None}, "$.boot_id", "expected a string, got null"),
        ({"readings": []}, "$.readings", "has 0 items, fewer than 1"),
        ({"readings": [READING] * 1001}, "$.readings", "has 1001 items, more than 1000"),
        ({"readings": {}}, "$.readings", "expected an array, got an object"),
        ({"readings": [READING | {"value": 10**400}]}, "$.readings[0].value", "is out of the range of a double"),
        ({"readings": [READING | {"metric": "m\n"}]}, "$.readings[0].metric", "'m\\n' does not match"),
        ({"occurred_at": -1}, "$.occurred_at", "-1 is below the minimum 0"),
        ({"occurred_at": "9999-12-31T23:59:59Z"}, "$.occurred_at", "'9999-12-31T23:59:59Z' is out of range"),
        ({"occurred_at": "1969-12-31T23:59:59.9Z"}, "$.occurred_at", "is out of range"),
        ({"occurred_at": "2026-06-01T09:34:56"}, "$.occurred_at", "is not RFC 3339 with a zone"),
        ({"occurred_at": 1.0}, "$.occurred_at", "expected an RFC 3339 string or an integer of microseconds, got 1.0"),
    ],
)
def test_one_fault_is_the_only_one_named(change: dict[str, Any], path: str, message: str) -> None:
    ((found_path, found),) = refused(UPLOAD | change)
    assert found_path == path
    assert message in found


@pytest.mark.parametrize("literal", ["1e400", "-1e400", "9" * 500])
def test_numbers_that_no_double_holds(literal: str) -> None:
    body = json.dumps(UPLOAD).replace("21.5", literal).encode()
    assert refused(body) == [("$.readings[0].value", "is out of the range of a double")]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a":1,}', b"nul", b"\xff", b'{"boot_id":"\xc3\x28"}', b"\xef\xbb\xbf{}", b'{"a":NaN}',
     b'{"a":Infinity}', b"{} {}", b"'a'", b'{"sequence":01}'],
)  # fmt: skip
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    for parse in (TELEMETRY.parse, TELEMETRY.parse_batch):
        with pytest.raises(MalformedBody) as caught:
            parse(body)
        assert caught.value.violations[0].path == "$"


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"records":['])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    for parse in (TELEMETRY.parse, TELEMETRY.parse_batch):
        with pytest.raises(Violations):
            parse(opening * 200_000)


@pytest.mark.parametrize("body", [b"7", b"null", b'"x"', b"[]", b"{}"])
def test_json_that_is_no_upload(body: bytes) -> None:
    for parse in (TELEMETRY.parse, TELEMETRY.parse_batch):
        with pytest.raises(Violations) as caught:
            parse(body)
        assert not isinstance(caught.value, MalformedBody)


def test_thousands_of_faults_are_named_up_to_a_limit() -> None:
    assert len(refused(UPLOAD | {"readings": [{}] * 100_000})) == 100


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-06-01T09:34:56.123456Z", 1780306496123456),
        ("2026-06-01T11:34:56.123456+02:00", 1780306496123456),
        ("2026-06-01T09:34:56.1234567Z", 1780306496123457),
        ("2026-05-31T21:34:56.123456-12:00", 1780306496123456),
        ("2199-12-31T23:59:59.999999Z", 7258118399999999),
        (1780306496123456, 1780306496123456),
    ],
)
def test_moments_are_exact(text: str | int, micros: int) -> None:
    assert TELEMETRY.parse(json.dumps(UPLOAD | {"occurred_at": text}).encode())["occurred_at"] == micros


@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30)), st.integers(-720, 720))
def test_moments_of_any_zone_are_exact(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    parsed = TELEMETRY.parse(json.dumps(UPLOAD | {"occurred_at": moment.isoformat()}).encode())["occurred_at"]
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=parsed) == moment


def test_integers_are_taken_for_doubles_and_optional_fields_may_be_missing() -> None:
    reading = {"metric": "m", "at": 0, "value": 3}
    parsed = TELEMETRY.parse(json.dumps(UPLOAD | {"readings": [reading]}).encode())
    assert parsed["readings"] == [{"metric": "m", "at": 0, "value": 3.0, "unit": None}]
    assert isinstance(parsed["readings"][0]["value"], float)


EVENT = {"occurred_at": 0, "boot_id": "b", "sequence": 0, "event_type": "x", "media_files": []}


def test_metadata_is_an_object_and_becomes_its_compact_text() -> None:
    body = json.dumps(EVENT | {"metadata": {"a": [1, 2.5, None], "ü": "é"}}, indent=4).encode()
    assert FORMS["DeviceEventReceived"].parse(body)["metadata"] == '{"a":[1,2.5,null],"ü":"é"}'


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ('"{}"', "expected an object, got '{}'"),
        ("null", "expected an object, got null"),
        ('{"a":1e400}', "holds a number that is out of range"),
        ('{"a":"\\ud800"}', "holds half of a surrogate pair, which is no Unicode text"),
        ('{"a":"%s"}' % ("x" * 65_536), "has 65544 characters, more than 65536"),
    ],
)
def test_what_metadata_may_not_be(metadata: str, message: str) -> None:
    body = json.dumps(EVENT)[:-1] + f', "metadata": {metadata}}}'
    with pytest.raises(Violations) as caught:
        FORMS["DeviceEventReceived"].parse(body.encode())
    assert caught.value.violations == (Violation("$.metadata", message),)


def test_a_batch_is_judged_one_by_one() -> None:
    body = json.dumps({"records": [UPLOAD, {"boot_id": 7}, 3, UPLOAD]}).encode()
    first, second, third, fourth = TELEMETRY.parse_batch(body)
    assert first == fourth == TELEMETRY.parse(json.dumps(UPLOAD).encode())
    assert isinstance(second, list)
    assert second[1] == Violation("$.records[1].boot_id", "expected a string, got 7")
    assert third == [Violation("$.records[2]", "expected an object, got 3")]


@pytest.mark.parametrize(
    ("body", "path"),
    [(b'{"records":[]}', "$.records"), (b'{"records":{}}', "$.records"), (b'{"records":[],"x":1}', "$"), (b"{}", "$")],
)
def test_a_wrong_envelope_is_named(body: bytes, path: str) -> None:
    with pytest.raises(Violations) as caught:
        TELEMETRY.parse_batch(body)
    assert [violation.path for violation in caught.value.violations] == [path]


def test_records_that_hold_bytes_have_no_json_form() -> None:
    with pytest.raises(ContractError, match="key: bytes has no JSON form"):
        RequestForm(RECORDS["RecordDeadLettered"])


def test_enums_and_defaults() -> None:
    fields = [
        {"name": "colour", "type": {"type": "enum", "name": "C", "symbols": ["RED", "GREEN"]}, "doc": "."},
        {"name": "count", "type": "int", "default": 4, "doc": "."},
        {"name": "names", "type": {"type": "array", "items": "string"}, "default": [], "doc": "."},
    ]
    form = RequestForm(RecordType("R", "test", {"type": "record", "name": "R", "doc": ".", "fields": fields}))
    assert form.parse(b'{"colour":"RED"}') == {"colour": "RED", "count": 4, "names": []}
    with pytest.raises(Violations) as caught:
        form.parse(b'{"colour":"BLUE","count":2147483648}')
    assert [tuple(violation) for violation in caught.value.violations] == [
        ("$.colour", "'BLUE' is none of RED, GREEN"),
        ("$.count", "2147483648 is out of range"),
    ]
