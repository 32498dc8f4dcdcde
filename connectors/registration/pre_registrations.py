"""Administrators make devices known before they are first seen: one, or a file of many."""

import asyncio
import logging
from collections.abc import AsyncIterator

from connectors.http.exchange import Gone
from connectors.http.request import Answer, Fault, Request
from connectors.registration import reading
from connectors.registration.bodies import PreRegistration
from connectors.registration.commands import Stamp
from connectors.registration.desk import Desk, told
from connectors.registration.documents import BadRow, BulkAnswer, PreRegistered
from connectors.registration.faults import RETRY_AFTER, Refusal
from connectors.registration.rows import BAD_HEADER, BadLine, CsvRows, Row, Rows
from schemas.registration_commands import PreRegisterDevice
from schemas.registration_events import DevicePreRegistered

log = logging.getLogger(__name__)

CSV, LINES = b"text/csv", (b"application/x-ndjson", b"application/jsonl", b"application/ndjson")
MOST_AT_ONCE = 500  # rows of all requests together that wait for their answers
UNAVAILABLE = frozenset({429, 503, 504})


class PreRegistrations:
    """The handlers."""

    def __init__(self, desk: Desk, most_rows: int) -> None:
        self._desk, self._most_rows = desk, most_rows
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)

    async def post(self, request: Request) -> Answer:
        """`POST /v1/devices/pre-registrations`: one as JSON, many as CSV or as lines of JSON."""
        actor = self._desk.admin(request)
        kind = reading.media_type(request)
        if kind == CSV or kind in LINES:
            if request.content_encoding.lower() not in (b"", b"identity"):
                raise Fault(
                    415, "UNSUPPORTED_ENCODING", "rows are sent as they are", [("header Content-Encoding", "is set")]
                )
            bulk = Bulk(self._desk, self._desk.commands.stamp(request, actor, actor), self._slots, self._most_rows)
            return await bulk.answer(request, CsvRows() if kind == CSV else Rows(self._desk.reader))
        asked = await self._desk.reader.read(request, PreRegistration)
        stamp = self._desk.commands.stamp(request, actor, actor)
        try:
            event = await self._desk.commands.ask(command_of(asked, stamp), request)
        except Refusal as refusal:
            raise refusal.for_administrators() from None
        assert isinstance(event, DevicePreRegistered)
        return told(PreRegistered(event.hardware_id, event.key_algorithm, event.owner, event.model), 201)


def command_of(asked: PreRegistration, stamp: Stamp, name: str = "") -> PreRegisterDevice:
    """
    Raises:
        RegistrationFault: 422 the key is not one that the fleet takes.
    """
    return PreRegisterDevice(
        **stamp.of(name),
        hardware_id=asked.serial_number,
        public_key=reading.public_key(asked.public_key),
        owner=asked.owner,
        model=asked.model,
    )


class Bulk:
    """One request with many rows. Rows are read as they come and no faster than they are decided."""

    def __init__(self, desk: Desk, stamp: Stamp, slots: asyncio.Semaphore, most_rows: int) -> None:
        self._desk, self._stamp, self._slots, self._most_rows = desk, stamp, slots, most_rows
        self._under_way: set[asyncio.Task[None]] = set()
        self._made = BulkAnswer(accepted=0, refused=0, rows=0, complete=True, errors=[])
        self._halted: Fault | None = None

    async def answer(self, request: Request, rows: Rows | CsvRows) -> Answer:
        """Read to the end, or until rows can't be decided for now. What was taken stays, whether or not the client is there
        to be told."""
        request.streamed = True
        try:
            async for row in self._rows(request, rows):
                if self._halted is not None or self._made.rows >= self._most_rows:
                    break
                await self._begin(row, request)
            else:
                return await self._end()
        except Gone as gone:
            log.info("a client broke off after %d rows: %s", self._made.rows, gone)
        self._made.complete = False
        return await self._end()

    async def _rows(self, request: Request, rows: Rows | CsvRows) -> AsyncIterator[Row | BadLine]:
        more = True
        while more:
            part, more = await request.part()
            for row in rows.feed(part):
                yield row
        for row in rows.finish():
            yield row

    async def _begin(self, row: Row | BadLine, request: Request) -> None:
        self._made.rows += 1
        if isinstance(row, BadLine):
            if row.code == BAD_HEADER:
                raise Fault(422, row.code, row.message, [("line 1", row.message)])
            self._refuse(row.line, row.code, row.message)
            return
        try:
            command = command_of(row.asked, self._stamp, f"row-{row.line}")
        except Fault as fault:
            self._refuse(row.line, fault.code, fault.detail)
            return
        await self._slots.acquire()
        task = asyncio.create_task(self._decide(row.line, command, request))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _decide(self, line: int, command: PreRegisterDevice, request: Request) -> None:
        try:
            await self._desk.commands.ask(command, request)
        except Refusal as refusal:
            self._refuse(line, refusal.event.code, refusal.event.detail)
        except Fault as fault:
            self._refuse(line, fault.code, fault.detail)
            if fault.status in UNAVAILABLE:
                self._halted = fault
        else:
            self._made.accepted += 1
        finally:
            self._slots.release()

    def _refuse(self, line: int, code: str, message: str) -> None:
        self._made.refused += 1
        self._made.errors.append(BadRow(line, code, message[:300]))

    async def _end(self) -> Answer:
        if self._under_way:
            await asyncio.wait(self._under_way)
        if self._halted is not None:
            self._made.complete = False
        self._made.errors.sort(key=lambda error: error.line)
        if self._halted is None:
            return told(self._made)
        return told(self._made, self._halted.status, {b"retry-after": b"%d" % RETRY_AFTER})
