"""registrations, certificates and their row views: the same whatever the batches and the order of partitions, and what they
say of a registration from its beginning to its end."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.rows import canonical
from projections import alerts, certificates, registrations
from projections.catalogue import (
    ALERTS,
    CERTIFICATE_LOG,
    CERTIFICATES,
    INCIDENTS,
    REGISTRATION_STEPS,
    REGISTRATIONS,
    SECURITY_EVENTS,
)
from projections.projection import KeyedProjection, Row, RowProjection
from projections.updates import changes, orders, payloads
from schemas.columns import ColumnDecoder
from schemas.log import TopicPartition
from tests.projections.lifecycle import ALERT, CONTRACT, LEDGER, REGISTRATION, Logged, frame, logs, rows

State = dict[str, dict[str, str]]
Shape = Callable[[str, Sequence[Logged]], pl.DataFrame | list[Row]]
SLOW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
KEYED = [(REGISTRATIONS, REGISTRATION), (CERTIFICATES, LEDGER), (ALERTS, ALERT)]
ROWS = [(REGISTRATION_STEPS, REGISTRATION), (CERTIFICATE_LOG, LEDGER), (INCIDENTS, ALERT)]


def folded(view: KeyedProjection, topic: str, batches: list[list[Logged]], shape: Shape = frame) -> State:
    state: State = {}
    for batch in batches:
        for key, updates in view.summary(topic, shape(topic, batch)).items():
            document = state.setdefault(key, {})
            document.update(changes(document, updates))
    return state


def batches(log: list[Logged], chance: random.Random) -> list[list[Logged]]:
    """The log in batches of one partition each, partitions interleaved, each in its order."""
    queues = [[one for one in log if one.partition == partition] for partition in (0, 1)]
    found = []
    while queues := [queue for queue in queues if queue]:
        queue, size = chance.choice(queues), chance.randrange(1, 6)
        found.append(queue[:size])
        del queue[:size]
    return found


@pytest.mark.parametrize(("view", "topic"), KEYED, ids=lambda one: getattr(one, "name", None))
@given(data=st.data(), chance=st.randoms(use_true_random=False))
@SLOW
def test_documents_are_the_same_in_any_batches_and_any_order_of_partitions(
    view: KeyedProjection, topic: str, data: st.DataObject, chance: random.Random
) -> None:
    log = data.draw(logs(topic, 2))
    one_by_one = folded(view, topic, [[one] for one in log])
    assert folded(view, topic, batches(log, chance)) == one_by_one
    assert folded(view, topic, batches(log, chance), rows) == one_by_one
    (counter,) = view.counters
    for partition in (0, 1):
        mine = [one for one in log if one.partition == partition]
        if not mine:
            continue
        touched = view.keyed(topic, frame(topic, mine))
        for (key,), records in touched.group_by("__key"):
            assert int(one_by_one[str(key)][f"position.{topic}/{partition}"]) == records["offset"].max()
    total = sum(len(view.keyed(topic, frame(topic, [one]))) for one in log)
    assert sum(int(document[counter]) for document in one_by_one.values()) == total
    for document in one_by_one.values():
        assert set(payloads(document)) == set(document)
        assert set(orders(document)) <= set(document)


@pytest.mark.parametrize(("view", "topic"), ROWS, ids=lambda one: getattr(one, "name", None))
@given(data=st.data())
@SLOW
def test_every_record_makes_one_row_that_a_store_takes(view: RowProjection, topic: str, data: st.DataObject) -> None:
    log = data.draw(logs(topic, 1).filter(bool))
    rows = view.rows(frame(topic, log))
    assert rows["offset"].to_list() == [one.offset for one in log]
    canonical(view.table, TopicPartition(topic, 0), 0, log[-1].offset + 1, rows)
    assert rows["occurred_at"].to_list() == [one.values["occurred_at"] for one in log]


def story(*events: tuple[str, dict[str, Any]]) -> list[Logged]:
    """One partition's records with offsets and times of ten seconds apart."""
    return [
        Logged(0, offset, name, {"occurred_at": offset * 10_000_000, "received_at": 0, **values})
        for offset, (name, values) in enumerate(events)
    ]


