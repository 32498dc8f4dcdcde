"""The views of registrations and certificates on the real stores, over topics that transactions write to: what they hold,
that their lag ends at nothing, that the log implies them, and that a rebuild comes to the same."""

import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import redis
from clickhouse_driver import Client
from confluent_kafka import Producer

from infra import compose, view_status, views
from infra.settings import child_environment
from infra.simulator.journal import JournalWriter
from infra.stack.harness import Stack
from projections.catalogue import CATALOGUE
from projections.updates import payloads
from tests.schemas.example_records import framed
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
DOCS = Path(__file__).parents[2] / "docs" / "views.md"
REGISTRATION, LEDGER, SECURITY = "fleet.registration.events", "fleet.certificates", "fleet.security-events"
ALERTS = "fleet.alerts"
NEW = (
    "registrations", "registration_steps", "certificates", "certificate_log", "security_events", "alerts", "incidents",
)  # fmt: skip
SECOND = 1_000_000
DEVICES = 6
BEGAN = (time.time_ns() // 1_000_000_000 - 600) * SECOND


class Writer:
    """Writes events as a decider does: in transactions, the aborted ones among them."""

    def __init__(self, stack: Stack) -> None:
        self._registry = compose.registry(stack.settings)
        self._producer = Producer({"bootstrap.servers": stack.settings.kafka, "transactional.id": "decider"})
        self._producer.init_transactions(30)
        self._count = itertools.count()

    def transaction(self, topic: str, key: str, *events: tuple[str, dict[str, Any]], commit: bool = True) -> None:
        self._producer.begin_transaction()
        for name, values in events:
            self._producer.produce(topic, framed(self._registry.register, topic, name, values), key.encode())
        if commit:
            self._producer.commit_transaction(30)
        else:
            assert self._producer.flush(30) == 0
            self._producer.abort_transaction(30)


def register(writer: Writer, number: int) -> None:
    """A registration, each step in a transaction; of every third device it ends with a failed challenge."""
    hardware, session = f"hw-{number}", str(uuid4())
    about = {"hardware_id": hardware, "device_id": f"dev-{hardware}", "session_id": session, "owner": "ada"}

    def step(name: str, seconds: float, topic: str = REGISTRATION, key: str = hardware, **values: Any) -> None:
        writer.transaction(topic, key, (name, {**about, "occurred_at": BEGAN + int(seconds * SECOND), **values}))

    claim = f"claim-{number}"
    step("ClaimTokenIssued", 0, key=claim, claim_id=claim)
    step("SessionOpened", 1, model="cam", capabilities=[])
    step("CommandRefused", 1.5, key=claim, claim_id=claim, command="SpendClaim", code="REG-002")
    step("ClaimSpent", 2, key=claim, claim_id=claim)
    step("ChallengeIssued", 2, via="claim", claim_id=claim)
    writer.transaction(REGISTRATION, hardware, ("DeviceActivated", about), commit=False)
    if number % 3 == 0:
        step("ChallengeFailed", 3, attempts_left=0)
        return
    step("ChallengePassed", 3 + number)
    serial, ends = f"a{number}", BEGAN + 90 * 86_400 * SECOND
    leaf: dict[str, Any] = {"serial": serial, "leaf_index": number}
    step("CertificateIssued", 4, LEDGER, "ledger", **leaf, previous_serial=None, not_after=ends, key_hash=b"\1" * 32)
    step("CertificateRecorded", 4 + number, **leaf, purpose="registration")
    step("DeviceActivated", 20)


def incident(writer: Writer, number: int) -> None:
    """An alert that fires, is taken care of after a minute, and is over after two; the last one still fires."""
    about = {
        "alert_id": str(UUID(int=number)), "home_key": f"dev-hw-{number}", "device_id": f"dev-hw-{number}", "rule_id": "hot",
        "severity": "critical", "group": "", "labels": "{}", "annotations": "{}", "value": 101.5, "mode": "live",
        "muted_by": None,
    }  # fmt: skip

    def step(name: str, seconds: int, **values: Any) -> None:
        at = BEGAN + seconds * SECOND
        writer.transaction(ALERTS, about["home_key"] or "", (name, {**about, "since": BEGAN, "occurred_at": at, **values}))

    step("AlertFired", 10)
    step("AlertAcknowledged", 70, actor="ada", comment=None)
    if number < 2:
        step("AlertResolved", 130, reason="cleared", fired_at=BEGAN + 10 * SECOND)


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    only = ("broker", "registry", "topics", "schemas", "redis", "clickhouse", "workers")
    with shared_stack.lend(tmp_path_factory.mktemp("stack"), only=only) as running:
        writer = Writer(running)
        for number in range(DEVICES):
            register(writer, number)
        revoked = {"serial": "a1", "device_id": "dev-hw-1", "hardware_id": "hw-1", "reason": "key_compromise"}
        writer.transaction(LEDGER, "ledger", ("CertificateRevoked", revoked), ("TreeHeadSigned", {}))
        at = BEGAN + 30 * SECOND
        writer.transaction(
            SECURITY, "hw-9", ("SecurityEventRecorded", {"subject": "hw-9", "kind": "bad_csr", "occurred_at": at})
        )
        for number in range(3):
            incident(writer, number)
        settle(running)
        yield running


def settle(stack: Stack) -> None:
    """Wait until no view has anything left to fold: the positions are the ends of the log, behind the control records."""
    log, until = compose.log_reader(stack.settings), time.monotonic() + 60
    try:
        while True:
            found = [view_status.status(stack.settings, view, log) for view in CATALOGUE]
            assert not any(view.halted for view in found), [view.halted for view in found]
            if not any(view.lag for view in found):
                return
            assert time.monotonic() < until, found
            time.sleep(0.2)
    finally:
        log.close()


def document(stack: Stack, view: str, key: str) -> dict[str, Any]:
    client = redis.Redis.from_url(stack.settings.redis, decode_responses=True)
    try:
        found: Any = client.hgetall(f"{view}:v{client.get(f'{view}:live') or 1}:doc:{key}")
    finally:
        client.close()
    found.pop("_revision", None)
    return payloads(found)


def test_what_the_documents_say(stack: Stack) -> None:
    device, failed, claim = (document(stack, "registrations", key) for key in ("hw-1", "hw-3", "claim-1"))
    assert device["challenge"]["owner"] == "ada"
    assert device["certificate"]["serial"] == "a1"
    assert device["activation"]["occurred_at"] == BEGAN + 20 * SECOND
    assert "activation" not in failed, "the transaction was aborted"
    assert claim["spent"]["hardware_id"] == "hw-1"
    assert claim["refusals.REG-002"] == 1
    assert document(stack, "certificates", "a1")["revocation"]["reason"] == "key_compromise"
    assert document(stack, "certificates", "a2")["certificate"]["key_hash"] == "01" * 32
    assert document(stack, "alerts", str(UUID(int=1)))["state"]["status"] == "resolved"
    assert document(stack, "alerts", str(UUID(int=2)))["acknowledgement"]["actor"] == "ada"
    assert document(stack, "certificates", "a2").keys().isdisjoint({"revocation", "superseded"})


def queries() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)


