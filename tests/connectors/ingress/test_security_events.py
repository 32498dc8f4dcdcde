"""Security events: told once a minute for each kind and subject, and never in the way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connectors.ingress.identifiers import EventIds
from connectors.ingress.security_events import MOST_SUBJECTS, QUIET_SECONDS, TOPIC, SecurityEvents, Sighting
from connectors.memory import MemoryLog
from schemas.codec import Decoder
from schemas.wire import PREFIX_BYTES
from tests.connectors.ingress.fakes import FakeProducer
from tests.connectors.ingress.served import CONTRACT, PARTITIONS

SEEN = Sighting("bad_signature", "dev-1", "a signature", "dev-1", "192.0.2.1")
RECORD = CONTRACT.topics[TOPIC].record


class Told:
    """Security events on a producer and a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.producer = FakeProducer(MemoryLog(dict.fromkeys(CONTRACT.topics, PARTITIONS)), CONTRACT.topics, PARTITIONS)
        self.events = SecurityEvents(CONTRACT.topics[TOPIC], self.producer, EventIds(), lambda: self.now)
        self.events.open(7)

    def written(self) -> list[dict[str, Any]]:
        decoder = Decoder(RECORD.schema, RECORD.schema)
        return [decoder.decode((sent.value or b"")[PREFIX_BYTES:]) for sent in self.producer.sent]


def run(use: Callable[[Told], None]) -> Told:
    async def main() -> Told:
        told = Told()
        use(told)
        await asyncio.sleep(0)
        return told

    return asyncio.run(main())


def test_an_event_is_keyed_by_its_subject_and_says_what_was_seen() -> None:
    told = run(lambda told: told.events.tell(SEEN))
    (event,) = told.written()
    assert told.producer.sent[0].key == b"dev-1"
    assert event["kind"] == "bad_signature"
    assert (event["subject"], event["device_id"], event["address"]) == ("dev-1", "dev-1", "192.0.2.1")
    assert event["occurred_at"] == event["received_at"]


def test_the_same_again_is_counted_and_told_after_a_minute() -> None:
    def use(told: Told) -> None:
        for _ in range(1000):
            told.events.tell(SEEN)
        told.events.tell(replace(SEEN, kind="replayed_request"))
        told.events.tell(replace(SEEN, subject="dev-2"))
        assert len(told.written()) == 3
        told.now += QUIET_SECONDS
        told.events.settle(told.now)
        assert len(told.written()) == 4
        assert told.written()[3]["detail"] == "a signature (seen 999 times more within 60 s)"
        told.events.tell(SEEN)
        assert len(told.written()) == 4
        told.now += QUIET_SECONDS
        told.events.settle(told.now)
        assert told.written()[4]["detail"].endswith("(seen 1 times more within 60 s)")
        told.now += QUIET_SECONDS
        told.events.settle(told.now)
        told.events.tell(SEEN)
        assert len(told.written()) == 6

    assert run(use).events.seen == {"bad_signature": 1003, "replayed_request": 1}


def test_at_the_end_the_counts_are_told() -> None:
    def use(told: Told) -> None:
        for _ in range(3):
            told.events.tell(SEEN)
        told.events.flush()

    assert [event["detail"] for event in run(use).written()] == [
        "a signature",
        "a signature (seen 2 times more within 60 s)",
    ]


def test_many_subjects_do_not_flood_the_log_nor_the_memory() -> None:
    def use(told: Told) -> None:
        for number in range(MOST_SUBJECTS + 500):
            told.events.tell(replace(SEEN, subject=f"dev-{number}", device_id=f"dev-{number}"))

    told = run(use)
    assert len(told.producer.sent) == MOST_SUBJECTS + 1
    assert (told.written()[-1]["subject"], told.written()[-1]["device_id"]) == ("others", None)


@pytest.mark.parametrize("trouble", ["away", "full", "large", "not open"])
def test_what_can_not_be_written_is_counted(trouble: str) -> None:
    def use(told: Told) -> None:
        if trouble == "away":
            told.producer.away = "broken"
        elif trouble == "full":
            told.producer.most_queued = 0
        elif trouble == "large":
            told.producer.too_large = 10
        else:
            told.events._prefix = b""
        told.events.tell(SEEN)

    told = run(use)
    assert told.events.lost == 1
    assert told.producer.sent == []


def test_long_texts_are_cut() -> None:
    def use(told: Told) -> None:
        long = Sighting("bad_token", "s" * 500, "d" * 5000, None, "a" * 500)
        told.events.tell(long)
        told.events.tell(long)
        told.events.flush()

    first, again = run(use).written()
    for event in (first, again):
        assert len(event["subject"]) <= 160
        assert len(event["detail"]) <= 1000
        assert len(event["address"]) <= 64
    assert again["detail"].endswith("within 60 s)")