DEVICE = {"hardware_id": "hw-1", "device_id": "dev-hw-1", "session_id": "s-1"}
BEGUN = [
    ("ClaimTokenIssued", {"claim_id": "claim-1", "owner": "ada", "registration_type": "qr_code", "expires_at": 300}),
    ("SessionOpened", {**DEVICE, "model": "cam", "firmware_version": "1.0", "capabilities": ["gps"], "expires_at": 900}),
    ("CommandRefused", {"hardware_id": "hw-1", "claim_id": "claim-1", "command": "SpendClaim", "code": "REG-002"}),
    ("ClaimSpent", {"claim_id": "claim-1", "hardware_id": "hw-1", "session_id": "s-1", "owner": "ada", "credential": "pin"}),
    ("ChallengeIssued", {**DEVICE, "via": "claim", "claim_id": "claim-1", "owner": "ada"}),
]
PROVEN = [
    ("ChallengePassed", {**DEVICE, "key_mode": "csr"}),
    ("CertificateRecorded", {**DEVICE, "purpose": "registration", "serial": "a1", "not_after": 99, "leaf_index": 4}),
    ("DeviceActivated", DEVICE),
]


def documents(*events: tuple[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {key: payloads(document) for key, document in raw(*events).items()}


def raw(*events: tuple[str, dict[str, Any]]) -> State:
    return folded(REGISTRATIONS, REGISTRATION, [story(*events)])


def test_a_registration_from_its_beginning_to_its_end() -> None:
    found = documents(*BEGUN, *PROVEN)
    device, claim = found["hw-1"], found["claim-1"]
    assert set(found) == {"hw-1", "claim-1"}
    assert claim["claim"]["owner"] == "ada"
    assert claim["spent"] == {
        "hardware_id": "hw-1", "session_id": "s-1", "owner": "ada", "credential": "pin", "occurred_at": 30_000_000,
    }  # fmt: skip
    assert claim["refusals.REG-002"] == 1
    assert (claim["count.events"], device["count.events"]) == (3, 5)
    assert device["session"]["capabilities"] == ["gps"]
    assert device["challenge"]["owner"] == "ada"
    assert device["certificate"]["serial"] == "a1"
    times = [device[name]["occurred_at"] // 10_000_000 for name in ("session", "challenge", "passed", "certificate")]
    assert times == [1, 4, 5, 6]
    assert device["activation"] == {"device_id": "dev-hw-1", "occurred_at": 70_000_000}


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "uninitialized"),
        (BEGUN[:2], "network_ready"),
        (BEGUN, "claiming"),
        ([*BEGUN, ("ChallengeFailed", {**DEVICE, "attempts_left": 2})], "claiming"),
        ([*BEGUN, ("ChallengeFailed", {**DEVICE, "attempts_left": 0})], "network_ready"),
        ([*BEGUN, *PROVEN[:1]], "activating"),
        ([*BEGUN, *PROVEN[:1], ("CertificateFailed", {**DEVICE, "purpose": "registration", "detail": "x"})], "error"),
        ([*BEGUN, *PROVEN], "operational"),
        ([*BEGUN, *PROVEN, ("SessionOpened", DEVICE)], "operational"),
        ([*BEGUN, *PROVEN, ("CertificateFailed", {**DEVICE, "purpose": "renewal"})], "operational"),
        ([*BEGUN, *PROVEN, ("DeviceStateChanged", {**DEVICE, "state": "updating"})], "updating"),
        ([*BEGUN, *PROVEN, ("DeviceReset", DEVICE)], "setup_mode"),
        ([*BEGUN, *PROVEN, ("DeviceReset", DEVICE), *BEGUN], "claiming"),
    ],
)
def test_the_state_of_a_device(events: list[tuple[str, dict[str, Any]]], state: str) -> None:
    document = raw(*events).get("hw-1", {}) if events else {}
    assert registrations.lifecycle(payloads(document), orders(document)) == state


def test_every_field_of_a_document_is_of_the_record_type() -> None:
    for record, (_, names) in registrations.FIELDS.items():
        assert set(names) <= set(CONTRACT.records[record].fields), record
    for record, (_, names) in certificates.FIELDS.items():
        assert set(names) <= set(CONTRACT.records[record].fields), record
    for record, (_, names) in alerts.FIELDS.items():
        assert {*names, *alerts.ABOUT} <= set(CONTRACT.records[record].fields), record
    assert set(registrations.FIELDS) | {"CommandRepeated"} == {one.name for one in CONTRACT.topics[REGISTRATION].records}


