"""The process that folds the log: pages go on where the last one ended, and whatever goes wrong is told as what it is."""

import io
import time
from typing import Any

import msgspec
import pytest

from connectors.as_of import SIZE_BYTES, Question, Reply, framed
from connectors.ports import Away
from infra.as_of_server import MOST_KEPT, Answerer, serve
from projections.as_of import Moment
from streams.as_of import AsOf, BeforeTheLog
from streams.as_of_rows import RowsAsOf
from streams.snapshotting import LogTooShort
from tests.streams.test_as_of import parts, telemetry, write

KEYS = [f"dev-{number}" for number in range(7)]


class Opened:
    """A log in memory in place of the settings' one; counts how often the fleet was folded."""

    def __init__(self) -> None:
        self.parts, self.folded = parts(), 0
        write(self.parts, [telemetry(key, 5) for key in KEYS], set())
        self.error: Exception | None = None

    def documents(self, view: Any) -> AsOf:
        self.folded += 1
        if self.error:
            raise self.error
        return AsOf(self.parts)

    def rows(self, view: Any) -> RowsAsOf:
        raise AssertionError("rows are not asked for")


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
def answerer(opened: Opened) -> Answerer:
    return Answerer(opened)  # type: ignore[arg-type]


def ask(answerer: Answerer, begin: str = "", at: int = 9, **given: Any) -> Reply:
    return answerer.answer(Question("device_state", *Moment(at, 9), begin=begin, limit=2, **given))


def keys(reply: Reply) -> list[str]:
    return [one["key"] for one in msgspec.json.decode(reply.body)]


def test_pages_of_one_answer_are_folded_once(answerer: Answerer, opened: Opened) -> None:
    found, begin = [], ""
    while True:
        reply = ask(answerer, begin)
        found += keys(reply)
        if not (begin := reply.following):
            break
    assert (found, opened.folded) == (KEYS, 1)


def test_a_page_that_nobody_goes_on_from_is_folded_anew(answerer: Answerer, opened: Opened) -> None:
    assert keys(ask(answerer, "dev-3")) == ["dev-4", "dev-5"]
    assert keys(ask(answerer, "dev-3")) == ["dev-4", "dev-5"]
    for at in range(5, 5 + MOST_KEPT):
        ask(answerer, at=at)
    assert keys(ask(answerer, "dev-5")) == ["dev-6"], "others took its place meanwhile"
    assert opened.folded == 2 + MOST_KEPT + 1


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (Away("Redis"), "away"),
        (BeforeTheLog("begins later"), "before"),
        (LogTooShort("begins at offset 3"), "gone"),
        (ZeroDivisionError("a bug"), "failed"),
    ],
)
def test_what_goes_wrong_is_told(answerer: Answerer, opened: Opened, error: Exception, fault: str) -> None:
    opened.error = error
    assert ask(answerer).fault == fault
    opened.error = None
    assert keys(ask(answerer)) == KEYS[:2]


def test_one_document_and_one_of_which_nothing_is_known(answerer: Answerer) -> None:
    reply = ask(answerer, key="dev-2")
    document = msgspec.json.decode(reply.body)
    assert (reply.kind, document["key"], document["fields"]["count.telemetry"]) == ("document", "dev-2", 1)
    assert ask(answerer, key="nobody").fault == "nothing"


def test_questions_are_answered_in_turn_unless_nobody_waits_any_more(answerer: Answerer) -> None:
    soon = time.monotonic() + 60
    asked = [Question("device_state", 9, 9, key=key, number=number, until=soon) for number, key in enumerate(KEYS)]
    asked[1].until = 0.0
    out = io.BytesIO()
    serve(answerer, io.BytesIO(b"".join(map(framed, asked))), out)
    out.seek(0)
    numbers = []
    while size := out.read(SIZE_BYTES):
        numbers.append(msgspec.msgpack.decode(out.read(int.from_bytes(size, "big")), type=Reply).number)
    assert numbers == [0, 2, 3, 4, 5, 6]
