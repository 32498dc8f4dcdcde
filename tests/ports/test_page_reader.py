"""The contract of PageReader, on the in-memory version and on Kafka."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from connectors.kafka_pages import MOST_AT_ONCE, KafkaPages
from connectors.pages import EARLIEST, LATEST, LogRecord, NotThere, OutOfRange, Page
from connectors.ports import Away, Busy
from infra.stack.harness import Stack, running_stack
from schemas.log import TopicPartition
from tests.ports.paged_logs import START, Log, end_of, kafka_log, memory_log, run


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("pages"), only=("broker",)) as stack:
        yield stack


@pytest.fixture(params=["memory", "kafka"])
def log(request: pytest.FixtureRequest, broker: Stack) -> Iterator[Log]:
    made = memory_log() if request.param == "memory" else kafka_log(broker)
    yield made
    if isinstance(made.reader, KafkaPages):
        made.reader.close()


def offsets(page: Page) -> list[int]:
    return [record.offset for record in page.records]


def test_an_empty_partition(log: Log) -> None:
    assert run(log.reader.bounds([log.source])) == {log.source: (0, 0)}
    for start in (0, EARLIEST, LATEST):
        assert run(log.page(start)) == Page(0, run(log.page(0)).records, 0, False, 0, 0)
        assert offsets(run(log.page(start))) == []
    with pytest.raises(OutOfRange):
        run(log.page(1))


def test_what_is_not_there(log: Log) -> None:
    unknown = (TopicPartition(log.topic, 2), TopicPartition("none", 0))
    assert run(log.reader.bounds(unknown)) == {} == run(log.reader.bounds([]))
    for source in unknown:
        with pytest.raises(NotThere):
            run(log.reader.page(source, 0, 1, 1))
        with pytest.raises(NotThere):
            run(log.reader.find(source, START))


def test_records_are_whole(log: Log) -> None:
    headers = [("a", b"1"), ("a", b""), ("b", None)]
    for key, value in ((b"k", b"v"), (None, None), (b"", b"")):
        log.write(key, value, START, headers)
    found = run(log.page(0)).records
    assert [tuple(one)[:5] for one in found] == [
        (0, START, False, b"k", b"v"),
        (1, START, False, None, None),
        (2, START, False, b"", b""),
    ]
    assert [list(one.headers) for one in found] == [headers] * 3
    assert found[0].size == 1 + 1 + 4 + 64


def test_pages_begin_and_end_where_they_are_told_to(log: Log) -> None:
    log.fill(0, 20)
    for start, most, found in ((0, 5, range(5)), (5, 5, range(5, 10)), (19, 1, range(19, 20)), (0, 20, range(20))):
        page = run(log.page(start, most))
        assert offsets(page) == list(found)
        assert (page.start, page.following, page.full) == (start, found[-1] + 1, True)
        assert (page.first, page.end) == (0, 20)
    for start, most in ((18, 5), (0, 21), (20, 5), (LATEST, 5), (EARLIEST, 100)):
        page = run(log.page(start, most))
        assert (offsets(page), page.following, page.full) == (list(range(page.start, 20)), 20, False)


def test_pages_are_bounded_by_size_whatever_is_read_at_once(log: Log) -> None:
    log.fill(0, 30, size=1000)
    size = 2 * run(log.page(20, 1)).records[0].size
    page = run(log.page(10, 10_000, size))
    assert (offsets(page), page.full) == ([10, 11], True)
    assert run(log.page(9, 10_000, 3)).following == 10
    assert len(run(log.page(0, 10_000, 12_000)).records) == 11
    assert [run(log.page(0, 10_000, 12_000)) for _ in range(3)] == [run(log.page(0, 10_000, 12_000))] * 3


def test_a_record_larger_than_a_page_is_a_page(log: Log) -> None:
    log.fill(0, 2)
    log.write(None, b"x" * 12_000_000, START, ())
    log.fill(3, 5)
    page = run(log.page(0, 100, 4_000_000))
    assert (offsets(page), page.full) == ([0, 1], True)
    page = run(log.page(2, 100, 4_000_000))
    assert (offsets(page), page.full, page.following) == ([2], True, 3)
    assert page.records[0].value == b"x" * 12_000_000
    assert offsets(run(log.page(3, 100, 4_000_000))) == [3, 4]


def test_holes_are_stepped_over(log: Log) -> None:
    log.fill(0, 3)
    log.hole()
    log.fill(5, 8)
    log.hole()
    assert offsets(run(log.page(0))) == [0, 1, 2, 5, 6, 7]
    page = run(log.page(0, 4))
    assert (offsets(page), page.following, page.full) == ([0, 1, 2, 5], 6, True)
    for start in (3, 4, 5):
        assert offsets(run(log.page(start, 2))) == [5, 6]
    page = run(log.page(8))
    assert (offsets(page), page.following, page.full, page.end) == ([], 10, False, 10)


def test_what_is_no_longer_kept(log: Log) -> None:
    log.fill(0, 10)
    log.truncate(4)
    assert run(log.reader.bounds([log.source])) == {log.source: (4, 10)}
    assert offsets(run(log.page(EARLIEST, 2))) == [4, 5]
    for start in (0, 3, 11, 10**12):
        with pytest.raises(OutOfRange) as told:
            run(log.page(start))
        assert (told.value.first, told.value.end) == (4, 10)


def test_moments(log: Log) -> None:
    log.fill(0, 10)
    for moment, found in ((0, 0), (START, 0), (START + 4, 4), (START + 9, 9), (START + 10, LATEST)):
        assert run(log.reader.find(log.source, moment)) == found


def test_many_readers_at_once_see_what_one_sees(log: Log) -> None:
    log.fill(0, 60)

    async def all_at_once() -> list[Page]:
        return await asyncio.gather(*(log.page(number, 7) for number in range(50)))

    assert [offsets(page) for page in run(all_at_once())] == [list(range(n, n + 7)) for n in range(50)]


def test_a_transaction_is_shown_when_it_is_committed(broker: Stack) -> None:
    log = kafka_log(broker)
    producer = Producer({"bootstrap.servers": broker.settings.kafka, "transactional.id": uuid4().hex})
    producer.init_transactions(10)
    producer.begin_transaction()
    producer.produce(log.topic, b"in doubt", partition=0)
    assert producer.flush(10) == 0
    log.write(None, b"after", START, ())
    assert run(log.page(0)) == Page(0, (), 0, False, 0, 0)
    producer.commit_transaction(10)
    until = time.monotonic() + 10
    while end_of(log.reader, log.source) < 3:
        assert time.monotonic() < until
    assert [record.value for record in run(log.page(0)).records] == [b"in doubt", b"after"]
    assert isinstance(log.reader, KafkaPages)
    log.reader.close()


def test_walking_while_others_write_gives_every_record_once(broker: Stack) -> None:
    log = kafka_log(broker)
    total, sizes = 3000, [1, 7, 100, 999, 13, 250]
    producer = Producer({"bootstrap.servers": broker.settings.kafka, "linger.ms": 1})

    def write() -> None:
        for number in range(total):
            producer.produce(log.topic, b"%d" % number * (number % 50), b"%d" % number, partition=0)
            if number % 300 == 0:
                assert producer.flush(10) == 0
                log.hole()
        assert producer.flush(10) == 0

    async def walk() -> list[LogRecord]:
        found: list[LogRecord] = []
        following, step, until = 0, 0, time.monotonic() + 30
        while len(found) < total:
            assert time.monotonic() < until
            page = await log.page(following, sizes[step % len(sizes)], 20_000)
            assert page.start == following <= page.following
            found += page.records
            following, step = page.following, step + 1
        return found

    writing = threading.Thread(target=write)
    writing.start()
    walks = [run(walk()), run(walk())]
    writing.join()
    for found in walks:
        assert [record.key for record in found] == [b"%d" % number for number in range(total)]
        assert all(record.value != b"aborted" for record in found)
    assert walks[0] == walks[1]
    assert isinstance(log.reader, KafkaPages)
    log.reader.close()


async def again(log: Log) -> Page | None:
    try:
        return await log.page(0)
    except Away:  # also while a broker that its controller has fenced answers that it knows no topic
        return None


def test_a_broker_that_was_killed_is_read_again(broker: Stack) -> None:
    log = kafka_log(broker)
    log.fill(0, 10)
    assert offsets(run(log.page(0, 3))) == [0, 1, 2]
    broker.kill("broker")
    broker.wait_healthy("broker")
    until = time.monotonic() + 20
    while (page := run(again(log))) is None:
        assert time.monotonic() < until
    assert offsets(page) == list(range(10))
    assert isinstance(log.reader, KafkaPages)
    log.reader.close()


def test_a_stopped_broker_is_away_in_bounded_time_and_then_read_again(broker: Stack) -> None:
    log = kafka_log(broker)
    log.fill(0, 10)
    assert offsets(run(log.page(0))) == list(range(10))

    async def refused() -> list[object]:
        asked = [log.page(0) for _ in range(MOST_AT_ONCE + 5)]
        return await asyncio.gather(*asked, return_exceptions=True)

    os.kill(broker.pid("broker"), signal.SIGSTOP)
    started = time.monotonic()
    try:
        found = run(refused())
    finally:
        os.kill(broker.pid("broker"), signal.SIGCONT)
    assert {type(one) for one in found} == {Away, Busy}
    assert sum(isinstance(one, Busy) for one in found) == 5
    assert time.monotonic() - started < 10
    broker.wait_healthy("broker")
    until = time.monotonic() + 20
    while (page := run(again(log))) is None:
        assert time.monotonic() < until
    assert offsets(page) == list(range(10))
    assert isinstance(log.reader, KafkaPages)
    log.reader.close()
