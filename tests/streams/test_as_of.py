"""As of a time equals the fold of exactly the records that happened and were received by then, with any snapshots."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.memory import MemoryLog
from connectors.view_snapshot_files import ViewSnapshotFiles
from connectors.view_snapshots import MemoryViewSnapshots
from projections import device_state
from projections.as_of import Moment, kept
from projections.catalogue import CERTIFICATES, DEVICE_STATE, REGISTRATIONS
from projections.projection import KeyedProjection
from projections.updates import changes
from schemas.codec import encode as avro
from schemas.log import TopicPartition
from schemas.partitioner import partition_of
from schemas.record_columns import decoder_of
from schemas.wire import prefix
from streams.as_of import AsOf, BeforeTheLog
from streams.snapshotting import LogTooShort, Parts, make, thin
from tests.projections.lifecycle import CONTRACT, LEDGER, REGISTRATION, Logged, frame
from tests.projections.lifecycle import logs as lifecycle_logs
from tests.projections.records import RECORDS
from tests.streams.decoding import BAD, JsonDecoder, encode

State = dict[str, dict[str, str]]
MOMENTS = st.integers(-1, 13).map(lambda n: 1_790_000_000_000_000 + n * 1_000_000)
SLOW = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
DECODERS: dict[str, Any] = {topic: JsonDecoder(topic) for topic in device_state.TOPICS}


class Written(NamedTuple):
    source: TopicPartition
    key: bytes
    record: dict[str, Any]


@st.composite
def written(draw: st.DrawFn, routed: bool) -> list[Written]:
    """Records in the order in which they were written: late ones, doubled ones, clocks ahead. `routed`: each lies where its
    device's id says, as the ingress writes them; otherwise anywhere, under any key."""
    log = []
    for _ in range(draw(st.integers(0, 24))):
        topic = draw(st.sampled_from(device_state.TOPICS))
        record = draw(RECORDS[topic])
        key = record["device_id"].encode()
        partition = partition_of(key, 2)
        if not routed and draw(st.booleans()):
            key, partition = draw(st.sampled_from([b"other", key])), draw(st.integers(0, 1))
        log += [Written(TopicPartition(topic, partition), key, record)] * draw(st.sampled_from([1, 1, 1, 2]))
    return log


def parts(projection: KeyedProjection = DEVICE_STATE, snapshots: Any = None) -> Parts:
    log = MemoryLog(dict.fromkeys(projection.topics, 2), batch_records=3)
    return Parts(projection, log, DECODERS, snapshots or MemoryViewSnapshots())


def log_of(made: Parts) -> MemoryLog:
    assert isinstance(made.log, MemoryLog)
    return made.log


def write(made: Parts, log: Sequence[Written], snapshot_after: set[int]) -> None:
    for number, (source, key, record) in enumerate(log):
        log_of(made).append(source, key, encode(record))
        if number in snapshot_after:
            make(made, number)


def fold(log: Sequence[Written], moment: Moment) -> State:
    """The definition: record by record, in Python alone."""
    state: State = {}
    offsets: dict[TopicPartition, int] = {}
    for source, _, record in log:
        offset = offsets[source] = offsets.get(source, -1) + 1
        if min(record["occurred_at"], record["received_at"]) > moment.at or record["received_at"] > moment.known:
            continue
        if updates := device_state.updates(*source, offset, record):
            document = state.setdefault(record["device_id"], {})
            document.update(changes(document, updates))
    return state


def fleet(made: Parts, moment: Moment, after: str = "") -> State:
    try:
        found = list(AsOf(made).documents(moment, after)[0])
    except BeforeTheLog:
        return {}
    assert [key for key, _ in found] == sorted({key for key, _ in found})
    return dict(found)


@pytest.mark.parametrize("routed", [True, False])
@given(data=st.data(), at=MOMENTS, known=MOMENTS, chance=st.randoms(use_true_random=False))
@SLOW
def test_the_fleet_and_each_device_are_what_the_definition_says(
    routed: bool, data: st.DataObject, at: int, known: int, chance: random.Random
) -> None:
    log, made, moment = data.draw(written(routed)), parts(), Moment(at, known)
    write(made, log, {number for number in range(len(log)) if chance.random() < 0.2})
    expected = fold(log, moment)
    assert fleet(made, moment) == expected
    for device in ("dev-a", "dev-b", "dev-c", "nobody"):
        document, _ = AsOf(made).document(device, moment, everywhere=not routed)
        assert document == expected.get(device)
        assert fleet(made, moment, device) == {key: document for key, document in expected.items() if key > device}