def test_the_queries_of_the_documents(stack: Stack) -> None:
    settings = stack.settings
    client = Client(settings.clickhouse, settings.clickhouse_port, database=settings.clickhouse_database)
    try:
        funnel, durations, refusals, expiry, security, incidents = (client.execute(sql) for sql in queries())
    finally:
        client.disconnect()
    assert funnel == [(6, 6, 4, 4, 4, 2, 0.333)]
    assert durations == [
        ("ChallengeIssued", 6, 1.0, 1.0),
        ("ChallengePassed", 4, 6.0, 7.0),
        ("CertificateRecorded", 4, 7.0, 8.0),
    ]
    assert [row[:4] for row in refusals] == [("REG-002", "SpendClaim", 6, 6)]
    assert [(row[1], sorted(row[2])) for row in expiry] == [(3, ["dev-hw-2", "dev-hw-4", "dev-hw-5"])]
    assert {row[1]: row[-2:] for row in incidents} == {
        "dev-hw-0": (60.0, 120.0), "dev-hw-1": (60.0, 120.0), "dev-hw-2": (60.0, None),
    }  # fmt: skip
    assert [row[:3] for row in security] == [("bad_csr", "hw-9", 1)]


@pytest.mark.parametrize("name", NEW)
def test_a_view_is_what_the_log_implies_and_a_rebuild_comes_to_the_same(stack: Stack, name: str) -> None:
    view = next(view for view in CATALOGUE if view.name == name)
    before = views.verify_view(stack.settings, view)
    assert before.equal
    assert before.keys > 0
    _, records = views.rebuild_view(stack.settings, view, lambda progress: None)
    assert records > 0
    after = views.verify_view(stack.settings, view)
    assert (after.equal, after.keys) == (True, before.keys)
    settle(stack)


