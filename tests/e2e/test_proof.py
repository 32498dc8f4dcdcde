"""Proof on the real stack: roots, what they find, and signed statements of them."""

import io
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import redis
from clickhouse_driver import Client

from infra import compose
from infra.cli.main import main
from infra.settings import Settings, child_environment
from infra.stack.harness import Stack
from schemas import contract as contracts
from schemas.drift_messages import DRIFT_TOPIC, DriftFound, DriftHealed
from schemas.log import TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
VIEW = "device_state"


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("proof"), settings=Settings(sentinel_share=0.2)) as running:
        run = fleetlog(running, "simulate", "--for", "3s", "--devices", "20", "--seed", "7")
        assert run.returncode == 0, run.stdout + run.stderr
        assert fleetlog(running, "reconcile", "--wait", "60s").returncode == 0
        yield running


@pytest.fixture
def documents(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.settings.redis) as client:
        yield client


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def fleetlog(stack: Stack, *arguments: str, **more: str) -> Done:
    """The command, within this process: its imports would take longer than it does."""
    out, err = io.StringIO(), io.StringIO()
    environment = child_environment({**stack.settings.environment(), **more})
    with patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as exit:
            code = int(exit.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def verify(stack: Stack, view: str, *more: str) -> Any:
    done = fleetlog(stack, "projection", "verify", view, "--json", *more)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert done.returncode == (0 if found["equal"] else 1)
    return found["views"][view]


def some_key(documents: redis.Redis, place: int = 0) -> str:
    keys = sorted(name.decode() for name in documents.scan_iter(f"{VIEW}:v1:doc:*"))
    return keys[place].removeprefix(f"{VIEW}:v1:doc:")


def bucket_of(documents: redis.Redis, key: str) -> str:
    return next(name.decode() for name in documents.scan_iter(f"{VIEW}:v1:leaves:*") if documents.hexists(name, key))


def test_every_view_is_proven_and_its_verification_noted(stack: Stack, documents: redis.Redis) -> None:
    done = fleetlog(stack, "projection", "verify", "--all", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)["views"]
    assert found[VIEW]["keys"] == 20
    assert len(found[VIEW]["root"]) == len(found["telemetry"]["root"]) == 64
    noted = json.loads(documents.hget(f"{VIEW}:v1:facts", "verified") or b"{}")
    assert (noted["equal"], noted["keys"], noted["root"]) == (True, 20, found[VIEW]["root"])
    assert noted["positions"]
    for view in (VIEW, "telemetry"):
        assert verify(stack, view, "--sample", "3") == {"keys": 3, "differing": [], "reasons": {}, "root": None}


def test_a_flipped_byte_a_lost_and_a_foreign_document_are_named(stack: Stack, documents: redis.Redis) -> None:
    flipped, lost = some_key(documents, 0), some_key(documents, 1)
    seen = documents.hget(f"{VIEW}:v1:doc:{flipped}", "last_seen") or b""
    whole = documents.hgetall(f"{VIEW}:v1:doc:{lost}")
    bucket = bucket_of(documents, lost)
    leaf = documents.hget(bucket, lost) or b""
    documents.hset(f"{VIEW}:v1:doc:{flipped}", "last_seen", seen[:-1] + bytes([seen[-1] ^ 1]))
    documents.delete(f"{VIEW}:v1:doc:{lost}")
    documents.hdel(bucket, lost)
    documents.hset(bucket, b"\xff", "changed by hand")
    documents.hset(f"{VIEW}:v1:doc:foreign", "count.telemetry", "1")
    found = verify(stack, VIEW)
    assert found["reasons"] == {
        flipped: "the document is not the one that its hash is of",
        "foreign": "there is a document without a hash: no fold wrote it",
        lost: "the log implies another document",
    }
    assert verify(stack, VIEW, "--sample", "100")["differing"] == [flipped]
    documents.hset(f"{VIEW}:v1:doc:{flipped}", "last_seen", seen)
    documents.hset(f"{VIEW}:v1:doc:{lost}", mapping=whole)
    documents.hset(bucket, mapping={lost: leaf, b"\xff": b"changed back by hand"})
    documents.delete(f"{VIEW}:v1:doc:foreign")
    assert verify(stack, VIEW)["differing"] == []


def test_a_changed_row_is_named(stack: Stack) -> None:
    client = Client(stack.settings.clickhouse, stack.settings.clickhouse_port, database="fleetlog")
    columns = "topic, partition, offset, reading, device_id, at, value"
    row = client.execute(f"SELECT {columns} FROM telemetry ORDER BY topic, partition, offset, reading LIMIT 1")[0]
    before = client.execute(f"SELECT * FROM telemetry WHERE partition = {row[1]} AND offset = {row[2]}")
    change = f"topic = '{row[0]}' AND partition = {row[1]} AND offset = {row[2]} AND reading = {row[3]}"
    client.execute(f"ALTER TABLE telemetry_v1 UPDATE value = value + 1 WHERE {change} SETTINGS mutations_sync = 1")
    assert verify(stack, "telemetry")["reasons"] == {row[4]: "the log implies other rows"}
    assert verify(stack, "telemetry", "--sample", "100")["differing"] == [row[4]]
    client.execute(f"ALTER TABLE telemetry_v1 UPDATE value = value - 1 WHERE {change} SETTINGS mutations_sync = 1")
    assert client.execute(f"SELECT * FROM telemetry WHERE partition = {row[1]} AND offset = {row[2]}") == before
    client.disconnect()


@pytest.mark.parametrize("view", [VIEW, "telemetry"])
def test_what_a_view_holds_is_signed_and_checked_offline_and_against_the_log(
    stack: Stack, view: str, tmp_path: Path
) -> None:
    file = tmp_path / "statement"
    made = fleetlog(stack, "projection", "attest", view, "--out", str(file))
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    told = fleetlog(stack, "attest", "verify", str(file), "--json")
    said = json.loads(told.stdout)
    assert said["view"] == view
    assert said["root"] == verify(stack, view)["root"]
    assert all(said["schemas"][source.rpartition("/")[0]] for source in said["positions"])
    assert fleetlog(stack, "attest", "check", str(file)).returncode == 0
    key = stack.settings.data / "attest.key"
    assert key.stat().st_mode & 0o777 == 0o600
    text = file.read_text("utf-8")
    for edit, named in (
        (r"revision \d+", "revision 77"),
        (r"(position \S+) \d+", r"\1 9876"),
        (r"(schema \S+) \d+", r"\1 98"),
    ):
        file.write_text(re.sub(edit, named, text, count=1), "utf-8")
        refused = fleetlog(stack, "attest", "verify", str(file))
        assert refused.returncode == 1
        assert "edited: " in refused.stderr
        assert re.sub(r"\\1 ", "", named).split()[-1] in refused.stderr


def test_bad_input_is_said_clearly(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "statement"
    assert fleetlog(stack, "projection", "attest", VIEW, "--out", str(file)).returncode == 0
    other = tmp_path / "other"
    for arguments, code, said in (
        (("projection", "attest", "no_such"), 2, "no view is named 'no_such'"),
        (("projection", "verify", "no_such"), 2, "no view is named 'no_such'"),
        (("projection", "verify", VIEW, "--sample", "0"), 2, "at least one key"),
        (("attest", "verify", str(tmp_path / "none")), 2, "No such file"),
        (("attest", "verify", str(file), "--key", "nonsense"), 2, "--key nonsense: a key is NAME+ID+BASE64"),
        (("attest", "verify", __file__), 1, "not an attestation"),
    ):
        done = fleetlog(stack, *arguments)
        assert (done.returncode, said in done.stderr) == (code, True), done.stderr
    done = fleetlog(stack, "attest", "verify", str(file), FLEETLOG_DATA_DIR=str(other))
    assert done.returncode == 2
    assert "attest.pub" in done.stderr
    assert not other.exists(), "nothing is made by a check"


def wait(seconds: float, condition: Any) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.1)


def test_the_sentinel_finds_a_flipped_byte_says_so_and_an_operator_heals_it(stack: Stack, documents: redis.Redis) -> None:
    """Of 20 keys."""
    key = some_key(documents, 2)
    name = f"{VIEW}:v1:doc:{key}"
    seen = documents.hget(name, "last_seen") or b""
    documents.hset(name, "last_seen", seen[:-1] + bytes([seen[-1] ^ 1]))
    wait(60, lambda: (key, "changed") in {(one.key, one.fault) for one in drift(stack) if isinstance(one, DriftFound)})
    done = fleetlog(stack, "projection", "heal", VIEW, "--json")
    assert list(json.loads(done.stdout)["healed"]) == [key], done.stderr
    assert documents.hget(name, "last_seen") == seen
    assert [one.key for one in drift(stack) if isinstance(one, DriftHealed)] == [key]
    assert json.loads(fleetlog(stack, "projection", "heal", VIEW, key, "--json").stdout)["healed"] == {}
    assert fleetlog(stack, "projection", "heal", "telemetry").returncode == 1


def drift(stack: Stack) -> list[Any]:
    topic, schemas = contracts.load().topics[DRIFT_TOPIC], compose.registry(stack.settings)
    codec, log = Messages(topic, message_types(topic), schemas.register, schemas.schema), compose.log_reader(stack.settings)
    source = TopicPartition(DRIFT_TOPIC, 0)
    try:
        batches = log.read(source, 0, log.bounds([DRIFT_TOPIC])[source][1])
        return [codec.decode(value) for batch in batches for value in batch.values]
    finally:
        log.close()
