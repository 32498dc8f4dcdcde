"""On a real stack: archived, deleted from the log, and still all there: for views, for a replay, for whoever asks."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import polars as pl
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka_copy import ORIGIN
from connectors.kafka_log import KafkaLog
from infra import compose, views
from infra.cli.main import main
from infra.settings import Settings
from infra.stack.harness import Stack, running_stack
from projections.catalogue import find
from schemas.codec import encode
from schemas.contract import load
from schemas.log import TopicPartition
from schemas.wire import prefix

pytestmark = pytest.mark.stack

TOPIC = "fleet.telemetry"
OLD = 1_600_000_000_000  # milliseconds; far beyond any retention
NEW = int(time.time() * 1000)
DEVICES = 7
ABORTED = 3
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    only = ("broker", "redis", "clickhouse", "registry", "topics", "schemas")
    settings = Settings(archive_offsets=50, archive=str(tmp_path_factory.mktemp("objects")))
    with running_stack(tmp_path_factory.mktemp("archive"), only=only, settings=settings) as running:
        upload(running.settings, 0, 400, OLD)
        upload(running.settings, 400, 20, NEW)
        yield running


def upload(settings: Settings, first: int, count: int, at: int) -> None:
    """Telemetry at these milliseconds, with headers, and in each partition records of a transaction that is aborted."""
    record = load().records["TelemetryReceived"]
    example = json.loads(Path(__file__).parents[3].joinpath("schemas/examples/TelemetryReceived/typical.json").read_text())
    number = compose.registry(settings).register(f"{TOPIC}-value", record.schema)
    common = {"bootstrap.servers": settings.kafka, "partitioner": "murmur2_random"}
    aborting = Producer({**common, "transactional.id": "given-up"})
    aborting.init_transactions(20)
    aborting.begin_transaction()
    for partition in range(6):
        for _ in range(ABORTED):
            aborting.produce(TOPIC, b"never", partition=partition)
    assert aborting.flush(20) == 0
    aborting.abort_transaction(20)
    producer = Producer({**common, "enable.idempotence": True})
    for index in range(first, first + count):
        device = f"device-{index % DEVICES}"
        values: dict[str, Any] = {
            **example["values"],
            "device_id": device,
            "sequence": index,
            "received_at": at * 1000 + index,
        }
        body = prefix(number) + encode(record, values)
        producer.produce(TOPIC, body, device, timestamp=at + index, headers=[("traceparent", b"%d" % index)])
    assert producer.flush(20) == 0


@pytest.fixture
def run(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a `fleetlog` command on the stack: exit code, standard output, standard error."""
    for name, value in stack.settings.environment().items():
        monkeypatch.setenv(name, value)

    def running(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return running


def rows(settings: Settings) -> list[tuple[int, int, int]]:
    """Partition, offset and timestamp of every record, from the archive and the log."""
    log = compose.whole_log(settings)
    try:
        return [
            (source.partition, offset, timestamp)
            for source, (low, end) in sorted(log.bounds([TOPIC]).items())
            for part in log.records(source, low, end)
            for offset, timestamp in zip(part.offsets, part.timestamps, strict=True)
        ]
    finally:
        log.close()


def test_archived_deleted_rebuilt_and_equal(stack: Stack, run: Run) -> None:
    settings = stack.settings
    before = rows(settings)
    assert len(before) == 420
    for name in ("device_state", "telemetry"):
        views.rebuild_view(settings, find(name), lambda progress: None)
    roots = {name: content(settings, name) for name in ("device_state", "telemetry")}

    code, said, _ = run("archive", "guard", "--topic", TOPIC)
    assert (code, "nothing of it is archived" in said) == (1, True)
    code, said, _ = run("archive", "run", "--all", "--json")
    told = {one["topic"]: one for one in json.loads(said)["topics"]}
    assert (code, told[TOPIC]["records"], told[TOPIC]["waiting"]) == (0, 420, 0)
    assert run("archive", "verify", "--deep", "--against-log")[0] == 0

    code, said, _ = run("archive", "guard", "--dry-run", "--json")
    assert all(one["before"] == 0 for one in json.loads(said))
    code, said, errors = run("archive", "guard", "--topic", TOPIC, "--json")
    assert code == 0, (said, errors)
    live = KafkaLog(settings.kafka)
    lows = {source: low for source, (low, _) in live.bounds([TOPIC]).items()}
    assert {str(source): low for source, low in lows.items()} == {one["partition"]: one["now"] for one in json.loads(said)}
    assert sum(low > 0 for low in lows.values()) >= 3
    with pytest.raises(ValueError, match="can't be read from 0"):
        next(live.read(max(lows, key=lambda source: lows[source]), 0, 1))
    live.close()

    assert rows(settings) == before
    for name in ("device_state", "telemetry"):
        views.rebuild_view(settings, find(name), lambda progress: None)
        assert views.verify_view(settings, find(name)).equal
    assert {name: content(settings, name) for name in roots} == roots
    assert run("archive", "verify", "--deep", "--against-log")[0] == 0
    upload(settings, 420, 30, NEW)
    assert run("archive", "run", "--all", "--guard")[0] == 0
    assert len(rows(settings)) == 450


def content(settings: Settings, name: str) -> Any:
    from infra.drill import content as content_of

    return content_of(settings, find(name))


def test_a_replay_into_files(stack: Stack, run: Run, tmp_path: Path) -> None:
    expected = len(rows(stack.settings))
    where = "device_id == 'device-3' && sequence >= 100"
    for suffix in ("parquet", "avro", "jsonl"):
        code, said, errors = run("replay", TOPIC, "--into", tmp_path / f"all.{suffix}", "--json")
        assert (code, json.loads(said)["passed"]) == (0, expected), errors
        assert run("replay", TOPIC, "--into", tmp_path / f"some.{suffix}", "--where", where)[0] == 0
    whole = pl.read_parquet(tmp_path / "all.parquet")
    assert whole.schema["kafka_timestamp"] == whole.schema["received_at"] == pl.Datetime("us")
    assert sorted(whole["sequence"].to_list()) == list(range(expected))
    some = pl.read_parquet(tmp_path / "some.parquet")
    assert some.equals(whole.filter((pl.col("device_id") == "device-3") & (pl.col("sequence") >= 100)))
    with (tmp_path / "some.avro").open("rb") as file:
        assert [one["sequence"] for one in fastavro.reader(file)] == some["sequence"].to_list()
    lines = [json.loads(line) for line in (tmp_path / "some.jsonl").read_text().splitlines()]
    assert [(line["kafka_key"], line["sequence"]) for line in lines] == list(
        some.select("device_id", "sequence").iter_rows()
    )
    assert len(lines[0]["readings"]) == 3
    assert len(list(tmp_path.iterdir())) == 6


def test_a_replay_between_times_and_offsets(stack: Stack, run: Run, tmp_path: Path) -> None:
    since, until = (datetime.fromtimestamp((OLD + n) / 1000, UTC).isoformat() for n in (50, 60))
    assert run("replay", TOPIC, "--from", since, "--to", until, "--into", tmp_path / "a.parquet")[0] == 0
    assert sorted(pl.read_parquet(tmp_path / "a.parquet")["sequence"].to_list()) == list(range(50, 60))
    place = rows(stack.settings)[3]
    chosen = ("--partition", place[0], "--from", place[1], "--to", place[1] + 1)
    assert run("replay", TOPIC, *chosen, "--into", tmp_path / "b.parquet")[0] == 0
    assert pl.read_parquet(tmp_path / "b.parquet").select("kafka_partition", "kafka_offset").rows() == [place[:2]]


def test_a_replay_into_a_topic_keeps_records_and_says_where_from(stack: Stack, run: Run) -> None:
    settings = stack.settings
    admin = AdminClient({"bootstrap.servers": settings.kafka})
    admin.create_topics([NewTopic("lab", 2, 1)], operation_timeout=20)["lab"].result(20)
    began = time.monotonic()
    code, said, errors = run("replay", TOPIC, "--into", "lab", "--where", "sequence < 30", "--rate", "50/s", "--json")
    assert (code, json.loads(said)["passed"]) == (0, 30), errors
    assert time.monotonic() - began < 30
    log = KafkaLog(settings.kafka)
    found = [part for source, (_, end) in log.bounds(["lab"]).items() for part in log.records(source, 0, end)]
    log.close()
    places = [dict(headers)[ORIGIN].decode() for part in found for headers in part.headers]  # type: ignore[union-attr]
    originals = {f"{TOPIC}/{partition}:{offset}": timestamp for partition, offset, timestamp in rows(settings)}
    assert [originals[place] for place in places] == [time for part in found for time in part.timestamps]
    assert all(dict(headers)["traceparent"] for part in found for headers in part.headers)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nothing.here", "--into", "lab"), 2, "there is no topic 'nothing.here'"),
        ((TOPIC, "--into", "no-such-topic"), 1, "there is no topic no-such-topic"),
        ((TOPIC, "--into", "fleet.heartbeats"), 2, "is a topic of the fleet"),
        ((TOPIC, "--into", "fleet.heartbeats", "--force"), 2, "--reason"),
        ((TOPIC, "--into", "__consumer_offsets", "--force", "--reason", "x"), 2, "belongs to the broker"),
        ((TOPIC, "--into", "dir/file.csv"), 2, "must end in one of .parquet"),
        ((TOPIC, "--into", "x.parquet", "--where", "devise_id == ''"), 2, "column 1: undeclared reference to 'devise_id'"),
        ((TOPIC, "--into", "x.parquet", "--from", "yesterday"), 2, "neither an offset nor a time"),
        ((TOPIC, "--into", "x.parquet", "--from", "2999-01-01"), 2, "in the future"),
        ((TOPIC, "--into", "x.parquet", "--from", "2026-02-01", "--to", "2026-01-01"), 2, "is not before"),
        ((TOPIC, "--into", "x.parquet", "--to", "2001-01-01"), 1, "no record in the range"),
        ((TOPIC, "--into", "x.parquet", "--from", "5"), 2, "say --partition N"),
        ((TOPIC, "--into", "x.parquet", "--partition", "0", "--from", "999999"), 1, "holds the offsets from 0"),
        ((TOPIC, "--into", "x.parquet", "--partition", "66"), 1, "no partition 66"),
        ((TOPIC, "--into", "x.parquet", "--where", "sequence == -1"), 1, "is as asked for"),
    ],
)
def test_a_replay_that_can_not_be_says_why_and_writes_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, errors = run("replay", *arguments)
    assert (found, out) == (code, "")
    assert said in errors
    assert list(tmp_path.iterdir()) == []


