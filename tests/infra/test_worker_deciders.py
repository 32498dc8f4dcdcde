"""A worker of the stack runs the registration decider: a command is answered on the event topic, and health says so."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from confluent_kafka import Producer

from infra import compose, deciders
from infra.settings import SettingError, Settings, child_environment
from infra.stack.harness import Stack
from schemas import contract as contracts
from schemas.registration_commands import IssueClaimToken
from schemas.registration_events import ClaimTokenIssued, CommandRepeated
from streams.registration.definition import REGISTRATION
from tests.shared_stack import SharedStack

SERVICES = ("broker", "redis", "registry", "topics", "schemas", "workers")


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("worker"), SERVICES, settings=Settings(views="device_state")) as running:
        yield running


def claim_token() -> IssueClaimToken:
    identity, claim = str(uuid4()), "claim-0198a6f0-0000-7000-8000-000000000001"
    return IssueClaimToken(
        command_id=identity,
        correlation_id=identity,
        actor="user",
        issued_at=1_790_000_000_000_000,
        claim_id=claim,
        owner="user",
        registration_type="qr_code",
        token_hash=bytes(32),
        pin_hash=None,
        device_type=None,
        expires_at=1_790_000_300_000_000,
        latitude=None,
        longitude=None,
    )


@pytest.mark.stack
def test_a_command_is_answered_and_again_when_it_comes_again(stack: Stack) -> None:
    settings = stack.settings
    codecs = deciders.all_codecs(contracts.load(), compose.registry(settings))
    commands, events = codecs[REGISTRATION.commands_topic], codecs[REGISTRATION.events_topic]
    command = claim_token()
    producer = Producer({"bootstrap.servers": settings.kafka, "partitioner": "murmur2_random"})
    for _ in range(2):
        producer.produce(REGISTRATION.commands_topic, commands.encode(command), command.claim_id.encode())
    assert producer.flush(10) == 0
    log = compose.log_reader(settings)
    until, found = time.monotonic() + 40, list[object]()
    while len(found) < 2:
        assert time.monotonic() < until, found
        time.sleep(0.1)
        bounds = log.bounds([REGISTRATION.events_topic])
        batches = [batch for source, (first, end) in bounds.items() for batch in log.read(source, first, end)]
        found = [events.decode(value) for batch in batches for value in batch.values]
    log.close()
    issued, again = found
    assert isinstance(issued, ClaimTokenIssued)
    assert isinstance(again, CommandRepeated)
    health = httpx.get(f"http://{settings.host}:{settings.worker_metrics_port}/health").json()
    assert len(health["deciders"]["registration"]["partitions"]) == 6
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", "decider", "verify", "--json"],
        env=child_environment(settings.environment()),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["deciders"]["registration"]["commands"] == 2
    metrics = httpx.get(f"http://{settings.host}:{settings.worker_metrics_port}/metrics").text
    assert 'fleetlog_commands_total{decider="registration"} 2.0' in metrics


def test_the_setting_names_deciders() -> None:
    assert deciders.chosen(Settings()) == deciders.DEFINITIONS
    assert deciders.chosen(Settings(deciders="registration")) == (REGISTRATION,)
    assert deciders.chosen(Settings(deciders="none")) == ()
    with pytest.raises(SettingError, match="FLEETLOG_DECIDERS"):
        deciders.chosen(Settings(deciders="nobody"))
