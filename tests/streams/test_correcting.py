"""Which records may be corrected, and with what."""

from typing import Any

import pytest

from connectors.memory_registry import MemoryRegistry
from projections.catalogue import CATALOGUE
from schemas.contract import load
from schemas.places import Place
from streams.correcting import Incorrigible, changed_values, check_topic, check_value, framed

CONTRACT = load()
VIEWS = {projection.name: projection.topics for projection in CATALOGUE}
TELEMETRY = CONTRACT.topics["fleet.telemetry"]
GOOD: dict[str, Any] = {
    "event_id": "e" * 36, "device_id": "dev", "occurred_at": 1, "received_at": 2, "boot_id": "b", "sequence": 3,
    "readings": [{"metric": "t", "at": 1, "value": 1.5, "unit": None}, {"metric": "u", "at": 2, "value": 2.5, "unit": "V"}],
}  # fmt: skip


@pytest.mark.parametrize("topic", ["fleet.telemetry", "fleet.heartbeats", "fleet.device-events", "fleet.security-events"])
def test_what_only_views_read_may_be_corrected(topic: str) -> None:
    assert check_topic(CONTRACT, VIEWS, topic, skips_undecodable=False).name == topic


@pytest.mark.parametrize("topic", ["fleet.registration.events", "fleet.certificates"])
def test_of_what_deciders_fold_only_the_undecodable_may_be_left_out(topic: str) -> None:
    with pytest.raises(Incorrigible, match="their history is not bent"):
        check_topic(CONTRACT, VIEWS, topic, skips_undecodable=False)
    assert check_topic(CONTRACT, VIEWS, topic, skips_undecodable=True).name == topic


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("fleet.registration.commands", "give the command again"),
        ("fleet.certificates.commands", "give the command again"),
        ("fleet.dead-letters", "no view reads"),
        ("fleet.corrections", "no view reads"),
        ("fleet.rest.requests", "no view reads"),
        ("weather", "has no topic weather"),
    ],
)
def test_the_rest_may_not(topic: str, message: str) -> None:
    with pytest.raises(Incorrigible, match=message):
        check_topic(CONTRACT, VIEWS, topic, skips_undecodable=True)


def test_every_topic_that_a_view_reads_is_judged() -> None:
    for topic in {topic for topics in VIEWS.values() for topic in topics}:
        assert check_topic(CONTRACT, VIEWS, topic, skips_undecodable=True)


@pytest.mark.parametrize(
    ("assignment", "changed"),
    [
        ("boot_id=b2", {"boot_id": "b2"}),
        ('boot_id="7"', {"boot_id": "7"}),
        ("sequence=9", {"sequence": 9}),
        ("readings[1].value=7", {"readings": [GOOD["readings"][0], {**GOOD["readings"][1], "value": 7}]}),
        ("readings[1].unit=null", {"readings": [GOOD["readings"][0], {**GOOD["readings"][1], "unit": None}]}),
        ("readings=[]", {"readings": []}),
    ],
)
def test_fields_are_set_by_name(assignment: str, changed: dict[str, Any]) -> None:
    assert changed_values(TELEMETRY.record, GOOD, [assignment]) == {**GOOD, **changed}


@pytest.mark.parametrize("assignment", ["boot_id", "readings[9].value=1", "a.b=1", "color=red", "readings.value=1"])
def test_a_field_that_there_is_not_is_named(assignment: str) -> None:
    with pytest.raises(Incorrigible, match=assignment.split("=")[0].replace("[", r"\[").split(".")[0]):
        changed_values(TELEMETRY.record, GOOD, [assignment])


def test_bytes_are_written_a_character_each() -> None:
    record = CONTRACT.records["RecordDeadLettered"]
    assert changed_values(record, {"value": b"\x00\xff"}, ["key=\u00fe"]) == {"value": b"\x00\xff", "key": b"\xfe"}
    with pytest.raises(Incorrigible, match=r"key: bytes are written"):
        changed_values(record, {}, ["key=\u20ac"])


def test_a_new_value_must_decode_be_within_the_contract_and_keep_its_key() -> None:
    registry = MemoryRegistry()

    def checked(values: dict[str, Any], key: bytes | None = b"dev") -> dict[str, Any]:
        return check_value(TELEMETRY, key, framed(TELEMETRY, TELEMETRY.record, values, registry.register), registry.schema)

    assert checked(GOOD)["readings"] == GOOD["readings"]
    assert checked(GOOD, None)["device_id"] == "dev"
    for values, key, message in (
        (GOOD, b"other", "the key is not changed"),
        ({**GOOD, "occurred_at": -1}, b"dev", "out-of-contract: occurred_at"),
        ({**GOOD, "readings": [{**GOOD["readings"][0], "value": float("inf")}]}, b"dev", "is not finite"),
        ({name: value for name, value in GOOD.items() if name != "boot_id"}, b"dev", "boot_id"),
        ({**GOOD, "sequence": "three"}, b"dev", "sequence"),
    ):
        with pytest.raises(Incorrigible, match=message):
            checked(values, key)
    with pytest.raises(Incorrigible, match="not-framed"):
        check_value(TELEMETRY, b"dev", b"\xff", registry.schema)


def test_places_are_written_as_they_are_read() -> None:
    place = Place.parse("fleet.telemetry:3:10042")
    assert (str(place), place.source.partition, place.offset) == ("fleet.telemetry:3:10042", 3, 10042)
    for text in ("", "a:b:c", "fleet.telemetry/3:4", "t:1", "t:-1:0", "t:1:2:3", "t:1:99999999999999999999"):
        with pytest.raises(ValueError, match="not a place in the log"):
            Place.parse(text)
