"""The views of registrations, certificates and security events: what is lost, doubled or changed in each is found and
named, and so is a certificate that the ledger does not hold."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from connectors.memory import MemoryDeadLetters, MemoryLog
from connectors.memory_registry import MemoryRegistry
from connectors.ports import Away, UnknownSchema
from infra.reconcile.lifecycle import LifecycleReconciliation
from infra.reconcile.lifecycle_check import STATEMENTS, LifecycleVerdict
from infra.reconcile.reconcile import View
from projections.catalogue import CATALOGUE, OF_UPLOADS
from projections.projection import KeyedProjection, RowProjection
from schemas.corrections import Corrections
from schemas.log import TopicPartition
from schemas.record_columns import decoder_of
from streams.runner import Gap, Runner, writer
from tests.infra.reconcile.world import ANY_BAD_RECORDS, POISON, store_of
from tests.schemas.example_records import CONTRACT, framed

EVENTS, LEDGER, SECURITY, LETTERS, ALERTS, TRENDS = (
    "fleet.registration.events",
    "fleet.certificates",
    "fleet.security-events",
    "fleet.dead-letters",
    "fleet.alerts",
    "fleet.trends",
)
ALERT = "01980000-0000-7000-8000-000000000001"
VIEWS = tuple(view for view in CATALOGUE if view not in OF_UPLOADS)
OF_ROWS = [view.name for view in VIEWS if isinstance(view, RowProjection)]
OF_DOCUMENTS = [view.name for view in VIEWS if isinstance(view, KeyedProjection)]


class World:
    """Three devices: one registered and renewed, one revoked, one that failed; a claim spent; a security event."""

    def __init__(self) -> None:
        topics = {EVENTS: 2, LEDGER: 1, SECURITY: 2, LETTERS: 1, ALERTS: 2, TRENDS: 2}
        self.log, self.registry = MemoryLog(topics), MemoryRegistry()
        self.stores: dict[str, Any] = {view.name: store_of(view) for view in VIEWS}
        for store in self.stores.values():
            store.prepare(1)
        for number, hardware in enumerate(("hw-0", "hw-1")):
            about = {"hardware_id": hardware, "device_id": f"dev-{hardware}"}
            self.event(number, "SessionOpened", **about)
            self.event(number, "ClaimSpent", **about, claim_id=f"claim-{number}")
            self.certificate(number, f"a{number}", None, **about)
        self.certificate(0, "b0", "a0", hardware_id="hw-0", device_id="dev-hw-0")
        self.ledger("CertificateRevoked", serial="a1", device_id="dev-hw-1", hardware_id="hw-1")
        self.ledger("TreeHeadSigned")
        self.event(1, "ChallengeFailed", hardware_id="hw-2", attempts_left=0)
        self.write(TopicPartition(SECURITY, 1), "SecurityEventRecorded", subject="hw-9")
        for name in ("AlertFired", "AlertCommented", "AlertResolved"):
            self.write(TopicPartition(ALERTS, 1), name, alert_id=ALERT, rule_id="hot")
        self.write(TopicPartition(TRENDS, 1), "TrendComputed")

    def certificate(self, partition: int, serial: str, previous: str | None, **about: Any) -> None:
        leaf = {"serial": serial, "leaf_index": int(serial, 16), "previous_serial": previous, "key_hash": b"\1" * 32}
        self.ledger("CertificateIssued" if previous is None else "CertificateRenewed", **leaf, **about)
        self.event(partition, "CertificateRecorded", **leaf, **about)

    def event(self, partition: int, name: str, **values: Any) -> None:
        self.write(TopicPartition(EVENTS, partition), name, **values)

    def ledger(self, name: str, **values: Any) -> None:
        self.write(TopicPartition(LEDGER, 0), name, **values)

    def write(self, source: TopicPartition, name: str, **values: Any) -> None:
        self.log.append(source, b"k", framed(self.registry.register, source.topic, name, values))
        self.log.skip(source, 1)  # the end of the transaction

    def fold(self, *left_out: str) -> None:
        for view in VIEWS:
            if view.name in left_out:
                continue
            decoders = {topic: decoder_of(CONTRACT.topics[topic], self.registry.schema) for topic in view.topics}
            write = writer(view, self.stores[view.name])
            runner = Runner(view, write, decoders, ANY_BAD_RECORDS, 1, MemoryDeadLetters())
            bounds = self.log.bounds(view.topics)
            for source, position in runner.start(bounds).items():
                with suppress(Gap):
                    for batch in self.log.read(source, max(position, bounds[source][0]), bounds[source][1]):
                        runner.handle(batch)

    def reconcile(self) -> LifecycleVerdict:
        views = {view.name: View(view, self.stores[view.name]) for view in VIEWS}
        return LifecycleReconciliation(views, self.log, CONTRACT, self.registry.schema, lambda until: Corrections()).run(0.0)

    def content(self, view: str) -> dict[Any, Any]:
        found: dict[Any, Any] = self.stores[view]._versions[1].content
        return found


@pytest.fixture
def world() -> World:
    made = World()
    made.fold()
    return made


def wrong(verdict: LifecycleVerdict) -> list[str]:
    return [name for name, view in verdict.views.items() if not view.exact]


def test_where_all_is_well_it_is_exact(world: World) -> None:
    verdict = world.reconcile()
    assert verdict.exact
    assert (verdict.entered, verdict.missing.count) == (3, 0)
    present = {name: view.present for name, view in verdict.views.items()}
    # A renewal touches two certificates' documents; a head that was signed touches none.
    assert present == {
        "registrations": 8, "registration_steps": 8, "certificates": 5, "certificate_log": 5, "security_events": 1,
        "alerts": 3, "incidents": 3, "trends": 1,
    }  # fmt: skip
    assert {"registrations", "certificates", "alerts"} == set(STATEMENTS) == set(OF_DOCUMENTS)


def test_records_that_came_since_do_no_harm(world: World) -> None:
    scan = world.stores["certificates"].scan

    def going_on(version: int) -> Any:
        world.certificate(0, "c0", "b0", hardware_id="hw-0", device_id="dev-hw-0")
        world.fold()
        return scan(version)

    world.stores["certificates"].scan = going_on
    assert world.reconcile().exact


@pytest.mark.parametrize("view", OF_ROWS)
@pytest.mark.parametrize("spoil", ["lost", "doubled", "beyond"])
def test_a_row_that_is_lost_or_too_many(world: World, view: str, spoil: str) -> None:
    content = world.content(view)
    key = min(content)
    topic, partition, offset = key[:3]
    if spoil == "lost":
        del content[key]
    elif spoil == "doubled":
        content[(*key, "again")] = content[key]
    else:
        content[(topic, partition, 99, *key[3:])] = (*content[key][:2], 99, *content[key][3:])
        offset = 99
    verdict = world.reconcile()
    assert wrong(verdict) == [view]
    found = verdict.views[view]
    finding = found.lost if spoil == "lost" else found.duplicated
    assert (finding.count, finding.named[0].split(":")[0]) == (1, f"{topic}/{partition} offset {offset}")


def _edited(world: World, view: str, key: str, edit: Callable[[dict[str, str]], None]) -> None:
    content = world.content(view)
    document = dict(content[key].document)
    edit(document)
    content[key] = replace(content[key], document=document)


@pytest.mark.parametrize(
    ("view", "key"), [("registrations", "hw-0"), ("registrations", "claim-1"), ("certificates", "a1"), ("alerts", ALERT)]
)
@pytest.mark.parametrize("spoil", ["lost", "one less", "one more"])
def test_a_document_that_is_lost_or_counts_wrong(world: World, view: str, key: str, spoil: str) -> None:
    more = {"one less": -1, "one more": 1}.get(spoil)
    if more is None:
        del world.content(view)[key]
    else:
        _edited(world, view, key, lambda d: d.update({"count.events": str(int(d["count.events"]) + more)}))
    verdict = world.reconcile()
    assert wrong(verdict) == [view]
    found = verdict.views[view]
    assert (found.duplicated if spoil == "one more" else found.lost).named[0].startswith(f"{key}: ")


@pytest.mark.parametrize(
    ("view", "key", "spoil", "says"),
    [
        ("certificates", "a1", lambda d: d.pop("revocation"), "a1: says 'valid of dev-hw-1', the log 'revoked of dev-hw-1'"),
        ("certificates", "a0", lambda d: d.pop("superseded"), "a0: says 'valid of dev-hw-0', the log 'superseded of"),
        (
            "certificates",
            "b0",
            lambda d: d.update(certificate=d["certificate"].replace("dev-hw-0", "dev-mallory")),
            "b0: says 'valid of dev-mallory', the log 'valid of dev-hw-0'",
        ),
        (
            "registrations",
            "hw-0",
            lambda d: d.update(certificate=d["certificate"].replace('"b0"', '"ff"')),
            "hw-0: says 'certificate ff, spent by nobody', the log 'certificate b0, spent by nobody'",
        ),
        (
            "registrations",
            "claim-0",
            lambda d: d.update(spent=d["spent"].replace("hw-0", "hw-mallory")),
            "claim-0: says 'certificate none, spent by hw-mallory', the log 'certificate none, spent by hw-0'",
        ),
    ],
)
def test_a_document_that_says_something_else(world: World, view: str, key: str, spoil: Any, says: str) -> None:
    _edited(world, view, key, spoil)
    verdict = world.reconcile()
    assert wrong(verdict) == [view]
    assert verdict.views[view].changed.count == 1
    assert verdict.views[view].changed.named[0].startswith(says)


@pytest.mark.parametrize("view", [view.name for view in VIEWS])
def test_a_view_that_was_emptied_or_is_behind(world: World, view: str) -> None:
    full = world.reconcile().views[view].present
    world.content(view).clear()
    emptied = world.reconcile()
    assert (wrong(emptied), emptied.views[view].lost.count, emptied.views[view].behind) == ([view], full, 0)
    behind = World()
    behind.fold(view)
    verdict = behind.reconcile()
    assert wrong(verdict) == [view]
    assert verdict.views[view].behind > 0


@pytest.mark.parametrize("other", [{"leaf_index": 7}, {"serial": "ee"}, {"device_id": "dev-mallory"}])
def test_a_certificate_that_the_ledger_does_not_hold(world: World, other: dict[str, Any]) -> None:
    told = {"serial": "a1", "leaf_index": 0xA1, "device_id": "dev-hw-1", "hardware_id": "hw-1"} | other
    world.event(1, "CertificateRecorded", **told)
    world.fold()
    verdict = world.reconcile()
    assert (wrong(verdict), verdict.exact, verdict.missing.count) == ([], False, 1)
    assert verdict.missing.named[0].startswith(f"certificate {told['serial']} of {told['device_id']}: ")
    assert verdict.as_json() == {"in_the_ledger": 3 if "serial" in other else 2, "not_in_the_ledger": 1}


def test_poison_that_was_not_set_aside_is_lost(world: World) -> None:
    world.log.append(TopicPartition(LEDGER, 0), b"k", POISON)
    world.fold()
    verdict = world.reconcile()
    assert wrong(verdict) == ["certificates", "certificate_log"]
    assert verdict.views["certificates"].lost.named[0].startswith("fleet.certificates/0 offset ")


def test_what_retention_took_is_not_missed(world: World) -> None:
    world.log.truncate(TopicPartition(LEDGER, 0), 4)
    verdict = world.reconcile()
    assert wrong(verdict) == []
    assert verdict.missing.count > 0, "an entry that the log no longer holds proves nothing"


def test_who_does_not_answer_leaves_no_verdict(world: World) -> None:
    world.stores["certificates"].away = True
    with pytest.raises(Away):
        world.reconcile()


def test_a_registry_that_knows_a_schema_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(number: int) -> Any:
        raise UnknownSchema(f"there is no schema {number}")

    monkeypatch.setattr(world.registry, "schema", none)
    assert wrong(world.reconcile()) == [view.name for view in VIEWS]
