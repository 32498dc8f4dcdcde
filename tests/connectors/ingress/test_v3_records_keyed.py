"""Kafka-REST v3 with an idempotency key: streams and batches are carried out once, also over a crash."""

import gzip
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import KafkaError

from connectors.ingress import v3_records_schemas
from connectors.traces import MARK
from tests.connectors.ingress.fake_cluster import CLUSTER
from tests.connectors.ingress.fakes import FakeRegistry
from tests.connectors.ingress.keyed import content, counted, new_log, replayed
from tests.connectors.ingress.served import PARTITIONS, Served, options, serving

PATH = f"/v3/clusters/{CLUSTER}/topics/free/records"
GOOD, BAD = {"type": "JSON"}, {"type": "BINARY", "data": "no base64!"}
STEPS = 2 * (1 + 3 + 1)  # began, three records, answered: each into the log and reported


@dataclass(frozen=True)
class Form:
    """A way to send records: the end of the path, and how body and positions look."""

    suffix: str
    status: int

    def body(self, values: list[Any]) -> bytes:
        """A value of None stands for a record that can't be written."""
        records = [
            {"partition_id": i % PARTITIONS, "value": BAD if value is None else {**GOOD, "data": value}}
            for i, value in enumerate(values)
        ]
        if self.suffix:
            return json.dumps({"entries": [{"id": str(i), **record} for i, record in enumerate(records)]}).encode()
        return "\n".join(map(json.dumps, records)).encode()

    def positions(self, answer: httpx.Response) -> list[tuple[int, int]]:
        told = answer.json()["successes"] if self.suffix else [json.loads(line) for line in answer.text.splitlines()]
        return [(one["partition_id"], one["offset"]) for one in told if "offset" in one]


FORMS = [pytest.param(Form("", 200), id="stream"), pytest.param(Form(":batch", 207), id="batch")]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(options(tmp_path), new_log()) as running:
        yield running


def send(served: Served, form: Form, values: list[Any], key: str = "k", **more: Any) -> httpx.Response:
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    return served.client.post(PATH + form.suffix, content=form.body(values), headers=headers, **more)


@pytest.mark.parametrize("form", FORMS)
def test_a_retry_is_given_the_same_answer_and_writes_nothing(served: Served, form: Form) -> None:
    first, again = send(served, form, [1, None, 3]), send(served, form, [1, None, 3])
    assert (first.status_code, again.status_code) == (form.status, form.status)
    assert (replayed(first), replayed(again)) == (False, True)
    assert again.content == first.content
    held = content(served.producer.log)
    assert [held[place] for place in form.positions(first)] == [1, 3]
    assert counted(served.producer.log) == {1: 1, 3: 1}
    other = send(served, form, [2])
    assert (other.status_code, other.json()["error_code"]) == (422, 42290)


@pytest.mark.parametrize("form", FORMS)
def test_a_request_that_wrote_nothing_is_not_remembered(served: Served, form: Form) -> None:
    for _ in range(2):
        assert not replayed(send(served, form, [None]))
    assert send(served, form, [1]).status_code == form.status


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("steps", range(STEPS + 1))
def test_a_crash_after_any_step(tmp_path: Path, form: Form, steps: int) -> None:
    log, registry, rng = new_log(), FakeRegistry(), random.Random(steps)
    told = None
    with serving(options(tmp_path, request_deadline=0.3), log, registry) as served:
        served.producer.survives = lambda: rng.random() < 0.5
        served.producer.steps = steps
        with suppress(httpx.TimeoutException):
            answer = send(served, form, [1, 2, 3], timeout=0.15)
            told = answer.content if answer.status_code == form.status else None
    with serving(options(tmp_path), log, registry) as served:
        again, third = send(served, form, [1, 2, 3]), send(served, form, [1, 2, 3])
    assert again.status_code == form.status
    assert counted(log) == {1: 1, 2: 1, 3: 1}
    held = content(log)
    assert [held[place] for place in form.positions(again)] == [1, 2, 3]
    assert (third.content, replayed(third)) == (again.content, True)
    assert told in (None, again.content)


