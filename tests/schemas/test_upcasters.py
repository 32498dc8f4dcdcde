"""Records of older versions mean today what their upcasters say, read one by one or in whole batches."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.check import check
from schemas.codec import Decoder, Undecodable, encode
from schemas.columns import ColumnDecoder
from schemas.contract import HERE, ContractError, RecordType, Schema
from schemas.upcasters import Upcaster, Upcasting, broken_steps, gaps
from schemas.wire import prefix

LEAST = -(2**31)


def version(*fields: dict[str, Any]) -> Schema:
    return {"type": "record", "name": "Trip", "namespace": "fleetlog.device", "doc": "A trip.", "fields": list(fields)}


def field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, "doc": name, **more}


ID = field("id", "string")
ONE = version(ID, field("delay", "long", unit="milliseconds"), field("place", "string"))
TWO = version(ID, field("delay", "long", unit="microseconds"), field("place", "string"))
THREE = version(*TWO["fields"], field("note", ["null", "string"], default=None))
FOUR = version(
    ID,
    field("lag", "long", unit="microseconds", aliases=["delay"]),
    field("north", "double", default=0.0),
    field("east", "double", default=0.0),
    field("note", ["null", "string"], default=None),
)
RELEASED = {1: ONE, 2: TWO, 3: THREE}
TRIP = RecordType("Trip", "device", FOUR)


def to_micros(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "delay": values["delay"] * 1_000}


def split(values: dict[str, Any]) -> dict[str, Any]:
    north, east = values["place"].split("/")
    rest = {name: value for name, value in values.items() if name not in ("place", "delay")}
    return {**rest, "lag": values["delay"], "north": float(north), "east": float(east)}


MICROS, SPLIT = (Upcaster("Trip", 1, 2, "delay", to_micros), Upcaster("Trip", 3, 4, "place", split))
STEPS = (MICROS, SPLIT)


def of(number: int, values: dict[str, Any]) -> bytes:
    schema = {**RELEASED, 4: FOUR}[number]
    wanted = {one["name"] for one in schema["fields"]}
    return encode(RecordType("Trip", "device", schema), {name: values[name] for name in values.keys() & wanted})


VALUES = st.fixed_dictionaries(
    {
        "id": st.text(max_size=5),
        "delay": st.integers(-(2**40), 2**40),
        "lag": st.integers(-(2**40), 2**40),
        "place": st.tuples(st.integers(-90, 90), st.integers(-180, 180)).map(lambda at: f"{at[0]}/{at[1]}"),
        "north": st.floats(-90, 90),
        "east": st.floats(-180, 180),
        "note": st.none() | st.text(max_size=5),
    }
)


@given(values=VALUES)
def test_a_chain_with_a_part_that_resolution_bridges(values: dict[str, Any]) -> None:
    steps = Upcasting(TRIP, RELEASED, STEPS)
    place = [float(part) for part in values["place"].split("/")]
    read = {number: steps.decoder({**RELEASED, 4: FOUR}[number]).decode(of(number, values)) for number in (1, 2, 3, 4)}
    assert read[1] == {"id": values["id"], "lag": values["delay"] * 1_000, "north": place[0], "east": place[1], "note": None}
    assert read[2] == {**read[1], "lag": values["delay"]}
    assert read[3] == {**read[2], "note": values["note"]}
    assert read[4] == {name: values[name] for name in ("id", "lag", "north", "east", "note")}


@given(written=st.lists(st.tuples(st.integers(1, 4), VALUES, st.booleans()), max_size=40))
def test_batches_are_what_single_records_are(written: list[tuple[int, dict[str, Any], bool]]) -> None:
    steps = Upcasting(TRIP, RELEASED, STEPS)
    schemas = {**RELEASED, 4: FOUR}
    bodies = [of(number, values)[: -1 if spoiled else None] for number, values, spoiled in written]
    framed: list[bytes | None] = [prefix(number) + body for (number, _, _), body in zip(written, bodies, strict=True)]
    columns = ColumnDecoder(TRIP, schemas.__getitem__, steps).decode(framed)
    rows, faults = {}, []
    for i, ((number, _, _), body) in enumerate(zip(written, bodies, strict=True)):
        try:
            rows[i] = steps.decoder(schemas[number]).decode(body)
        except Undecodable:
            faults.append(i)
    assert {row.pop("index"): row for row in columns.frame.to_dicts()} == rows
    assert [(fault.index, fault.reason) for fault in columns.faults] == [(i, "undecodable") for i in faults]


def test_a_batch_whose_layout_is_the_present_one_is_upcast_too() -> None:
    """Only the unit differs, so that the bodies would pass as columns."""
    record = RecordType("Trip", "device", TWO)
    values = [prefix(1) + of(1, {"id": "a", "delay": 5, "place": "1/2"})]
    assert (
        ColumnDecoder(record, lambda _: ONE, Upcasting(record, {1: ONE}, (MICROS,))).decode(values).frame["delay"][0]
        == 5_000
    )
    assert ColumnDecoder(record, lambda _: ONE, Upcasting(record, {1: ONE}, ())).decode(values).frame["delay"][0] == 5


def test_without_steps_nothing_is_changed_and_nothing_looked_up() -> None:
    steps = Upcasting(TRIP, {}, ())
    assert steps.chain(ONE) == ()
    assert isinstance(steps.decoder(ONE), Decoder)


def test_a_producer_s_own_schema_means_the_newest_version_of_its_layout() -> None:
    steps = Upcasting(TRIP, RELEASED, STEPS)
    bare = {**ONE, "fields": [{"name": one["name"], "type": one["type"]} for one in ONE["fields"]]}
    assert [steps.version(schema) for schema in (ONE, TWO, THREE, FOUR, bare)] == [1, 2, 3, 4, 2]
    assert steps.version({**ONE, "doc": "Other words, under the id of version 1.", "aliases": ["Journey"]}) == 1
    assert steps.version(version(field("other", "long"))) is None


@pytest.mark.parametrize(
    ("result", "what"),
    [({"id": "a"}, "fails"), ({"id": 1, "delay": 1, "place": ""}, "fails"), ({**dict.fromkeys("abc")}, "fails")],
)
def test_a_step_that_makes_no_record_sets_the_record_aside(result: dict[str, Any], what: str) -> None:
    steps = Upcasting(TRIP, RELEASED, (Upcaster("Trip", 1, 2, "", lambda values: result),))
    with pytest.raises(Undecodable, match=f"upcaster from version 1 to 2 {what}"):
        steps.decoder(ONE).decode(of(1, {"id": "a", "delay": 1, "place": ""}))


def test_a_step_that_fails_sets_the_record_aside() -> None:
    steps = Upcasting(TRIP, RELEASED, STEPS)
    values = [prefix(3) + of(3, {"id": "a", "delay": 1, "place": place, "note": None}) for place in ("1/2", "nowhere")]
    columns = ColumnDecoder(TRIP, lambda _: THREE, steps).decode(values)
    assert columns.frame["north"].to_list() == [1.0]
    assert [(fault.index, fault.reason) for fault in columns.faults] == [(1, "undecodable")]
    assert "version 3 to 4" in columns.faults[0].detail


def step(before: int, after: int) -> Upcaster:
    return Upcaster("Trip", before, after, "", dict)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((step(1, 1),), "from version 1 leads to itself"),
        ((step(1, 2), step(2, 1)), "from version 2 to 1 leads back, in a circle"),
        ((step(3, 1),), "from version 3 to 1 leads back"),
        ((step(1, 2), step(1, 3)), "2 upcasters start at version 1"),
        ((step(1, 9),), "names version 9, which is not there"),
        ((step(0, 1),), "names version 0, which is not there"),
    ],
)
def test_steps_that_can_not_be_taken_are_named(steps: tuple[Upcaster, ...], message: str) -> None:
    assert any(message in found for found in broken_steps(TRIP, RELEASED, steps))
    with pytest.raises(ContractError):
        Upcasting(TRIP, RELEASED, steps)


def test_gaps_are_named() -> None:
    assert gaps(TRIP, RELEASED, STEPS) == []
    assert gaps(TRIP, RELEASED, ()) == [
        "delay is in microseconds, was in milliseconds, between the versions 1 and 2: no upcaster says so"
    ]
    needed = version(*TWO["fields"], field("needed", "long"))
    found = gaps(RecordType("Trip", "device", needed), {1: ONE, 2: TWO}, (MICROS,))
    assert found == ["there is a gap between the versions 2 and 3: needed: is new and has no default"]


def test_check_names_what_is_wrong_with_upcasters(tmp_path: Path) -> None:
    for name in ("avsc", "examples", "released"):
        (tmp_path / name).symlink_to(HERE / name)
    (tmp_path / "topics.toml").symlink_to(HERE / "topics.toml")
    assert check(tmp_path) == []
    twice = Upcaster("TelemetryReceived", 1, 2, "", dict)
    found = [str(finding) for finding in check(tmp_path, (twice, Upcaster("Nobody", 1, 2, "", dict)))]
    assert found == [
        "upcasters.py: TelemetryReceived: an upcaster names version 2, which is not there",
        "upcasters.py: Nobody: there is no record type of this name",
    ]


def test_check_finds_a_unit_that_changed(tmp_path: Path) -> None:
    root = tmp_path / "schemas"
    shutil.copytree(HERE, root, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    for file, unit in (("released/TelemetryReceived/1.avsc", "uploads"), ("avsc/device/TelemetryReceived.avsc", "attempts")):
        schema = json.loads((root / file).read_text("utf-8"))
        next(one for one in schema["fields"] if one["name"] == "sequence")["unit"] = unit
        (root / file).write_text(json.dumps(schema))
    message = "sequence is in attempts, was in uploads, between the versions 1 and 2: no upcaster says so"
    assert [str(finding) for finding in check(root)] == [f"upcasters.py: TelemetryReceived: {message}"]
    assert check(root, (Upcaster("TelemetryReceived", 1, 2, "the unit of sequence", dict),)) == []
