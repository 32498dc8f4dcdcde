"""The log file of each process: one JSON object a line, whatever the process itself writes.

Lines of our own processes are JSON already and go through unchanged; lines of the Java processes and of Redis are taken
apart; anything else becomes the message of an INFO line.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from infra.logging import FIELDS, entry

MAX_LINE = 1_000_000  # bytes; a longer line is cut into several
_JAVA = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([A-Z]+) (\S+) - (.*)", re.DOTALL)
_REDIS = re.compile(r"\d+:[A-Z] (\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}) ([.\-*#]) (.*)", re.DOTALL)
_REDIS_LEVELS = {".": "DEBUG", "-": "DEBUG", "*": "INFO", "#": "WARNING"}
_LEVELS = {"WARN": "WARNING", "FATAL": "CRITICAL", "SEVERE": "ERROR", "TRACE": "DEBUG"}


def as_json(component: str, line: str) -> str:
    """One line of a process's output as a JSON line with the fields of infra.logging."""
    if line.startswith("{"):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict) and value.keys() >= set(FIELDS):
            return line
    return json.dumps(_parsed(component, line))


def _parsed(component: str, line: str) -> dict[str, object]:
    java = _JAVA.fullmatch(line)
    if java:
        at = datetime.fromisoformat(java[1].replace("Z", "+00:00"))
        made = entry(component, _LEVELS.get(java[2], java[2]), java[4], at)
        made["context"] = {"logger": java[3]}
        return made
    redis = _REDIS.fullmatch(line)
    if redis:
        at = datetime.strptime(redis[1], "%d %b %Y %H:%M:%S.%f").astimezone(UTC)  # Redis writes local time
        return entry(component, _REDIS_LEVELS[redis[2]], redis[3], at)
    return entry(component, "INFO", line)


class LogFile:
    """A JSON log file that is put aside at `max_bytes` (NAME.log.1 is the newest of `kept` old ones)."""

    def __init__(self, path: Path, max_bytes: int = 10_000_000, kept: int = 3) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.max_bytes, self.kept = path, max_bytes, kept
        self._component = path.stem
        self._file = path.open("ab")
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take output of the process as it comes; whole lines are written.

        Raises:
            OSError: the disk is full or the directory is gone.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = b""
        if lines:
            self._write(lines)

    def say(self, message: str, level: str = "INFO") -> None:
        """A line of the supervisor's own about the process."""
        self._write([json.dumps(entry(self._component, level, message)).encode()])

    def close(self) -> None:
        if self._rest:
            self._write([self._rest])
            self._rest = b""
        self._file.close()

    def _write(self, lines: list[bytes]) -> None:
        for line in lines:
            text = line.decode(errors="replace").rstrip("\r")
            if text.strip():
                self._file.write(as_json(self._component, text).encode() + b"\n")
        self._file.flush()
        if self._file.tell() >= self.max_bytes:
            self._rotate()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self.kept, 0, -1):
            old = self.path if number == 1 else self.path.with_name(f"{self.path.name}.{number - 1}")
            if old.exists():
                old.replace(self.path.with_name(f"{self.path.name}.{number}"))
        self._file = self.path.open("ab")


def tail(path: Path, lines: int) -> list[str]:
    """The last `lines` lines of a log file."""
    if not path.exists() or lines < 1:
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 1_024 * lines - MAX_LINE))
        return file.read().decode(errors="replace").splitlines()[-lines:]


def follow(path: Path, position: int, pause: Callable[[], None]) -> Iterator[str]:
    """Lines written after byte `position`, for ever, also in the files that take this one's place; `pause` between looks."""
    rest = b""
    file = path.open("rb")
    file.seek(position)
    while True:
        *lines, rest = (rest + file.read()).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)
        pause()
        if path.exists() and path.stat().st_ino != os.fstat(file.fileno()).st_ino:
            yield from file.read().decode(errors="replace").splitlines()
            file.close()
            file, rest = path.open("rb"), b""


def readable(line: str) -> str:
    """A log line for people: time, level, message, and an exception's text."""
    try:
        value = json.loads(line)
        text = f"{value['timestamp']} {value['level']:<8} {value['message']}"
        exception = value["context"].get("exception")
    except (ValueError, KeyError, TypeError, AttributeError):  # not one of ours, or half a line
        return line
    return f"{text}\n{exception}" if exception else text
