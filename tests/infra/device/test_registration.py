"""A device's registration: whatever gets lost on the way, it is registered once or told clearly why not."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.device.calls import Answer, Backoff, Refused, Unreachable, perform
from infra.device.keystore import Keystore, generate, public_der
from infra.device.progress import OnDisk
from infra.device.registration import (
    Bundle,
    Credential,
    Identity,
    InMemory,
    NotTrusted,
    Pin,
    PreRegistered,
    Progress,
    Registration,
    Token,
)
from schemas import proofs
from tests.infra.device.fake_fleet import FakeFleet, answer, refusal, text

WHO = Identity(
    "SN-1", {"cpu_id": "c", "board_serial": "b", "mac_addresses": ["02:00:00:00:00:01"], "disk_uuid": ""}, "m", "1"
)
KEY = generate()
SOON = Backoff(base=1.0)


def register(
    fleet: FakeFleet,
    credential: Credential,
    progress: Progress | None = None,
    pauses: list[float] | None = None,
    key: Any = KEY,
) -> Bundle:
    registration = Registration(WHO, key, credential, progress or InMemory())
    return perform(registration.flow(), fleet.send, SOON, [].append if pauses is None else pauses.append)


@pytest.mark.parametrize("credential", [Token("t"), Pin("claim-1", "t"), PreRegistered()])
@pytest.mark.parametrize("algorithm", ["p256", "ed25519", "rsa"])
def test_a_device_is_registered(credential: Credential, algorithm: str) -> None:
    fleet = FakeFleet({"t"})
    key = generate(algorithm)
    bundle = register(fleet, credential, key=key)
    assert (bundle.device_id, fleet.issued) == ("dev-SN-1", ["dev-SN-1"])
    assert [call.path.rsplit("/", 1)[1] for call in fleet.requests] == ["initiate", "validate", "confirm"]


@given(st.sets(st.integers(1, 9), max_size=5))
@settings(max_examples=40)
def test_lost_answers_change_nothing(lost: set[int]) -> None:
    fleet = FakeFleet({"t"}, lose=lambda number: number in lost)
    bundle = register(fleet, Token("t"))
    assert (bundle.device_id, fleet.issued) == ("dev-SN-1", ["dev-SN-1"])
    assert len({call.key for call in fleet.requests}) == 3
    assert len({(call.key, call.body) for call in fleet.requests}) == 3


@pytest.mark.parametrize("crash", [1, 2, 3])
def test_a_device_that_crashed_goes_on_where_it_was(crash: int, tmp_path: Path) -> None:
    fleet = FakeFleet({"t"})

    def die(number: int) -> bool:
        if number == crash:
            raise KeyboardInterrupt
        return False

    fleet.lose = die
    with pytest.raises(KeyboardInterrupt):
        register(fleet, Token("t"), OnDisk(Keystore(tmp_path)))
    fleet.lose = lambda _: False
    assert register(fleet, Token("t"), OnDisk(Keystore(tmp_path))).device_id == "dev-SN-1"
    assert fleet.issued == ["dev-SN-1"]
    assert fleet.requests[crash - 1] == fleet.requests[crash]


def test_progress_of_another_registration_is_not_gone_on_with(tmp_path: Path) -> None:
    progress = OnDisk(Keystore(tmp_path))
    progress.save({"what": {"flow": "registration", "hardware_id": "SN-2", "by": "Token"}, "initiate": {"answer": {}}})
    assert register(FakeFleet({"t"}), Token("t"), progress).device_id == "dev-SN-1"


def test_without_a_server_five_tries_more_each_twice_as_late() -> None:
    fleet = FakeFleet(lose=lambda _: True)
    pauses: list[float] = []
    progress = InMemory()
    registration = Registration(WHO, KEY, Token("t"), progress)
    with pytest.raises(Unreachable):
        perform(registration.flow(), fleet.send, Backoff(), pauses.append)
    assert len(fleet.requests) == 6
    for n, pause in enumerate(pauses, 1):
        assert 2**n / 2 <= pause <= 2**n
    assert progress.load()["initiate"]["key"] == fleet.requests[0].key  # to be asked the same again


def test_what_the_server_asks_to_wait_is_waited() -> None:
    slow = refusal("REG-006", retry_after=37.0)
    fleet = FakeFleet({"t"}, refuse=lambda number: slow if number in (1, 3) else None)
    pauses: list[float] = []
    register(fleet, Token("t"), pauses=pauses)
    assert pauses == [37.0, 37.0]


@pytest.mark.parametrize(("code", "tries"), [("REG-003", 1), ("REG-001", 1), ("REG-008", 1), ("REG-005", 6), ("REG-009", 6)])
def test_a_refusal_names_its_code_and_what_to_do(code: str, tries: int) -> None:
    fleet = FakeFleet({"t"}, refuse=lambda _: refusal(code))
    with pytest.raises(Refused) as refused:
        register(fleet, Token("t"))
    assert refused.value.code == code
    assert refused.value.action
    assert str(refused.value).startswith(f"{code}: ")
    assert len(fleet.requests) == tries


def test_after_a_refusal_for_good_the_next_registration_begins_anew() -> None:
    fleet, progress = FakeFleet({"t"}), InMemory()
    fleet.refuse = lambda number: refusal("REG-002") if number == 2 else None
    with pytest.raises(Refused, match="REG-002"):
        register(fleet, Token("t"), progress)
    assert progress.load() == {}
    assert register(fleet, Token("t"), progress).device_id == "dev-SN-1"


def test_a_session_that_ended_meanwhile_is_opened_anew() -> None:
    fleet, progress = FakeFleet({"t"}), InMemory()
    fleet.refuse = lambda number: refusal("SESSION_UNKNOWN") if number == 2 else None
    assert register(fleet, Token("t"), progress).device_id == "dev-SN-1"
    assert [call.path.rsplit("/", 1)[1] for call in fleet.requests] == [
        "initiate",
        "validate",
        "initiate",
        "validate",
        "confirm",
    ]


@pytest.mark.parametrize("spoil", ["challenge", "nonce", "no challenge"])
def test_only_its_own_challenge_is_signed(spoil: str) -> None:
    """A server that asks to sign something else might be after a signature that is good elsewhere."""
    fleet = FakeFleet({"t"})

    def send(call: Any) -> Answer:
        told = fleet.send(call)
        if not call.path.endswith("validate"):
            return told
        value = json.loads(told.body)
        other = proofs.challenge("another session", b"n" * 32, public_der(KEY), b"f" * 32)
        return answer(value | {"challenge": text(other), "nonce": text(b"n" * 32)} if spoil != "no challenge" else {})

    with pytest.raises(NotTrusted):
        perform(Registration(WHO, KEY, Token("t"), InMemory()).flow(), send, SOON, lambda _: None)
    assert fleet.issued == []


@given(st.integers(1, 40), st.floats(0, 500), st.integers())
def test_a_pause_is_within_its_bounds(failures: int, asked: float, seed: int) -> None:
    backoff = Backoff(chance=random.Random(seed))
    full = min(60.0, 2.0**failures)
    assert max(asked, full / 2) <= backoff.pause(failures, asked) <= max(asked, full)


def test_an_answer_that_is_no_json_is_a_refusal() -> None:
    fleet = FakeFleet(refuse=lambda _: Answer(200, b"<html>"))
    with pytest.raises(Refused, match="NO_JSON"):
        register(fleet, Token("t"))
