"""Bad bytes in the log, and what an operator does about them, on the real processes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.stack.harness import Stack
from schemas.wire import prefix
from tests.infra.repair.bad_records import Writer, caught_up, document, done, fleetlog, rows, telemetry, until
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
VIEWS = ("device_state", "telemetry")
PARTS = ("broker", "registry", "registry-front", "redis", "clickhouse", "topics", "schemas", "workers")


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(views=",".join(VIEWS), deciders="none", flush_seconds=0.1, dead_letter_window=3, dead_letter_run=3)
    with shared_stack.lend(tmp_path_factory.mktemp("repair"), only=PARTS, settings=settings) as running:
        yield running


@pytest.fixture
def writer(stack: Stack) -> Writer:
    return Writer(stack)


def equal(stack: Stack) -> bool:
    return all(done(stack, "projection", "verify", view)["equal"] for view in VIEWS)


def letters(stack: Stack, position: str, *more: str) -> list[dict[str, str]]:
    return [one for one in done(stack, "dlq", "list", "--limit", "1000", *more)["listed"] if one["position"] == position]


def one_cut_short(writer: Writer) -> str:
    """Three records each of two devices, one of them cut short within its reading; returns where that one lies."""
    good = [writer.framed(telemetry(device, number)) for device in ("right", "wrong") for number in range(3)]
    for device, values in (("right", good[:3]), ("wrong", good[3:])):
        places = [
            writer.write(value if device == "right" or number != 1 else value[:-8], device)
            for number, value in enumerate(values)
        ]
    return places[1]


def check_shown(stack: Stack, bad: str) -> None:
    shown = done(stack, "dlq", "show", bad)
    assert shown["values"]["device_id"] == "wrong"
    assert shown["values"]["readings"] == [{"metric": "temperature", "at": telemetry("wrong", 1)["readings"][0]["at"]}]
    assert "readings[0].value" in shown["fault"]
    assert shown["subject"] == "fleet.telemetry-value"
    assert shown["subject_version"] == 1
    assert shown["fault_at_byte"] < shown["bytes"]
    assert [line[0] for line in shown["hex"]].count(">") == 1
    assert {one["view"] for one in shown["letters"]} == set(VIEWS)
    assert done(stack, "dlq", "show", shown["letters"][0]["lies_at"]) == shown


def test_bad_bytes_are_patched_and_the_views_are_as_if_they_had_never_been_bad(
    stack: Stack, writer: Writer, tmp_path: Path
) -> None:
    bad = one_cut_short(writer)
    until(lambda: len(letters(stack, bad)) == len(VIEWS))
    caught_up(stack, *VIEWS)
    assert {one["state"] for one in letters(stack, bad)} == {"open"}
    assert document(stack, "wrong")["count.telemetry"] == "2"

    check_shown(stack, bad)
    values = tmp_path / "values.json"
    values.write_text(json.dumps(telemetry("wrong", 1)))
    done(stack, "dlq", "patch", bad, "--value", str(values), "--reason", "from the device's journal")
    assert {one["state"] for one in letters(stack, bad)} == {"patched"}
    assert equal(stack), "a view that does not have the correction yet is what it says it is"
    redriven = done(stack, "dlq", "redrive", bad)
    assert {one["view"]: (one["records"], one["remade"]) for one in redriven["views"]} == dict.fromkeys(VIEWS, (1, 1))
    assert {one["state"] for one in letters(stack, bad)} == {"redriven"}
    assert equal(stack)
    assert [value for _, value in rows(stack, "wrong")] == [20.0] * 3
    right, wrong = document(stack, "right"), document(stack, "wrong")
    for name in ("count.telemetry", "count.readings", "last_seen"):
        assert wrong[name] == right[name]
    assert json.loads(wrong["metric.temperature"])["value"] == json.loads(right["metric.temperature"])["value"]
    assert done(stack, "dlq", "redrive", "--all")["views"] == []

    done(stack, "projection", "rebuild", "device_state")
    assert document(stack, "wrong") == wrong, "a rebuild has the correction too"
    assert equal(stack)


def test_a_good_record_with_a_wrong_value_is_set_right_and_put_back(stack: Stack, writer: Writer) -> None:
    places = [
        writer.write(writer.framed(telemetry("odd", number, 20.0 if number else 9000.0)), "odd") for number in range(3)
    ]
    caught_up(stack, *VIEWS)
    refused = fleetlog(stack, "dlq", "patch", places[0], "--set", "readings[0].value=19", "--reason", "x")
    assert refused.code == 1
    assert "no view has set this record aside" in refused.err
    more = ("--reason", "sensor fault", "--without-letter")
    done(stack, "dlq", "patch", places[0], "--set", "readings[0].value=19.5", *more)
    done(stack, "dlq", "discard", places[1], *more)
    done(stack, "dlq", "redrive", "--all")
    assert [value for _, value in rows(stack, "odd")] == [19.5, 20.0]
    assert document(stack, "odd")["count.telemetry"] == "2"
    assert equal(stack)
    for place in places[:2]:
        done(stack, "dlq", "withdraw", place, "--reason", "it was right after all")
    done(stack, "dlq", "redrive", "--all")
    assert [value for _, value in rows(stack, "odd")] == [9000.0, 20.0, 20.0]
    assert document(stack, "odd")["count.telemetry"] == "3"
    assert equal(stack)
    kinds = [one["kind"] for one in done(stack, "dlq", "show", places[0])["corrections"]]
    assert kinds == ["RecordPatched", "CorrectionWithdrawn"]


def test_a_view_that_halted_at_bad_records_goes_on_when_they_are_discarded(stack: Stack, writer: Writer) -> None:
    flood = [writer.write(b"\xffno record %d" % number, "flood", partition=3) for number in range(4)]
    writer.write(writer.framed(telemetry("behind", 1)), "behind", partition=3)
    halted = until(lambda: [one for one in fleetlog(stack, "projection", "status", "--json").json if one["halted"]])
    assert {one["name"] for one in halted} <= set(VIEWS)
    assert document(stack, "behind") == {}
    done(stack, "dlq", "discard", *flood, "--reason", "written by hand", "--without-letter")
    done(stack, "dlq", "redrive", "--all")
    caught_up(stack, *VIEWS)
    assert document(stack, "behind")["count.telemetry"] == "1"
    until(lambda: not any(one["halted"] for one in fleetlog(stack, "projection", "status", "--json").json))
    assert equal(stack)


def test_a_document_of_which_no_record_is_left_is_gone(stack: Stack, writer: Writer) -> None:
    place = writer.write(writer.framed(telemetry("ghost", 1)), "ghost")
    caught_up(stack, *VIEWS)
    done(stack, "dlq", "discard", place, "--reason", "no such device", "--without-letter")
    done(stack, "dlq", "redrive", "--all")
    assert (document(stack, "ghost"), rows(stack, "ghost")) == ({}, [])
    assert equal(stack)


def test_letters_are_counted_filtered_and_paged(stack: Stack, writer: Writer) -> None:
    places = [writer.write(None, "none", partition=4), writer.write(prefix(999_999) + b"x", "unknown", partition=4)]
    for place in places:
        until(lambda p=place: len(letters(stack, p)) == len(VIEWS))
    everything = done(stack, "dlq", "list", "--limit", "3")
    assert everything["letters"] == sum(everything["counts"]["reason"].values()) > 3
    assert len(everything["listed"]) == 3
    assert everything["pages"] == -(-everything["letters"] // 3)
    second = done(stack, "dlq", "list", "--limit", "3", "--page", "2")
    assert not {str(one) for one in second["listed"]} & {str(one) for one in everything["listed"]}
    only = done(stack, "dlq", "list", "--reason", "tombstone", "--view", "telemetry")
    assert [one["position"] for one in only["listed"]] == [places[0]]
    assert set(only["counts"]["state"]) == {"open"}
    said = fleetlog(stack, "dlq", "list", "--state", "open")
    assert "by reason: " in said.out
    assert places[1] in said.out
    shown = fleetlog(stack, "dlq", "show", places[1])
    assert "FAULT unknown-schema" in shown.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "fleet.telemetry"), "not a place in the log"),
        (("show", "fleet.nothing:0:0"), "there is no topic fleet.nothing"),
        (("show", "fleet.telemetry:77:0"), "has the partitions 0 to 5"),
        (("show", "fleet.telemetry:0:999999"), "holds the offsets from 0"),
        (("discard", "fleet.telemetry:0:0", "--reason", "x"), "no view has set this record aside"),
        (("discard", "fleet.telemetry:0:0", "--reason", "", "--without-letter"), "a reason has 1 to 1000"),
        (("patch", "fleet.telemetry:0:0", "--set", "boot_id=b", "--reason", "x"), "no view has set this record aside"),
        (("patch", "BAD", "--set", "nothing.here=1", "--reason", "x"), "nothing.here"),
        (("patch", "BAD", "--set", "readings=[]", "--reason", "x"), "out-of-contract"),
        (("patch", "BAD", "--bytes", "FILE", "--reason", "x"), "the new value is not-framed"),
        (
            ("patch", "BAD", "--set", "device_id=other", "--set", "readings[0].value=1", "--reason", "x"),
            "the key is not changed",
        ),
        (("withdraw", "BAD", "--reason", "x"), "no correction of it is in force"),
        (("redrive", "BAD"), "was not corrected"),
        (("redrive", "--reason", "tombstone"), "is corrected"),
    ],
)
def test_bad_orders_are_refused_by_name_and_nothing_is_written(
    stack: Stack, writer: Writer, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    values = telemetry("spoiled", 1)
    if "BAD" in arguments:
        values["readings"][0]["value"] = float("nan")  # out of contract, and whole
        bad = writer.write(writer.framed(values), "spoiled", partition=5)
        writer.write(writer.framed(telemetry("good", 1)), "good", partition=5)
        writer.write(writer.framed(telemetry("good", 2)), "good", partition=5)
        until(lambda: letters(stack, bad))
        arguments = tuple(bad if part == "BAD" else part for part in arguments)
    file = tmp_path / "value"
    file.write_bytes(b"\xffnothing")
    before = done(stack, "dlq", "list")["counts"]["state"]
    said = fleetlog(stack, "dlq", *(str(file) if part == "FILE" else part for part in arguments))
    assert (said.code, said.out) == (1, "")
    assert message in said.err
    assert done(stack, "dlq", "list")["counts"]["state"] == before


def test_usage_that_is_wrong(stack: Stack) -> None:
    assert fleetlog(stack, "dlq", "redrive").code == 2
    assert fleetlog(stack, "dlq", "redrive", "--all", "--view", "nothing").code == 2
    assert fleetlog(stack, "dlq", "list", "--limit", "0").code == 2


def check_impact(stack: Stack, places: list[str]) -> None:
    newest = done(stack, "impact", places[2])
    of_view = {view["view"]: view for view in newest["views"]}
    changes = of_view["device_state"]["keys"]["traced"]
    assert changes["count.telemetry"] == {"with": "3", "without": "2"}
    assert json.loads(changes["metric.temperature"]["without"])["value"] == 7.0
    assert [made["value"] for made in of_view["telemetry"]["rows"]] == [3.0]
    assert [one["kind"] for one in done(stack, "impact", places[1])["corrections"]] == ["RecordPatched"]


def test_a_field_and_a_row_are_traced_to_their_record_and_back(stack: Stack, writer: Writer) -> None:
    bodies = [writer.framed(telemetry("traced", number, value)) for number, value in enumerate((1.0, 2.0, 3.0))]
    places = [writer.write(body, "traced", partition=2) for body in bodies]
    caught_up(stack, *VIEWS)
    more = ("--reason", "wrong sensor", "--without-letter")
    done(stack, "dlq", "patch", places[1], "--set", "readings[0].value=7", *more)
    done(stack, "dlq", "redrive", places[1])

    found = done(stack, "explain", "device_state", "traced")
    assert {name: one["value"] for name, one in found["fields"].items()} == document(stack, "traced")
    assert found["fields"]["metric.temperature"]["from"] == [places[2]]
    assert found["fields"]["count.telemetry"]["from"] == places[::-1]
    record = found["records"][places[1]]
    assert record["values"]["readings"][0]["value"] == 7.0
    assert (record["subject"], record["subject_version"], record["record_type"]) == (
        ("fleet.telemetry-value", 1, "TelemetryReceived")
    )
    assert record["correction"].startswith("fleet.corrections:0:")
    assert found["records"][places[2]]["correction"] is None
    one = done(stack, "explain", "device_state", "traced", "--field", "count.telemetry", "--limit", "1")
    assert one["fields"]["count.telemetry"] == {"value": "3", "how": "sum", "from": [places[2]], "more": True}

    topic, partition, offset = places[1].split(":")
    identity = (f"topic={topic}", f"partition={partition}", f"offset={offset}")
    row = done(stack, "explain", "telemetry", "--row", *identity)
    assert [(made["value"], made["device_id"]) for made in row["rows"]] == [(7.0, "traced")]
    assert row["rows_of_the_record_in_the_view"] == 1
    assert row["records"] == {places[1]: record}

    check_impact(stack, places)
    looks = (("explain", "device_state", "traced"), ("explain", "telemetry", "--row", *identity), ("impact", places[1]))
    for arguments in looks:
        said = fleetlog(stack, *arguments)
        assert said.code == 0
        assert places[1] in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("explain", "nothing", "x"), 2, "no view is named"),
        (("explain", "device_state"), 2, "name one by its key"),
        (("explain", "telemetry", "x"), 2, "name one by --row"),
        (("explain", "telemetry", "--row", "topic"), 2, "not a COLUMN=VALUE"),
        (("explain", "telemetry", "--row", "topic=fleet.telemetry"), 1, "it lacks partition, offset"),
        (("explain", "telemetry", "--row", "topic=fleet.telemetry", "partition=0", "offset=99999"), 1, "not 99999"),
        (("explain", "telemetry", "--row", "topic=fleet.telemetry", "partition=0", "offset=0", "unit=V"), 1, "has no unit"),
        (("explain", "telemetry", "--row", "topic=fleet.telemetry", "partition=2", "offset=0", "reading=9"), 1, "no row is"),
        (("explain", "device_state", "nobody"), 1, "holds no document 'nobody'"),
        (("explain", "device_state", "traced", "--field", "color"), 1, "has no field color"),
        (("impact", "fleet.telemetry:0:99999"), 1, "not 99999"),
        (("impact", "here"), 1, "not a place in the log"),
    ],
)
def test_what_is_not_there_can_not_be_explained(stack: Stack, arguments: tuple[str, ...], code: int, message: str) -> None:
    said = fleetlog(stack, *arguments)
    assert (said.code, said.out) == (code, "")
    assert message in said.err
