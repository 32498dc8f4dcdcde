"""Log files: every shape of line becomes the same eight fields; files are put aside by size and can be followed."""

import json
import logging
from datetime import UTC, datetime
from io import StringIO
from itertools import islice
from pathlib import Path

import pytest

from infra.logging import FIELDS, JsonFormatter
from infra.stack.logs import MAX_LINE, LogFile, as_json, follow, readable, tail


@pytest.mark.parametrize(
    ("line", "level", "message"),
    [
        ("2026-11-21T12:00:00.123Z WARN kafka.Server - two words", "WARNING", "two words"),
        ("2026-11-21T12:00:00.123Z FATAL k - x", "CRITICAL", "x"),
        ("123:M 21 Nov 2026 12:00:00.123 * Ready to accept connections", "INFO", "Ready to accept connections"),
        ("123:C 21 Nov 2026 12:00:00.123 # oO0Oo", "WARNING", "oO0Oo"),
        ("\tat kafka.Kafka.main(Kafka.scala)", "INFO", "\tat kafka.Kafka.main(Kafka.scala)"),
        ('{"half": "an object', "INFO", '{"half": "an object'),
        ('{"another": "shape"}', "INFO", '{"another": "shape"}'),
        ("{}", "INFO", "{}"),
    ],
)
def test_any_line_becomes_the_eight_fields(line: str, level: str, message: str) -> None:
    value = json.loads(as_json("broker", line))
    assert tuple(value) == FIELDS
    assert (value["service"], value["component"], value["level"], value["message"]) == ("fleetlog", "broker", level, message)


def test_java_keeps_its_time_and_logger() -> None:
    value = json.loads(as_json("broker", "2026-11-21T12:00:00.123Z INFO kafka.Server - up"))
    assert value["timestamp"] == "2026-11-21T12:00:00.123Z"
    assert value["context"] == {"logger": "kafka.Server"}


def test_redis_time_is_local_time() -> None:
    value = json.loads(as_json("redis", "1:M 21 Nov 2026 12:00:00.123 * up"))
    local = datetime(2026, 11, 21, 12, 0, 0, 123_000).astimezone()
    assert datetime.fromisoformat(value["timestamp"]) == local
    assert datetime.fromisoformat(value["timestamp"]).utcoffset() == UTC.utcoffset(None)


def test_a_line_of_our_own_goes_through_unchanged() -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("ingress"))
    logger = logging.Logger("connectors.ingress")
    logger.addHandler(handler)
    try:
        raise ValueError("bad ü")
    except ValueError:
        logger.exception("refused %s", "it", extra={"device_id": "d1", "correlation_id": "c1", "context": {"code": 7}})
    line = stream.getvalue().rstrip("\n")
    assert as_json("ingress", line) == line
    value = json.loads(line)
    assert tuple(value) == FIELDS
    assert (value["device_id"], value["correlation_id"], value["message"]) == ("d1", "c1", "refused it")
    assert (value["context"]["code"], value["context"]["logger"]) == (7, "connectors.ingress")
    assert "ValueError: bad ü" in value["context"]["exception"]
    assert "ValueError: bad ü" in readable(line)


def messages(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


def test_output_is_cut_at_line_ends_only(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "one.log")
    for part in (b"fir", b"st\nsec", b"ond\r\n\n", b"\xff bytes\n", b"no end"):
        log.feed(part)
    assert messages(log.path) == ["first", "second", "\ufffd bytes"]
    log.close()
    assert messages(log.path)[-1] == "no end"


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "one.log", max_bytes=10 * MAX_LINE)
    for _ in range(5):
        log.feed(b"x" * (MAX_LINE // 2))
    log.close()
    assert sum(len(message) for message in messages(log.path)) == 5 * (MAX_LINE // 2)
    assert len(messages(log.path)) > 1


def test_files_are_put_aside_by_size(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "one.log", max_bytes=1_000, kept=2)
    for number in range(100):
        log.feed(f"line {number:03}\n".encode())
    log.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["one.log", "one.log.1", "one.log.2"]
    kept = [message for name in reversed(names) for message in messages(tmp_path / name)]
    assert kept == [f"line {number:03}" for number in range(100)][-len(kept) :]
    assert all(path.stat().st_size < 1_300 for path in tmp_path.iterdir())


def test_tail_gives_the_last_lines(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "one.log")
    log.feed(b"".join(b"line %d\n" % number for number in range(50)))
    log.close()
    assert [json.loads(line)["message"] for line in tail(log.path, 2)] == ["line 48", "line 49"]
    assert len(tail(log.path, 1_000)) == 50
    assert tail(log.path, 0) == []
    assert tail(tmp_path / "none.log", 5) == []


def test_follow_goes_on_over_a_rotation(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "one.log", max_bytes=600, kept=3)
    log.feed(b"before\n")
    waiting = iter(range(10))

    def write_more() -> None:
        log.feed(b"line %d\n" % next(waiting))

    lines = follow(log.path, log.path.stat().st_size, write_more)
    found = [json.loads(line)["message"] for line in islice(lines, 9)]
    log.close()
    assert found == [f"line {number}" for number in range(9)]
    assert (tmp_path / "one.log.1").exists()