@given(written(True), MOMENTS, MOMENTS, st.randoms(use_true_random=False))
@settings(SLOW, max_examples=25)
def test_snapshots_that_are_dropped_or_damaged_change_nothing(
    log: list[Written], at: int, known: int, chance: random.Random
) -> None:
    with TemporaryDirectory() as directory:
        made = parts(snapshots=ViewSnapshotFiles(Path(directory)))
        write(made, log, set(range(3, len(log), 4)))
        files = sorted(Path(directory).glob("*/*"))
        for file in files:
            content = bytearray(file.read_bytes())
            if (what := chance.random()) < 0.3:
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
                file.write_bytes(bytes(content))
            elif what < 0.5:
                made.snapshots.drop("device_state", int(file.stem.split("-")[1]))
        moment = Moment(at, known)
        expected = fold(log, moment)
        assert fleet(made, moment) == expected
        assert AsOf(made).document("dev-a", moment)[0] == expected.get("dev-a")


NUMBERS = {name: number for number, name in enumerate(CONTRACT.records)}
SCHEMAS = {number: CONTRACT.records[name].schema for name, number in NUMBERS.items()}


def folded(view: KeyedProjection, topic: str, log: Sequence[Logged], moment: Moment) -> State:
    state: State = {}
    for one in log:
        happened, received = min(one.values["occurred_at"], one.values["received_at"]), one.values["received_at"]
        if happened <= moment.at and received <= moment.known:
            for key, updates in view.summary(topic, frame(topic, [one])).items():
                document = state.setdefault(key, {})
                document.update(changes(document, updates))
    return state


@pytest.mark.parametrize(("view", "topic"), [(REGISTRATIONS, REGISTRATION), (CERTIFICATES, LEDGER)], ids=["reg", "cert"])
@given(data=st.data(), chance=st.randoms(use_true_random=False))
@settings(SLOW, max_examples=40)
def test_views_of_deciders_events_are_what_the_definition_says(
    view: KeyedProjection, topic: str, data: st.DataObject, chance: random.Random
) -> None:
    log = data.draw(lifecycle_logs(topic, 2))
    decoders = {topic: decoder_of(CONTRACT.topics[topic], SCHEMAS.__getitem__)}
    made = Parts(view, MemoryLog({topic: 2}), decoders, MemoryViewSnapshots())
    for one in log:
        value = prefix(NUMBERS[one.record]) + avro(CONTRACT.records[one.record], one.values)
        log_of(made).append(TopicPartition(topic, one.partition), b"key", value, one.offset)
        if chance.random() < 0.1:
            make(made, 1)
    times = [time for one in log for time in (one.values["occurred_at"], one.values["received_at"])] or [0]
    moment = Moment(chance.choice(times), chance.choice([max(times), *times]))
    expected = folded(view, topic, log, moment)
    assert fleet(made, moment) == expected
    for key in [*expected, "nobody"]:
        assert AsOf(made).document(key, moment, everywhere=True)[0] == expected.get(key)


def telemetry(device: str, at: int, received: int | None = None) -> Written:
    received = at if received is None else received
    upload = {"event_id": "e", "boot_id": "b", "sequence": 0, "readings": []}
    record = {"device_id": device, "occurred_at": at, "received_at": received, **upload}
    return Written(TopicPartition("fleet.telemetry", partition_of(device.encode(), 2)), device.encode(), record)


def test_a_snapshot_saves_reading_and_one_fast_clock_costs_its_own_key_only() -> None:
    made = parts()
    write(made, [telemetry(f"dev-{number}", number) for number in range(40)], set())
    write(made, [telemetry("dev-1", 900)], {0})
    moment = Moment(100, 100)
    told = AsOf(made).documents(moment)[1]
    assert (told.snapshot, told.unusable) == (1, [])
    assert told.records < 41, "only dev-1 is looked for, in its partition"
    assert fleet(made, moment)["dev-1"]["last_seen"] == "1"
    assert AsOf(made).document("dev-2", moment)[1].records == 0