def reconciled(stack: Stack, folder: Path) -> tuple[int, Any]:
    """Exit code and report of the command, over the journal of a fleet that sent nothing."""
    JournalWriter(folder / "run", {}).close()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "infra.cli.main", "reconcile", "--json", "--journal", str(folder)],
        env=child_environment(stack.settings.environment()),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_reconcile_covers_them_and_the_ledger(stack: Stack, tmp_path: Path) -> None:
    code, report = reconciled(stack, tmp_path)
    assert (code, report["offenders"]) == (0, [])
    assert all(report["views"][name]["present"] > 0 for name in NEW)
    assert report["certificates"] == {"in_the_ledger": 4, "not_in_the_ledger": 0}


def live(stack: Stack, name: str) -> str:
    store = compose.store(stack.settings, next(view for view in CATALOGUE if view.name == name))
    try:
        return f"v{store.live()}"
    finally:
        store.close()


def test_a_changed_document_is_found(stack: Stack) -> None:
    client = redis.Redis.from_url(stack.settings.redis, decode_responses=True)
    key = f"certificates:v{client.get('certificates:live') or 1}:doc:a1"
    held: Any = client.hget(key, "revocation")
    client.hset(key, "revocation", msgspec.json.encode({**msgspec.json.decode(held), "reason": "superseded"}).decode())
    try:
        assert views.verify_view(stack.settings, next(v for v in CATALOGUE if v.name == "certificates")).differing == ("a1",)
    finally:
        client.hset(key, "revocation", held)
        client.close()


def test_reconcile_names_what_was_tampered_with(stack: Stack, tmp_path: Path) -> None:
    """In every view at once: a document that counts twice, one that is gone, rows that are gone. At the very end: the views
    are spoiled from here on."""
    client = redis.Redis.from_url(stack.settings.redis, decode_responses=True)
    client.hincrby(f"registrations:{live(stack, 'registrations')}:doc:hw-1", "count.events", 1)
    client.delete(f"certificates:{live(stack, 'certificates')}:doc:a2")
    client.hdel(f"certificates:{live(stack, 'certificates')}:doc:a1", "revocation")
    client.close()
    settings = stack.settings
    rows = Client(settings.clickhouse, settings.clickhouse_port, database=settings.clickhouse_database)
    for name, where in (
        ("registration_steps", "step = 'ClaimSpent' AND claim_id = 'claim-4'"),
        ("certificate_log", "event = 'CertificateRevoked'"),
        ("security_events", "subject = 'hw-9'"),
    ):
        table = f"{name}_{live(stack, name)}"
        rows.execute(f"ALTER TABLE {table} DELETE WHERE {where}", settings={"mutations_sync": 2})
    rows.disconnect()
    code, report = reconciled(stack, tmp_path)
    assert code == 1
    found = {name: (told["lost"], told["duplicated"], told["changed"]) for name, told in report["views"].items()}
    assert {name: counts for name, counts in found.items() if any(counts)} == {
        "registrations": (0, 1, 0), "registration_steps": (1, 0, 0), "certificates": (1, 0, 1),
        "certificate_log": (1, 0, 0), "security_events": (1, 0, 0),
    }  # fmt: skip
    named = "\n".join(report["offenders"])
    for words in (
        "registrations: hw-1: fleet.registration.events is",
        "registration_steps: fleet.registration.events/",
        "certificates: a2: fleet.certificates is 0 instead of 1",
        "certificates: a1: says 'valid of dev-hw-1', the log 'revoked of dev-hw-1'",
        "certificate_log: fleet.certificates/0 offset ",
        "security_events: fleet.security-events/",
    ):
        assert words in named
