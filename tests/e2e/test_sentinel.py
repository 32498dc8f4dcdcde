"""The sentinel of a running worker, at its default share and told to heal: what was changed in the store is made good."""

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from infra.settings import Settings
from infra.stack.harness import Stack
from schemas.drift_messages import DriftFound, DriftHealed
from tests.e2e.test_proof import VIEW, drift, fleetlog, some_key, verify
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
SECONDS = 240.0  # many times as long as an idle machine takes: a share of a busy one is little


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(sentinel_heal=1, snapshot_seconds=0, views=VIEW)
    with shared_stack.lend(tmp_path_factory.mktemp("sentinel"), settings=settings) as running:
        run = fleetlog(running, "simulate", "--for", "3s", "--devices", "20", "--seed", "7")
        assert run.returncode == 0, run.stdout + run.stderr
        with redis.Redis.from_url(running.settings.redis) as client:
            until("all is folded", lambda: client.exists(f"{VIEW}:v1:positions") and verify(running, VIEW)["keys"] == 20)
        yield running


@pytest.fixture
def documents(stack: Stack) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(stack.settings.redis) as client:
        yield client


def until(what: str, condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def said(stack: Stack, kind: type) -> list[str]:
    return [one.key for one in drift(stack) if isinstance(one, kind)]


def test_a_flipped_byte_is_found_told_and_healed(stack: Stack, documents: redis.Redis) -> None:
    assert stack.settings.sentinel_share == Settings().sentinel_share
    key = some_key(documents, 3)
    name = f"{VIEW}:v1:doc:{key}"
    before = documents.hgetall(name)
    seen = before[b"last_seen"]
    documents.hset(name, "last_seen", seen[:-1] + bytes([seen[-1] ^ 1]))
    until("it is healed", lambda: key in said(stack, DriftHealed))
    after = documents.hgetall(name)
    assert after.pop(b"_revision") != before.pop(b"_revision")
    assert after == before
    assert verify(stack, VIEW)["differing"] == []
    assert said(stack, DriftFound) == said(stack, DriftHealed) == [key], "said once"


def test_a_record_that_is_corrected_meanwhile_is_neither_drift_nor_healed_back(stack: Stack, documents: redis.Redis) -> None:
    found = len(drift(stack))
    stamps = documents.hgetall(f"{VIEW}:v1:doc:{some_key(documents, 4)}")
    source, offset = next((name, at) for name, at in stamps.items() if name.startswith(b"position.fleet.telemetry/"))
    place = f"{source.decode().removeprefix('position.').replace('/', ':')}:{offset.decode()}"
    skipped = fleetlog(stack, "dlq", "discard", place, "--without-letter", "--reason", "as tested", "--json")
    assert skipped.returncode == 0, skipped.stderr
    redriven = fleetlog(stack, "dlq", "redrive", "--all", "--json")
    assert redriven.returncode == 0, redriven.stderr
    time.sleep(5)  # some rounds of hashes, of which none may find anything
    assert verify(stack, VIEW)["differing"] == []
    assert len(drift(stack)) == found