def test_with_a_key_a_stream_is_read_whole_and_answered_as_one_without(served: Served) -> None:
    form = Form("", 200)
    values = list(range(600))
    parts = [form.body(values)[i : i + 1000] for i in range(0, len(form.body(values)), 1000)]
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "k"}
    first = served.client.post(PATH, content=iter(parts), headers=headers)
    packed = gzip.compress(form.body(values))
    again = served.client.post(PATH, content=packed, headers={**headers, "Content-Encoding": "gzip"})
    assert again.content == first.content
    assert replayed(again)
    held = content(served.producer.log)
    assert [held[place] for place in form.positions(first)] == values


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [(b"", 400, "no record"), (b"[]", 400, "expected an object"), (b'{"value":', 400, "the body ends within it")],
)
def test_a_body_that_is_no_record_is_told_so(served: Served, body: bytes, status: int, message: str) -> None:
    for key in ({"Idempotency-Key": "k"}, {}):
        answer = served.client.post(PATH, content=body, headers={"Content-Type": "application/json", **key})
        assert (answer.status_code, message in answer.json()["message"]) == (status, True)


def test_what_follows_a_broken_record_is_not_written(served: Served) -> None:
    body = Form("", 200).body([1]) + b" x " + Form("", 200).body([2])
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}
    first, again = (served.client.post(PATH, content=body, headers=headers) for _ in range(2))
    assert [json.loads(line)["error_code"] for line in first.text.splitlines()] == [200, 400]
    assert (again.content, replayed(again)) == (first.content, True)
    assert counted(served.producer.log) == {1: 1}


def test_nobody_can_write_the_mark_of_requests(served: Served) -> None:
    record = {"headers": [{"name": MARK, "value": "AAEC"}], "value": {**GOOD, "data": 1}}
    answer = served.client.post(PATH, json=record)
    assert (answer.status_code, answer.json()["error_code"]) == (400, 400)
    assert not served.producer.sent


@pytest.mark.parametrize("suffix", ["", ":batch"])
def test_what_an_earlier_attempt_wrote_is_told_as_written(
    served: Served, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt writes one record of two; at the second its schema can't be looked up any more."""
    monkeypatch.setattr(v3_records_schemas, "LATEST_SECONDS", 0.0)
    served.registry.register("free-value", {"type": "record", "name": "W", "fields": [{"name": "t", "type": "int"}]})
    records = [{"value": {"data": {"t": 1}}}, {"value": {**GOOD, "data": 2}}]
    if suffix:
        body = json.dumps({"entries": [{"id": str(i), **record} for i, record in enumerate(records)]})
    else:
        body = "\n".join(map(json.dumps, records))
    headers = {"Content-Type": "application/json", "Idempotency-Key": "k"}

    def lines(answer: httpx.Response) -> list[Any]:
        if suffix:
            return [*answer.json()["successes"], *answer.json()["failures"]]
        return [json.loads(line) for line in answer.text.splitlines()]

    later = KafkaError(KafkaError.NOT_ENOUGH_REPLICAS, "too few replicas", retriable=True)
    served.producer.error_of = lambda sent: later if sent.value == b"2" else None
    first = lines(served.client.post(PATH + suffix, content=body, headers=headers))
    assert ["offset" in one for one in first] == [True, False]
    served.producer.error_of = lambda sent: None
    served.registry.away = True
    again, third = (served.client.post(PATH + suffix, content=body, headers=headers) for _ in range(2))
    assert ["offset" in one for one in lines(again)] == [True, True]
    assert (third.content, replayed(third)) == (again.content, True)
    assert [sent.value for sent in served.producer.sent if sent.topic == "free"].count(b"2") == 2
