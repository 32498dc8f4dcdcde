"""What becomes of the records of one request, told in their order: one side adds records, the other takes results."""

import asyncio
import time
from collections import deque
from typing import NamedTuple

from connectors.http.request import Fault
from connectors.ingress.delivery import Wait
from connectors.ingress.rest_writer import Pending, RestWriter, Written
from connectors.ingress.v3_records_answers import DataOut, RecordOut, Reporter
from connectors.ingress.v3_records_target import not_written

MOST_RECORDS, MOST_BYTES = 2_000, 4_194_304  # of one request, that are on their way or whose results were not taken
MOST_AT_ONCE = 500  # results that are told in one piece

Outcome = RecordOut | Fault


class _Sent(NamedTuple):
    """A record on its way, which counts as late from `deadline` on (time.monotonic)."""

    pending: Pending
    key: DataOut | None
    value: DataOut | None
    size: int
    deadline: float


class Outcomes(Wait):
    """A queue of records on their way. The producer's reports reach it as a Wait."""

    def __init__(self, writer: RestWriter, reporter: Reporter, seconds: float) -> None:
        """`seconds`: how long a record may take to be acknowledged."""
        super().__init__()
        self._writer, self._reporter, self._seconds = writer, reporter, seconds
        self._queue: deque[_Sent | Fault] = deque()
        self._bytes = 0
        self._whole = False
        self._taker: asyncio.Future[None] | None = None
        self._adder: asyncio.Future[None] | None = None

    @property
    def done(self) -> bool:
        """Whether every result was taken, and no more will be added."""
        return self._whole and not self._queue

    @property
    def full(self) -> bool:
        return len(self._queue) >= MOST_RECORDS or self._bytes >= MOST_BYTES

    # --- the adding side

    def expect(self) -> None:
        """A record was handed over; `add` follows."""

    def add(self, pending: Pending, key: DataOut | None, value: DataOut | None, size: int) -> None:
        self._queue.append(_Sent(pending, key, value, size, time.monotonic() + self._seconds))
        self._bytes += size
        if pending.outcome is not None:
            self.settle()

    def add_fault(self, fault: Fault) -> None:
        """A record that can't be written, or why no more follow."""
        self._queue.append(fault)
        self.settle()

    def end(self) -> None:
        """No more will be added."""
        self._whole = True
        self.settle()

    async def room(self) -> None:
        """Return when it is not full."""
        while self.full:
            self._adder = asyncio.get_running_loop().create_future()
            await self._adder

    # --- the taking side

    def settle(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)

    async def next(self) -> list[Outcome]:
        """The next results, some at least; none at the end."""
        while True:
            found = self._decided()
            if found or self.done:
                return found
            await self._changed()

    def _decided(self) -> list[Outcome]:
        found: list[Outcome] = []
        queue, told, report = self._queue, self._writer.told, self._reporter.record
        while queue and len(found) < MOST_AT_ONCE:
            sent = queue[0]
            if isinstance(sent, Fault):
                found.append(sent)
            elif sent.pending.outcome is None and time.monotonic() < sent.deadline:
                break
            else:
                outcome = told(sent.pending, self._seconds)
                self._bytes -= sent.size
                if isinstance(outcome, Written):
                    found.append(report(outcome, sent.key, sent.value))
                else:
                    found.append(not_written(outcome))
            queue.popleft()
        if found and self._adder is not None and not self._adder.done():
            self._adder.set_result(None)
        return found

    async def _changed(self) -> None:
        """Return when something was decided or added, or the first record in the queue is late."""
        loop = asyncio.get_running_loop()
        self._taker = loop.create_future()
        first = self._queue[0] if self._queue else None
        left = first.deadline - time.monotonic() if isinstance(first, _Sent) else self._seconds
        timer = loop.call_later(max(left, 0), self.settle)
        try:
            await self._taker
        finally:
            timer.cancel()
            self._taker = None