def test_damage_is_named_and_nothing_is_read_or_deleted(stack: Stack, run: Run, tmp_path: Path) -> None:
    archive = compose.archive(stack.settings)
    found = archive.manifest(TOPIC)
    assert found is not None
    (segment, source) = next(
        (segments[0], TopicPartition(TOPIC, partition)) for partition, segments in enumerate(found[0].partitions) if segments
    )
    path = Path(stack.settings.archive) / segment.name
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-1])
    try:
        code, said, _ = run("archive", "verify")
        assert (code, segment.name in said, "damaged" in said) == (1, True, True)
        path.unlink()
        code, said, _ = run("archive", "verify", "--json")
        assert (code, json.loads(said)["whole"]) == (1, False)
        assert segment.name in said
        code, _, errors = run("replay", TOPIC, "--partition", source.partition, "--into", tmp_path / "x.parquet")
        assert (code, f"{segment.name} is missing" in errors) == (1, True)
        with pytest.raises(ValueError, match=segment.name):
            views.rebuild_view(stack.settings, find("device_state"), lambda progress: None)
        assert list(tmp_path.iterdir()) == []
    finally:
        path.write_bytes(whole)
    assert run("archive", "verify")[0] == 0


def test_a_restore_into_a_log_that_holds_something_is_refused(run: Run) -> None:
    code, _, errors = run("archive", "restore")
    assert (code, "a restore needs a cluster without the fleet's records" in errors) == (1, True)


def test_what_is_no_place_for_an_archive_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEETLOG_ARCHIVE", "ftp://there")
    code, _, errors = run("archive", "run")
    assert (code, "FLEETLOG_ARCHIVE is 'ftp://there'" in errors) == (2, True)
