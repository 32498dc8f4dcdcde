"""What is compatible and wrong is found; what is harmless is not."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import named
from schemas.compatibility import incompatibilities
from schemas.shape import shape_of
from schemas.upcasters import Upcaster
from tests.infra.evolution.world import CONTRACT, Written, check, edited, told
from tests.schemas.records import within

HEARTBEAT, TELEMETRY, EVENT, REGISTERED = (
    CONTRACT.records[name] for name in ("HeartbeatReceived", "TelemetryReceived", "DeviceEventReceived", "DeviceRegistered")
)
SLOW = settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
LEFT_TO_RENAME = {"DeviceEventReceived": "media_files", "DeviceRegistered": None, "HeartbeatReceived": None}


def uptimes(count: int = 60, times: float = 1, seed: int = 1) -> list[dict[str, Any]]:
    """Heartbeats of ten devices, the uptime in seconds times `times`."""
    draw = random.Random(seed)
    made: list[dict[str, Any]] = []
    for i in range(count):
        part: dict[str, Any] = {name: _least(field["type"]) for name, field in HEARTBEAT.fields.items()}
        part |= {"event_id": f"{i:036d}", "device_id": f"device-{i % 10}", "boot_id": "b", "sequence": i // 10}
        at = 1_700_000_000_000_000 + (i // 10) * 30_000_000
        part |= {"occurred_at": at, "received_at": at, "uptime": int((1000 + (i // 10) * 30 + i % 10) * times)}
        part["network_quality"]["latency"] = draw.lognormvariate(3, 0.4) * times
        made.append(part)
    return made


def _least(type_: Any) -> Any:
    """The simplest value of a type."""
    if isinstance(type_, list):
        return None
    if isinstance(type_, dict):
        if type_["type"] == "record":
            return {field["name"]: _least(field["type"]) for field in type_["fields"]}
        return [] if type_["type"] == "array" else _least(type_["type"])
    return {"string": "", "double": 1.5, "boolean": True}.get(type_, 7)


def test_nothing_is_found_where_nothing_changed() -> None:
    report = check(HEARTBEAT, HEARTBEAT.schema, {4: Written(HEARTBEAT.schema, uptimes())})
    assert told(report) == []
    assert report.sampled == {"fleet.heartbeats": {4: 60}}


@pytest.mark.parametrize("name", ["HeartbeatReceived", "TelemetryReceived", "DeviceEventReceived", "DeviceRegistered"])
@given(data=st.data())
@SLOW
def test_harmless_changes_are_no_finding(name: str, data: st.DataObject) -> None:
    record = CONTRACT.records[name]

    def harmless(fields: dict[str, Any], schema: Any) -> None:
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(fields)))
            kind = data.draw(st.sampled_from(["string", "long", "double", "boolean"]))
            schema["fields"].insert(at, {"name": "note", "type": ["null", kind], "doc": "New.", "default": None})
        if data.draw(st.booleans()):
            schema["fields"].append({"name": "retries", "type": "long", "doc": "New.", "default": 3, "minimum": 0})
        data.draw(st.sampled_from(list(fields.values())))["doc"] = "Says more."
        unread = LEFT_TO_RENAME.get(name)
        if unread is not None and data.draw(st.booleans()):
            fields[unread] |= {"name": f"{unread}_new", "aliases": [unread]}

    present = edited(record.schema, harmless)
    views = [] if present["fields"] != record.schema["fields"] and LEFT_TO_RENAME.get(name) else None
    old = data.draw(st.lists(within(shape_of(record.schema)), min_size=1, max_size=12))
    new = data.draw(st.lists(within(shape_of(present)), max_size=12))
    written = {1: Written(record.schema, old), 2: Written(present, new)}
    report = check(record, present, written) if views is None else check(record, present, written, views)
    assert told(report) == []


def renaming(aliased: bool) -> Any:
    def rename(fields: dict[str, Any], _: Any) -> None:
        fields["uptime"] |= {"name": "uptime_seconds", "default": 0}
        if aliased:
            fields["uptime"]["aliases"] = ["uptime"]

    return edited(HEARTBEAT.schema, rename)


def test_a_renamed_field_with_a_default_is_found_though_it_is_compatible() -> None:
    present = renaming(aliased=False)
    assert incompatibilities(named(present), named(HEARTBEAT.schema)) == []
    found = told(check(HEARTBEAT, present, {1: Written(HEARTBEAT.schema, uptimes())}, views=()))
    assert found == [
        (
            1,
            "uptime_seconds",
            "written.uptime is dropped (it holds 1000, 1003, 1006, ...), and uptime_seconds is always its default 0 in 60 "
            "records: renamed without an alias?",
        )
    ]
    assert told(check(HEARTBEAT, renaming(aliased=True), {1: Written(HEARTBEAT.schema, uptimes())}, views=())) == []


def test_a_field_that_moved_into_a_new_record_is_found() -> None:
    def move(fields: dict[str, Any], schema: Any) -> None:
        schema["fields"].remove(fields["firmware_version"])
        inner = {"name": "version", "type": "string", "doc": "Version.", "default": ""}
        firmware = {"type": "record", "name": "Firmware", "doc": "Firmware.", "fields": [inner]}
        schema["fields"].append({"name": "firmware", "type": firmware, "doc": "Firmware.", "default": {}})

    values = [{name: _least(field["type"]) for name, field in REGISTERED.fields.items()} for _ in range(5)]
    for one in values:
        one |= {"firmware_version": "1.2", "device_id": "d", "hardware_id": "h"}
    found = told(check(REGISTERED, edited(REGISTERED.schema, move), {1: Written(REGISTERED.schema, values)}, views=()))
    assert [place for _, place, message in found if "renamed without an alias" in message] == ["firmware.version"]


def test_a_view_that_reads_a_field_that_is_gone_is_found() -> None:
    found = told(check(HEARTBEAT, renaming(aliased=True), {1: Written(HEARTBEAT.schema, uptimes())}))
    assert [place for _, place, _ in found] == ["view heartbeats"]
    assert "can't be folded" in found[0][2]
    assert "uptime" in found[0][2]
    assert len(found[0][2]) < 200  # not all columns that there are


def test_a_value_that_becomes_another_is_found_in_the_field_and_in_the_views() -> None:
    def narrow(fields: dict[str, Any], _: Any) -> None:
        fields["sequence"]["type"] = "float"

    values = [{**one, "sequence": 2**24 + 1} for one in uptimes(3)]
    found = told(check(HEARTBEAT, edited(HEARTBEAT.schema, narrow), {1: Written(HEARTBEAT.schema, values)}))
    places = [place for _, place, _ in found]
    assert "sequence" in places
    assert "view device_state, heartbeat.sequence" in places


def test_an_enum_s_symbol_that_becomes_the_default_is_found() -> None:
    def state(*symbols: str) -> Any:
        kind = {"type": "enum", "name": "State", "symbols": list(symbols), "default": "UNKNOWN"}
        return edited(
            EVENT.schema, lambda _, schema: schema["fields"].append({"name": "state", "type": kind, "doc": "State."})
        )

    old, new = state("UNKNOWN", "ON", "OFF"), state("UNKNOWN", "ON")
    values = [
        {**{name: _least(field["type"]) for name, field in EVENT.fields.items()}, "metadata": "{}", "state": symbol}
        for symbol in ("ON", "OFF", "UNKNOWN")
    ]
    assert incompatibilities(named(new), named(old)) == []
    found = told(check(EVENT, new, {1: Written(old, values)}, views=()))
    assert [(place, "'OFF' is read as 'UNKNOWN'" in message) for _, place, message in found] == [("state", True)]


def test_values_out_of_new_bounds_are_found_and_those_out_of_their_own_are_not() -> None:
    def tighter(fields: dict[str, Any], _: Any) -> None:
        fields["uptime"]["maximum"] = 1100

    wrong = [{**one, "sequence": -1} for one in uptimes()]
    report = check(HEARTBEAT, edited(HEARTBEAT.schema, tighter), {1: Written(HEARTBEAT.schema, uptimes())}, views=())
    assert [place for _, place, _ in told(report)] == ["uptime"]
    assert told(check(HEARTBEAT, HEARTBEAT.schema, {1: Written(HEARTBEAT.schema, wrong)}, views=())) == []


def test_records_that_only_their_own_schema_reads_are_found() -> None:
    def required(_: Any, schema: Any) -> None:
        schema["fields"].append({"name": "site", "type": "string", "doc": "Site."})

    found = told(check(HEARTBEAT, edited(HEARTBEAT.schema, required), {1: Written(HEARTBEAT.schema, uptimes())}))
    assert len(found) == 1
    assert "60 records can't be read with the present schema" in found[0][2]
    assert "site: is new and has no default" in found[0][2]


@pytest.mark.parametrize("seed", range(5))
def test_a_changed_unit_is_found(seed: int) -> None:
    """Of a number that grows (uptime) by its speed, of another (latency) by its distribution."""
    written = {1: Written(HEARTBEAT.schema, uptimes(200)), 2: Written(HEARTBEAT.schema, uptimes(200, 1000, seed))}
    report = check(HEARTBEAT, HEARTBEAT.schema, written)
    assert {(finding.schema_id, finding.place, finding.severity) for finding in report.findings} == {
        (2, "uptime", "warning"),
        (2, "network_quality.latency", "warning"),
    }
    assert "a change of units?" in report.findings[0].message


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("times", [1, 2, 7, 10, 0.5])
def test_numbers_that_grew_by_other_factors_are_no_finding(seed: int, times: float) -> None:
    written = {1: Written(HEARTBEAT.schema, uptimes(200)), 2: Written(HEARTBEAT.schema, uptimes(200, times, seed))}
    assert told(check(HEARTBEAT, HEARTBEAT.schema, written)) == []


def test_an_upcaster_mends_a_changed_unit() -> None:
    old = edited(HEARTBEAT.schema, lambda fields, _: fields["uptime"].update(unit="milliseconds"))
    new = edited(HEARTBEAT.schema, lambda fields, _: fields["uptime"].update(unit="seconds"))
    step = Upcaster("HeartbeatReceived", 1, 2, "uptime", lambda values: {**values, "uptime": values["uptime"] // 1000})
    before = [{**one, "uptime": one["uptime"] * 1000} for one in uptimes(200)]
    record = type(HEARTBEAT)("HeartbeatReceived", "device", HEARTBEAT.schema)
    written = {1: Written(HEARTBEAT.schema, before), 2: Written(new, uptimes(200, seed=2))}
    assert old != new
    assert [place for _, place, _ in told(check(record, new, written))] == ["uptime"]
    report = check(record, new, written, steps=(step,))
    assert told(report) == []
    assert "fleet.heartbeats, schema id 1: goes through upcasters" in report.notes


def test_ids_that_are_unknown_or_of_another_record_are_found() -> None:
    other = Written(TELEMETRY.schema, [{name: _least(field["type"]) for name, field in TELEMETRY.fields.items()}])
    found = told(check(TELEMETRY, TELEMETRY.schema, {1: other}))
    assert found == []
    found = told(check(TELEMETRY, TELEMETRY.schema, {1: other}, forgotten=[1]))
    assert found == [(1, "", "1 records: the registry has no schema 1")]
    stranger = edited(TELEMETRY.schema, lambda _, schema: schema.update(name="Stranger"))
    found = told(check(TELEMETRY, TELEMETRY.schema, {1: Written(stranger, other.values)}))
    assert [message for _, _, message in found] == ["1 records are of fleetlog.device.Stranger, which is not of this topic"]


def readings(times: float, unit: str, seed: int) -> list[dict[str, Any]]:
    """Telemetry whose vibration is in another unit, and whose humidity stays what it is."""
    draw = random.Random(seed)
    made = []
    for i in range(150):
        one = {name: _least(field["type"]) for name, field in TELEMETRY.fields.items()}
        values = (("humidity", draw.gauss(50, 9), "%"), ("vibration", draw.lognormvariate(0, 0.5) * times, unit))
        parts = [{"metric": name, "at": i, "value": value, "unit": unit} for name, value, unit in values]
        made.append({**one, "device_id": f"d{i % 10}", "boot_id": "b", "sequence": i, "readings": parts})
    return made


@pytest.mark.parametrize("seed", range(3))
def test_the_unit_of_one_metric_among_others(seed: int) -> None:
    old, new = Written(TELEMETRY.schema, readings(1, "m/s2", 9)), Written(TELEMETRY.schema, readings(1000, "m/s2", seed))
    (finding,) = check(TELEMETRY, TELEMETRY.schema, {1: old, 2: new}).findings
    assert (finding.place, finding.severity) == ("readings[].value", "warning")
    assert "against schema id 1 of vibration, m/s2: a change of units?" in finding.message
    said = Written(TELEMETRY.schema, readings(1000, "mm/s2", seed))
    assert told(check(TELEMETRY, TELEMETRY.schema, {1: old, 2: said})) == []