def test_the_life_of_certificates() -> None:
    def issued(serial: str, previous: str | None) -> tuple[str, dict[str, Any]]:
        name = "CertificateRenewed" if previous else "CertificateIssued"
        return name, {**DEVICE, "serial": serial, "previous_serial": previous, "not_after": 9, "key_hash": b"\1\xff"}

    events = [
        issued("a1", None),
        issued("b2", "a1"),
        ("CertificateRevoked", {"serial": "c3", "reason": "key_compromise", "device_id": "x", "hardware_id": "y"}),
        ("ExceptionGranted", {"serial": "b2", "until": 12, "detail": "late"}),
        ("TreeHeadSigned", {"tree_size": 4}),
        issued("d4", None),
        ("CertificateRevoked", {"serial": "d4", "reason": "superseded"}),
    ]
    state = folded(CERTIFICATES, LEDGER, [story(*events)])
    found = {key: payloads(document) for key, document in state.items()}
    assert {key: certificates.status(one) for key, one in found.items()} == {
        "a1": "superseded", "b2": "valid", "c3": "revoked", "d4": "revoked",
    }  # fmt: skip
    assert found["a1"]["superseded"] == {"by": "b2", "occurred_at": 10_000_000}
    assert found["b2"]["certificate"]["key_hash"] == "01ff"
    assert found["b2"]["exception"]["until"] == 12
    assert found["d4"]["revocation"]["occurred_at"] == 60_000_000
    assert certificates.status({}) == "unknown"
    log = CERTIFICATE_LOG.rows(frame(LEDGER, story(*events)))
    assert log["subject"].to_list() == ["a1", "b2", "c3", "b2", "ledger", "d4", "d4"]
    assert log["key_hash"][0] == "01ff"


def test_a_security_event_is_a_row() -> None:
    record = CONTRACT.records["SecurityEventRecorded"]
    empty = ColumnDecoder(record, lambda _: record.schema).decode([]).frame.drop("index")
    rows = SECURITY_EVENTS.rows(empty.select(pl.lit("t").alias("topic"), pl.lit(0, pl.Int64).alias("partition"),
                                             pl.lit(0, pl.Int64).alias("offset"), pl.all()))  # fmt: skip
    assert canonical(SECURITY_EVENTS.table, TopicPartition("t", 0), 0, 1, rows).is_empty()


def test_the_life_of_an_alert() -> None:
    about = {"alert_id": "a-1", "home_key": "hw-1", "rule_id": "hot", "number": 0, "since": 5, "value": 101.5, "group": ""}
    events = [
        ("AlertPending", {**about, "due_at": 9}),
        ("AlertFired", about),
        ("AlertFired", {**about, "alert_id": "a-2", "value": None}),
        ("AlertEscalated", {**about, "level": 2}),
        ("AlertAcknowledged", {**about, "actor": "ada", "comment": "on it"}),
        ("AlertCommandRefused", {"alert_id": "a-1", "home_key": "hw-1", "code": "ALERT_RESOLVED"}),
        ("AlertResolved", {**about, "value": 20.0, "reason": "cleared", "fired_at": 10_000_000}),
    ]
    state = folded(ALERTS, ALERT, [story(*events)])
    found = {key: payloads(document) for key, document in state.items()}
    assert {key: one["state"]["status"] for key, one in found.items()} == {"a-1": "resolved", "a-2": "firing"}
    first = found["a-1"]
    assert first["count.events"] == 5
    assert (first["alert"]["value"], first["escalation"]["level"]) == (20.0, 2)
    assert first["acknowledgement"] == {"occurred_at": 40_000_000, "actor": "ada", "comment": "on it"}
    assert first["resolution"]["fired_at"] == 10_000_000
    log = INCIDENTS.rows(frame(ALERT, story(*events)))
    assert log["event"].to_list() == [name for name, _ in events]
    assert log["level"].to_list() == [None, None, None, 2, None, None, None]
