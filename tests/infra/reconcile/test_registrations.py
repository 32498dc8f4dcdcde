"""Registrations: a device that was told to be registered and isn't, and one that is twice, are each found and named."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.memory import MemoryLog
from connectors.memory_registry import MemoryRegistry
from infra.reconcile.registration_check import RECORDED_ROWS, RegistrationVerdict, check_registrations
from infra.reconcile.registration_facts import EVENTS, LEDGER, reconcile_registrations
from infra.simulator.journal import JournalWriter, Registered
from schemas.certificate_messages import CertificateIssued
from schemas.contract import load
from schemas.log import TopicPartition
from schemas.message_values import Purpose
from schemas.messages import Messages
from schemas.registration_events import CertificateRecorded

CONTRACT = load()
ONE, TWO = Registered("SN-1", "dev-1", "a1", 0), Registered("SN-2", "dev-2", "a2", 1)


def rows(*found: Registered) -> pl.DataFrame:
    told = [(one.hardware_id, one.device_id, one.serial, one.leaf_index) for one in found]
    return pl.DataFrame(told, RECORDED_ROWS, orient="row")


def check(
    done: list[Registered], recorded: list[Registered], issued: list[Registered] | None = None, begun: str = ""
) -> RegistrationVerdict:
    known = {one.hardware_id for one in done} | set(begun.split())
    return check_registrations(known, done, rows(*recorded), rows(*(recorded if issued is None else issued)))


def test_what_was_told_and_is_so_is_exact() -> None:
    verdict = check([ONE, TWO], [ONE, TWO])
    assert verdict.exact
    assert verdict.as_json() == {
        "begun": 2,
        "acknowledged": 2,
        "recorded": 2,
        "unacknowledged": 0,
        "foreign": 0,
        "lost": 0,
        "duplicated": 0,
    }


@pytest.mark.parametrize("where", ["events", "ledger"])
@pytest.mark.parametrize(
    "instead", [None, replace(ONE, serial="b1"), replace(ONE, device_id="dev-9"), replace(ONE, leaf_index=7)]
)
def test_what_was_told_and_is_not_so_is_lost(where: str, instead: Registered | None) -> None:
    spoiled = [TWO, *([] if instead is None else [instead])]
    verdict = check([ONE, TWO], spoiled if where == "events" else [ONE, TWO], spoiled if where == "ledger" else [ONE, TWO])
    assert (verdict.exact, verdict.lost.count) == (False, 1)
    assert verdict.lost.named == ["SN-1 as dev-1, certificate a1: was told to be registered, and is not so in the log"]


def test_a_device_that_is_registered_twice_is_found() -> None:
    verdict = check([ONE], [ONE, replace(ONE, serial="b1", leaf_index=5)])
    assert (verdict.exact, verdict.duplicated.count, verdict.lost.count) == (False, 1, 0)
    shared = check([ONE, TWO], [ONE, replace(TWO, device_id="dev-1")], begun="SN-1")
    assert shared.duplicated.count == 2, "one device id for two machines"


def test_answers_that_got_lost_and_other_writers_are_allowed() -> None:
    verdict = check([ONE], [ONE, TWO, Registered("other", "dev-3", "a3", 2)], begun="SN-2")
    assert verdict.exact
    assert (verdict.unacknowledged, verdict.foreign, verdict.recorded) == (1, 1, 2)


@given(st.sets(st.integers(0, 20)), st.sets(st.integers(0, 20)))
def test_exact_only_if_all_that_was_told_is_there(told: set[int], there: set[int]) -> None:
    made = [Registered(f"SN-{n}", f"dev-{n}", f"{n:x}", n) for n in range(21)]
    verdict = check([made[n] for n in told], [made[n] for n in there])
    assert verdict.exact == (told <= there)
    assert verdict.lost.count == len(told - there)


HEAD = {
    **dict.fromkeys(("event_id", "command_id", "correlation_id"), "019aa000-0000-7000-8000-000000000001"),
    "occurred_at": 1,
    "received_at": 1,
    "actor": "a",
    "session_id": "s" * 36,
    "not_before": 1,
    "not_after": 2,
}


def recorded(one: Registered, purpose: Purpose = "registration") -> CertificateRecorded:
    proof: dict[str, Any] = {"tree_size": 9, "inclusion_proof": (), "checkpoint": "c", "sealed_key": None, "chain": ()}
    return CertificateRecorded(**HEAD, **asdict(one), **proof, purpose=purpose, certificate=b"c")


def issued(one: Registered) -> CertificateIssued:
    rest: dict[str, Any] = {
        "previous_serial": None,
        "key_algorithm": "EC P-256",
        "key_hash": bytes(32),
        "issuer_key_id": "k",
    }
    return CertificateIssued(**HEAD, **asdict(one), **rest, purpose="registration", owner=None, model=None, certificate=b"c")


def test_the_log_is_read_with_its_renewals_left_out(tmp_path: Path) -> None:
    log, registry = MemoryLog({EVENTS: 6, LEDGER: 1}), MemoryRegistry()

    def write(topic: str, partition: int, message: CertificateRecorded | CertificateIssued) -> None:
        codec = Messages(CONTRACT.topics[topic], [type(message)], registry.register, registry.schema)
        log.append(TopicPartition(topic, partition), b"key", codec.encode(message))

    write(EVENTS, 0, recorded(ONE))
    write(EVENTS, 3, recorded(TWO))
    write(EVENTS, 0, recorded(replace(ONE, serial="c1"), "renewal"))
    write(LEDGER, 0, issued(ONE))
    journal = JournalWriter(tmp_path / "run", {})
    for one in (ONE, TWO):
        journal.registering(one.hardware_id)
        journal.registered(one)
    journal.close()
    verdict = reconcile_registrations(log, CONTRACT, registry.schema, tmp_path)
    assert (verdict.begun, verdict.acknowledged, verdict.recorded, verdict.lost.count) == (2, 2, 1, 1)
    assert verdict.lost.named[0].startswith("SN-2 as dev-2")
