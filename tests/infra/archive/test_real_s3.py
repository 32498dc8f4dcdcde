"""The whole archive in a bucket of a real S3 server: run, verified, guarded, corrected over, restored."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest
from moto.server import ThreadedMotoServer

from connectors.kafka_log import KafkaLog
from infra import views
from infra.cli.main import main
from infra.restore import restore
from infra.settings import Settings, child_environment
from projections.catalogue import find
from tests.infra.archive.test_real_archive import NEW, OLD, TOPIC, rows, upload
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack

PARTS = ("broker", "redis", "clickhouse", "registry", "topics", "schemas")
RECORDS = 120
VIEWS = ("device_state", "telemetry")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Settings]:
    """Settings of an archive in it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        assert httpx.put(f"{endpoint}/fleet").is_success
        yield Settings(
            archive="s3://fleet/one/archive",
            archive_endpoint=endpoint,
            archive_offsets=20,
            archive_access_key="key",
            archive_secret_key="secret",
        )
    finally:
        server.stop()


def fleetlog(settings: Settings, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """The JSON that a command prints, which ends well."""
    with patch.dict(os.environ, child_environment(settings.environment()), clear=True):
        code = main([*arguments, "--json"])
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out) if said.out else None


def value_of(settings: Settings, place: tuple[int, int]) -> list[float]:
    """The readings of a record, as readers of the view see them."""
    from clickhouse_driver import Client

    with Client(settings.clickhouse, settings.clickhouse_port, database=settings.clickhouse_database) as client:
        where = f"partition = {place[0]} AND offset = {place[1]} ORDER BY reading"
        return [value for (value,) in client.execute(f"SELECT value FROM telemetry WHERE {where}")]


def test_archived_guarded_corrected_and_restored(
    shared_stack: SharedStack, bucket: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with shared_stack.lend(tmp_path / "before", only=PARTS, settings=bucket) as stack:
        settings = stack.settings
        place, before = archived_only(settings, capsys)
        position = f"{TOPIC}:{place[0]}:{place[1]}"
        change = ("--set", "readings[0].value=-77.5", "--without-letter", "--reason", "as tested")
        fleetlog(settings, capsys, "dlq", "patch", position, *change)
        fleetlog(settings, capsys, "dlq", "redrive", position)
        corrected = value_of(settings, place)
        assert corrected[0] == -77.5
        for name in VIEWS:
            fleetlog(settings, capsys, "projection", "verify", name)
        fleetlog(settings, capsys, "archive", "run", "--all")

    with shared_stack.lend(tmp_path / "after", only=PARTS, settings=bucket) as stack:
        # The stores are others' too: the registry keeps its schemas, as one that is not the stack's own.
        settings = replace(stack.settings, registry_url=stack.settings.registry)
        assert restore(settings).records > len(before)
        assert rows(settings) == before
        log = KafkaLog(settings.kafka)
        assert {low for low, _ in log.bounds([TOPIC]).values()} == {0}, "the log holds again what only the archive held"
        log.close()
        for name in VIEWS:
            views.rebuild_view(settings, find(name), lambda progress: None)
            assert views.verify_view(settings, find(name)).equal
        assert value_of(settings, place) == corrected


def archived_only(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> tuple[tuple[int, int], list[tuple[int, int, int]]]:
    """A record that the log lost and the archive has; and all that there are."""
    upload(settings, 0, RECORDS, OLD)
    upload(settings, RECORDS, 10, NEW)
    for name in VIEWS:
        views.rebuild_view(settings, find(name), lambda progress: None)
    told = {one["topic"]: one for one in fleetlog(settings, capsys, "archive", "run", "--all")["topics"]}
    assert (told[TOPIC]["records"], told[TOPIC]["waiting"]) == (RECORDS + 10, 0)
    assert fleetlog(settings, capsys, "archive", "verify", "--deep", "--against-log")["whole"] is True
    gone = [one for one in fleetlog(settings, capsys, "archive", "guard", "--topic", TOPIC) if one["now"] > 0]
    assert len(gone) >= 3
    partition, before = int(gone[0]["partition"].rpartition("/")[2]), rows(settings)
    first = next(offset for number, offset, _ in before if number == partition)
    assert first < gone[0]["now"]
    return (partition, first), before
