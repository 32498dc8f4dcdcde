"""What a contestant says when it is done. Each contestant is a process of its own (python -m MODULE SERVERS RECORDS
DIRECTORY) that reads the topic from its beginning; it uses DIRECTORY for what it must store, prints one line of JSON and
ends at once: how long it takes to stop is not measured.
"""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from uuid import uuid4

SECONDS = 120  # the longest life of a contestant


@dataclass(frozen=True, slots=True)
class Task:
    """What a contestant is given."""

    servers: str
    records: int
    directory: str

    @classmethod
    def of_command_line(cls) -> "Task":
        parser = argparse.ArgumentParser(description="One contestant of the carrier bench.")
        parser.add_argument("servers", help="the broker's address")
        parser.add_argument("records", type=int, help="how many records to read")
        parser.add_argument("directory", help="where it may store what it must")
        signal.alarm(SECONDS)  # a contestant whose broker or parent is gone must not stay behind
        return cls(**vars(parser.parse_args()))


def fresh_group(name: str) -> str:
    """A consumer group that nobody was in before: a group of an earlier run has positions, and maybe a member whose
    death the broker has not noticed yet."""
    return f"{name}-{uuid4().hex}"


class Stopwatch:
    """Times from the first record to the last."""

    def __init__(self) -> None:
        self._started = 0.0
        self._before = 0

    def start(self, before: int) -> None:
        """The first records are here, `before` of them: as they came in no time, they will not be counted."""
        self._before = before
        self._started = time.perf_counter()

    def finish(self, records: int, **found: int) -> None:
        """The last record was dealt with, `records` in all: print the result and end the process. `found` says what came
        out of it, as a check."""
        seconds = time.perf_counter() - self._started
        print(json.dumps({"records": records - self._before, "seconds": seconds, "seen": records, **found}))
        sys.stdout.flush()
        os._exit(0)
