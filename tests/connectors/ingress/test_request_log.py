"""Requests as facts in the log: written within the contract, and read back, the newest first."""

from pathlib import Path

import pytest

from connectors.http.request import Answer
from connectors.ingress.request_log import ANSWERED, BEGAN, NOTHING, TOPIC, RequestLog
from connectors.ingress.request_memory import Unfinished
from connectors.ingress.rest_writer import Record, Written
from connectors.ingress.schema_ids import SchemaIds
from connectors.memory import MemoryLog
from schemas.contract import load
from schemas.shape import shape_of, violations
from schemas.wire import prefix
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.keyed import source

CONTRACT = load()
PARTITIONS = CONTRACT.topics[TOPIC].partitions
START = 1_800_000_000 * 10**6
ANSWER = Answer(b'{"offsets":[]}', 200, b"application/vnd.kafka.v2+json")


@pytest.fixture
def requests(tmp_path: Path) -> RequestLog:
    made = RequestLog(CONTRACT.topics[TOPIC], SchemaIds(FakeRegistry(), tmp_path / "ids.json"))
    made.open()
    return made


def entry(number: int = 0) -> Unfinished:
    written = {1: Written(0, 5, None), 0: Written(2, 2**40, 1_700_000_000_000)}
    name, request_id = f"some-one/k{number}", f"01985c07-4a00-7000-8000-{number:012}"
    return Unfinished(name, request_id, bytes(range(16)), START + number, "free", 3, [7, 0, 2**40], written)


def append(log: MemoryLog, record: Record, partition: int = 0) -> None:
    log.append(source(partition, TOPIC), record.key, record.value)


def test_facts_keep_the_contract_and_come_back(requests: RequestLog) -> None:
    log, one = MemoryLog({TOPIC: PARTITIONS}), entry()
    one.name = "some-one/k/~x"
    for record in (requests.began(one), requests.answered(one, ANSWER, START + 9), requests.answered(one, NOTHING, START)):
        assert (record.topic, record.key) == (TOPIC, b"some-one/k/~x")
        append(log, record)
    facts = requests.read(log, 10**6, 0)
    assert [kind for kind, _ in facts] == [BEGAN, ANSWERED, ANSWERED]
    for kind, values in facts:
        assert not list(violations(shape_of(CONTRACT.records[kind].schema), values, ""))
        assert (values["principal"], values["idempotency_key"]) == ("some-one", "k/~x")
    (_, began), (_, answered), (_, nothing) = facts
    assert (began["starts"], [found["index"] for found in began["written"]]) == ([7, 0, 2**40], [0, 1])
    assert (answered["status"], answered["body"]) == (200, ANSWER.body)
    assert nothing["status"] == 0


def test_poison_is_left_out(requests: RequestLog) -> None:
    log = MemoryLog({TOPIC: PARTITIONS})
    for value in (None, b"", b"x", b"\0\0\0\0\x01", prefix(99) + b"x", requests.began(entry()).value):
        log.append(source(0, TOPIC), b"k", value)
    assert [kind for kind, _ in requests.read(log, 10**6, 0)] == [BEGAN]


def test_all_partitions_are_read_and_those_of_one_in_order(requests: RequestLog) -> None:
    log = MemoryLog({TOPIC: PARTITIONS})
    for number in range(900):
        append(log, requests.answered(entry(number), ANSWER, START), number % PARTITIONS)
    found = [values["began_at"] - START for _, values in requests.read(log, 10**8, 0)]
    assert sorted(found) == list(range(900))
    assert all([n for n in found if n % PARTITIONS == p] == list(range(p, 900, PARTITIONS)) for p in range(PARTITIONS))


def test_no_more_is_read_than_is_to_be_kept(requests: RequestLog) -> None:
    log, large = MemoryLog({TOPIC: PARTITIONS}), Answer(b"x" * 10_000, 200, b"c")
    for number in range(600):
        append(log, requests.answered(entry(number), large, START))
    found = [values["began_at"] - START for _, values in requests.read(log, 10**6, 0)]
    assert found == list(range(600 - len(found), 600))
    assert 20 < len(found) < 200


def test_what_has_outlived_its_life_is_not_read(requests: RequestLog) -> None:
    log = MemoryLog({TOPIC: PARTITIONS})
    for number in range(1_000):
        append(log, requests.answered(entry(number), ANSWER, START))
    found = [values["began_at"] - START for _, values in requests.read(log, 10**8, START + 990)]
    assert found[-10:] == list(range(990, 1_000))
    assert len(found) < 300
