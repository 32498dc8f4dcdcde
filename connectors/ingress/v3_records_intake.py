"""Reads the records of one request as they come, and hands each over as soon as it is there."""

import asyncio
import time
from collections.abc import Iterator

from connectors.http.body import gzipped
from connectors.http.exchange import STOPPING, Gone
from connectors.http.request import Fault, Request
from connectors.ingress.rest_writer import AWAY, BUSY, NotWritten, Pending, Record
from connectors.ingress.v3_records_inflate import Inflating
from connectors.ingress.v3_records_outcomes import Outcomes
from connectors.ingress.v3_records_splitter import Splitter
from connectors.ingress.v3_records_target import Target, Tools
from connectors.ingress.v3_records_whole import TURN, broken, no_record, too_large

STEPS = 16  # pieces of inflated body after which they do
RETRY_SECONDS = 0.01  # until a record is offered again to a producer that took no more


class Intake:
    """The reading side of one request.

    Attributes:
        whole: all of the request has come.
    """

    def __init__(self, request: Request, target: Target, outcomes: Outcomes, tools: Tools) -> None:
        """Raises Fault 415: the body is encoded otherwise than with gzip."""
        self._request, self._target, self._outcomes = request, target, outcomes
        self._bodies, self._writer, self._options = tools.bodies, tools.writer, tools.options
        options = tools.options
        self._inflating = Inflating(options.max_gzip_ratio) if gzipped(request) else None
        self._splitter = Splitter(options.max_body_bytes)
        self._taken = 0
        self._refused_since: float | None = None
        self.whole = False

    async def run(self) -> None:
        """Read to the end of the body, or to where it can't be understood. All that is found is added to the outcomes."""
        try:
            await self._read()
        except Gone as gone:
            status = 503 if str(gone) == STOPPING else 400
            self._outcomes.add_fault(broken(self._splitter, status, f"nothing from there on was written: {gone}"))
        except Fault as fault:
            self._outcomes.add_fault(fault)
        finally:
            self._outcomes.end()

    async def _read(self) -> None:
        more = True
        while more:
            part, more = await self._request.part()
            self.whole = not more
            for step, piece in enumerate(self._pieces(part), 1):
                await self._take(piece)
                if self._splitter.refused:
                    raise broken(self._splitter, 400, f"{self._splitter.refused}; nothing after it was read")
                if step % STEPS == 0:
                    await asyncio.sleep(0)
        if self._inflating is not None and not self._inflating.whole:
            raise Fault(400, "BAD_GZIP", "the gzip stream is cut off, or the body is empty")
        if self._splitter.within:
            raise broken(self._splitter, 400, "the body ends within it")
        if not self._taken:
            raise no_record()

    def _pieces(self, part: bytes) -> Iterator[bytes]:
        return iter((part,)) if self._inflating is None else self._inflating.feed(part)

    async def _take(self, piece: bytes) -> None:
        self._target.check_open()
        await self._hold(len(piece) + self._splitter.held)
        found = self._splitter.feed(piece)
        alone = self.whole and not self._taken and len(found) == 1
        for text in found:
            self._taken += 1
            if self._taken % TURN == 0:
                await asyncio.sleep(0)
            if self._outcomes.full:
                await self._outcomes.room()
            await self._one(text, alone)
        await self._hold(self._splitter.held)

    async def _one(self, text: bytes | None, alone: bool) -> None:
        if text is None:
            self._outcomes.add_fault(too_large(self._options.max_body_bytes))
            return
        try:
            ready = await self._target.ready(text)
        except Fault as fault:
            self._outcomes.add_fault(fault)
            return
        pending = self._sent(ready.record)
        while not alone and pending.outcome is not None and self._worth_a_wait(pending.outcome):
            await asyncio.sleep(RETRY_SECONDS)
            pending = self._sent(ready.record)
        self._outcomes.add(pending, ready.key, ready.value, len(text))

    def _sent(self, record: Record) -> Pending:
        pending = self._writer.send(record, self._target.partitions, self._outcomes)
        if pending.outcome is None:
            self._refused_since = None
        return pending

    def _worth_a_wait(self, outcome: object) -> bool:
        """Whether a record that was not taken may be soon. A stream waits for the producer, but no longer than a record may
        take; after that each record is told at once, until one is taken."""
        if not isinstance(outcome, NotWritten) or outcome.code not in (BUSY, AWAY):
            return False
        return self._waited() < self._options.request_deadline

    def _waited(self) -> float:
        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        return now - self._refused_since

    async def _hold(self, size: int) -> None:
        """Count what the request holds; wait while all requests together hold too much, as long as a record may take."""
        since = time.monotonic()
        while True:
            try:
                self._bodies.hold(self._request, size - self._request.buffered)
            except Fault:
                if time.monotonic() - since > self._options.request_deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return
