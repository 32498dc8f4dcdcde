"""Kafka-REST v3 records on the real broker and registry: every case of the table, long streams, a broker that stops."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.registry import ConfluentRegistry
from infra.api_key import api_key
from infra.settings import Settings
from infra.stack.harness import Stack
from tests.connectors.ingress.real_topics import make_topics
from tests.connectors.ingress.v3_records_cases import OPEN, PARTITIONS, Case, Seen, cases, names_of
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
DOCUMENT = Path(__file__).parents[3] / "docs/kafka-rest-v3-records.md"
EXAMPLE = re.compile(
    r"""^curl \$URL(\S+) -H "X-API-Key: \$KEY" -H 'Content-Type: application/json' -d '([^']+)'$""", re.MULTILINE
)
DEADLINE = 4.0  # seconds


@pytest.fixture(scope="module")
def stack(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = Settings(rest_topics=",".join([*OPEN, "weather", "long", "numbers"]), request_deadline=DEADLINE)
    services = ("broker", "registry", "topics", "schemas", "ingress")
    with shared_stack.lend(tmp_path_factory.mktemp("rest"), only=services, settings=settings) as running:
        make_topics(running, dict.fromkeys(("free", "hidden", "weather", "long", "numbers"), PARTITIONS))
        yield running


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with connected(stack) as made:
        yield made


def connected(stack: Stack) -> httpx.Client:
    headers = {"X-API-Key": api_key(stack.settings)}
    return httpx.Client(base_url=stack.settings.ingress, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def cluster(stack: Stack) -> str:
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    return str(admin.list_topics(timeout=20).cluster_id)


@pytest.fixture(scope="module")
def names(stack: Stack) -> dict[str, str]:
    return names_of(ConfluentRegistry(stack.settings.registry).register)


@pytest.fixture(scope="module")
def consumer(stack: Stack) -> Iterator[Consumer]:
    fast = {"fetch.wait.max.ms": 20, "fetch.queue.backoff.ms": 10}
    made = Consumer({"bootstrap.servers": stack.settings.kafka, "group.id": "test", "enable.auto.commit": False, **fast})
    yield made
    made.close()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case(client: httpx.Client, cluster: str, names: dict[str, str], consumer: Consumer, case: Case) -> None:
    def read(topic: str, results: Sequence[Mapping[str, Any]]) -> list[Seen]:
        return [_read(consumer, topic, one["partition_id"], one["offset"]) for one in results]

    case.check(case.send(client, cluster, names), read, names)


def _read(consumer: Consumer, topic: str, partition: int, offset: int) -> Seen:
    consumer.assign([TopicPartition(topic, partition, offset)])
    message = consumer.poll(20)
    assert message is not None
    assert (message.error(), message.offset()) == (None, offset)
    return Seen(message.key(), message.value(), message.headers() or [], message.partition(), message.timestamp()[1])


def test_the_examples_of_the_documentation_run(client: httpx.Client, cluster: str) -> None:
    """Sends what the curl commands of docs/kafka-rest-v3-records.md send."""
    text = DOCUMENT.read_text("utf-8")
    assert f"CLUSTER={cluster} " in text
    answers = [
        client.post(path.replace("$CLUSTER", cluster), content=body, headers={"Content-Type": "application/json"})
        for path, body in EXAMPLE.findall(text)
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 207]
    for answer in (answers[0], answers[1], answers[3]):
        for line in answer.text.splitlines():
            assert line in text
    assert [json.loads(line)["error_code"] for line in answers[2].text.splitlines()] == [200, 200, 400]


def test_the_stream_of_the_documentation_shows_results_while_it_runs(stack: Stack, cluster: str) -> None:
    (script,) = re.findall(r"^```sh\n(for n in .*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    variables = {
        "URL": stack.settings.ingress,
        "KEY": api_key(stack.settings),
        "CLUSTER": cluster,
        "PATH": os.environ["PATH"],
    }
    with subprocess.Popen(["sh", "-c", script], env=variables, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        came = [(json.loads(line)["error_code"], time.monotonic()) for line in shell.stdout]
    assert shell.returncode == 0
    assert [code for code, _ in came] == [200] * 3
    assert came[2][1] - came[0][1] > 1.5  # they are sent a second apart


class Stream:
    """A stream of numbered records over a socket; another thread reads the results."""

    def __init__(self, stack: Stack, cluster: str, topic: str) -> None:
        host, _, port = stack.settings.ingress.rpartition("/")[2].partition(":")
        self.connection = socket.create_connection((host, int(port)), 60)
        head = f"POST /v3/clusters/{cluster}/topics/{topic}/records HTTP/1.1\r\nhost: test\r\n"
        head += (
            f"content-type: application/json\r\nx-api-key: {api_key(stack.settings)}\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        self.connection.sendall(head.encode())
        self.results: list[tuple[int, int, int]] = []  # error_code, partition, offset
        self.messages: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def send(self, first: int, many: int) -> None:
        content = b"".join(b'{"value":{"type":"JSON","data":%d}}' % number for number in range(first, first + many))
        self.connection.sendall(b"%x\r\n%s\r\n" % (len(content), content))

    def finish(self) -> None:
        self.connection.sendall(b"0\r\n\r\n")
        self._reader.join(60)
        assert not self._reader.is_alive()
        self.connection.close()

    def _read(self) -> None:
        with self.connection.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"{"):
                    told = json.loads(line)
                    self.results.append((told["error_code"], told.get("partition_id", -1), told.get("offset", -1)))
                    self.messages.append(told.get("message", ""))
                elif line == b"0\r\n":
                    return


def values(consumer: Consumer, topic: str) -> dict[tuple[int, int], int]:
    """Everything on a topic by partition and offset."""
    found: dict[tuple[int, int], int] = {}
    sources = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
    ends = {one.partition: consumer.get_watermark_offsets(one, 20)[1] for one in sources}
    consumer.assign(sources)
    while len(found) < sum(ends.values()):
        for message in consumer.consume(1000, 10):
            assert message.error() is None
            found[message.partition(), message.offset()] = int(message.value())
    return found


def resident(pid: int) -> int:
    """Resident memory in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def test_a_long_stream_takes_no_more_memory(stack: Stack, cluster: str) -> None:
    stream, pid = Stream(stack, cluster, "long"), stack.pid("ingress")
    for round_number in range(10):
        stream.send(round_number * 1000, 1000)
    while len(stream.results) < 10_000:
        time.sleep(0.01)
    before = resident(pid)
    for round_number in range(100):
        stream.send(round_number * 1000, 1000)
    stream.finish()
    assert [code for code, _, _ in stream.results] == [200] * 110_000
    assert resident(pid) - before < 8_000_000


def until_written(stack: Stack, stream: Stream, sent: Iterator[int]) -> int:
    """Send until records are written again, and end the stream; returns how many were sent."""
    until = time.monotonic() + 60
    try:
        while stream.results[-1][0] != 200:
            assert time.monotonic() < until, stream.messages[-1]
            stream.send(next(sent) * 500, 500)
            time.sleep(0.2)
        stream.finish()
    except ConnectionError:  # its client has never come back to the broker: an ingress that sees that begins anew
        assert "does not get back to a broker that is there" in stack.log("ingress").read_text()
        stack.wait_healthy("ingress", 60)
        return next(sent) * 500
    total = next(sent) * 500
    assert len(stream.results) == total
    assert stack.restarts("ingress") == 0
    return total


def test_a_broker_that_stops_in_the_middle_loses_nothing_silently(stack: Stack, cluster: str, consumer: Consumer) -> None:
    stream = Stream(stack, cluster, "numbers")
    sent, stopped = count(), time.monotonic()
    stream.send(next(sent) * 500, 500)
    while len(stream.results) < 500:
        time.sleep(0.01)
    stack.kill("broker", signal.SIGSTOP)
    try:
        stopped = time.monotonic()
        while time.monotonic() - stopped < DEADLINE + 1.5:
            stream.send(next(sent) * 500, 500)
            time.sleep(0.2)
    finally:
        stack.kill("broker", signal.SIGCONT)
    stack.wait_healthy("broker", 60)
    total = until_written(stack, stream, sent)
    refused = {number for number, (code, _, _) in enumerate(stream.results) if code != 200}
    assert refused
    assert {stream.results[number][0] for number in refused} <= {50003, 42901}
    log = values(consumer, "numbers")
    for number, (code, partition, offset) in enumerate(stream.results):
        if code == 200:
            assert log[partition, offset] == number
    # Each record is there once at most; those not told as written only if they were told that they may be.
    assert len(set(log.values())) == len(log)
    unsure = {number for number in refused if "may yet be written" in stream.messages[number]}
    assert set(log.values()) - set(range(total)) == set()
    assert set(log.values()) & refused <= unsure