def test_what_had_not_happened_yet_is_not_read() -> None:
    made = parts()
    for start in range(0, 40, 10):
        write(made, [telemetry("dev-1", start + number) for number in range(10)], {9})
    assert fleet(made, Moment(9, 100)) == {"dev-1": AsOf(made).document("dev-1", Moment(9, 100))[0]}
    told = AsOf(made).documents(Moment(9, 100))[1]
    assert (told.snapshot, told.records) == (1, 0)


def test_a_time_before_the_log_says_when_it_begins() -> None:
    made = parts()
    assert fleet(made, Moment(5, 5)) == {}
    write(made, [telemetry("dev-1", 1_000_000, 3_000_000)], set())
    with pytest.raises(
        BeforeTheLog, match=r"1970-01-01T00:00:00\.000005Z is before the log of device_state begins, at 1970"
    ):
        AsOf(made).documents(Moment(5, 5_000_000))
    with pytest.raises(BeforeTheLog, match="nothing of device_state was received by 1970-01-01T00:00:02Z; the first at"):
        AsOf(made).documents(Moment(2_000_000, 2_000_000))
    make(made, 1)
    with pytest.raises(BeforeTheLog):
        AsOf(made).documents(Moment(5, 5_000_000))


def test_a_snapshot_outlives_the_records_that_it_is_of() -> None:
    made = parts()
    write(made, [telemetry("dev-1", 1), telemetry("dev-1", 2)], {1})
    source = telemetry("dev-1", 1).source
    log_of(made).truncate(source, 2)
    write(made, [telemetry("dev-1", 3)], set())
    assert fleet(made, Moment(2, 9))["dev-1"]["count.telemetry"] == "2"
    assert fleet(made, Moment(3, 9))["dev-1"]["count.telemetry"] == "3"
    make(made, 2)
    assert fleet(made, Moment(3, 9))["dev-1"]["count.telemetry"] == "3"
    with pytest.raises(LogTooShort, match="begins at offset 2"):
        AsOf(made).document("dev-1", Moment(1, 9))
    made.snapshots.drop("device_state", 1)
    made.snapshots.drop("device_state", 2)
    with pytest.raises(LogTooShort, match="begins at offset 2"):
        make(made, 3)


def test_a_snapshot_of_another_log_or_under_other_corrections_is_named_and_not_used() -> None:
    made, entry = parts(), telemetry("dev-1", 1)
    write(made, [entry], {0})
    other_log = replace(made, log=parts().log)
    corrected = replace(made, corrections=3, corrected=lambda offset: [(entry.source, 0)])
    for changed, why in (
        (other_log, "is of another log"),
        (corrected, "was made under other corrections of fleet.telemetry/"),
    ):
        told = AsOf(changed).document("dev-1", Moment(9, 9))[1]
        assert told.snapshot is None
        (unusable,) = told.unusable
        assert unusable.startswith(f"device_state/1: {why}")


def test_corrections_of_records_behind_a_snapshot_leave_it_usable() -> None:
    made, entry = parts(), telemetry("dev-1", 1)
    write(made, [entry, entry], {0})
    later = replace(made, corrections=3, corrected=lambda offset: [(entry.source, 1)])
    assert AsOf(later).document("dev-1", Moment(9, 9))[1].snapshot == 1


def test_bad_records_are_left_out() -> None:
    made = parts()
    log_of(made).append(TopicPartition("fleet.telemetry", 0), b"dev-1", BAD)
    write(made, [telemetry("dev-1", 1)], {0})
    assert fleet(made, Moment(9, 9))["dev-1"]["count.telemetry"] == "1"


def test_a_snapshot_is_made_from_the_newest_that_is_whole() -> None:
    made = parts()
    write(made, [telemetry("dev-1", number) for number in range(3)], {0, 1})
    (newest, older), _ = made.snapshots.heads("device_state")
    assert isinstance(made.snapshots, MemoryViewSnapshots)
    made.snapshots.damage(newest)
    head = make(made, 9)
    assert (head.number, head.records, older.records) == (3, 3, 1)
    assert fleet(made, Moment(9, 9))["dev-1"]["count.telemetry"] == "3"


def test_snapshots_far_back_are_fewer() -> None:
    made = parts()
    write(made, [telemetry("dev-1", number) for number in range(100)], set(range(100)))
    thin(made.snapshots, "device_state")
    numbers = [head.number for head in made.snapshots.heads("device_state")[0]]
    assert numbers[:5] == [100, 99, 98, 97, 96]
    assert len(numbers) < 24
    assert min(numbers) <= 64
    assert kept([]) == set()
