"""Kafka-REST v3: a batch of records, each with an id of the client's, answered in one piece."""

import asyncio
import re
from typing import NamedTuple

import msgspec

from connectors.http.request import JSON, Answer, Fault
from connectors.ingress.delivery import Deadlines, Wait
from connectors.ingress.device_api import malformed
from connectors.ingress.rest_writer import NotWritten, Pending, RestWriter
from connectors.ingress.v3_faults import error_of
from connectors.ingress.v3_records_answers import BatchFailed, BatchOut, DataOut, EntryFailed, EntryOut
from connectors.ingress.v3_records_target import Target, not_written

ID = re.compile(r"[0-9a-zA-Z_-]{1,80}")
TURN = 250  # entries after which other requests get their turn


class _Entries(msgspec.Struct, forbid_unknown_fields=True):
    entries: list[msgspec.Raw]


class _Id(msgspec.Struct):
    id: str


class _Sent(NamedTuple):
    pending: Pending
    key: DataOut | None
    value: DataOut | None


_BATCHES = msgspec.json.Decoder(_Entries)
_IDS = msgspec.json.Decoder(_Id)


class Batch:
    """One batch: made of a body, then sent, then answered."""

    def __init__(self, body: bytes, target: Target, most: int) -> None:
        """`most`: entries that it may have.

        Raises:
            Fault: 400 it is no batch; 422 it has no entries or too many, or their ids are none, or not distinct.
        """
        self._target = target
        self._entries = _entries(body, most)
        self._sent: dict[str, _Sent | Fault] = {}
        self._wait = Wait()

    async def send(self, writer: RestWriter) -> None:
        """Hand over the entries; the body is not needed any more."""
        for i, (name, text) in enumerate(self._entries.items(), 1):
            if i % TURN == 0:
                await asyncio.sleep(0)
            try:
                ready = await self._target.ready(text, entry=True)
            except Fault as fault:
                self._sent[name] = fault
            else:
                pending = writer.send(ready.record, self._target.partitions, self._wait)
                self._sent[name] = _Sent(pending, ready.key, ready.value)
        self._entries.clear()

    def _outcome(self, name: str, sent: _Sent, writer: RestWriter, seconds: float) -> EntryOut | Fault:
        outcome = writer.told(sent.pending, seconds)
        if isinstance(outcome, NotWritten):
            return not_written(outcome)
        return self._target.reporter.entry(name, outcome, sent.key, sent.value)

    async def answer(self, writer: RestWriter, deadlines: Deadlines) -> Answer:
        """When each entry is decided, or late: 207; but 408, 429 or 503 if nothing was written and some may be later."""
        await deadlines.wait(self._wait)
        told = {
            name: sent if isinstance(sent, Fault) else self._outcome(name, sent, writer, deadlines.seconds)
            for name, sent in self._sent.items()
        }
        successes = [one for one in told.values() if isinstance(one, EntryOut)]
        faults = [(name, one) for name, one in told.items() if isinstance(one, Fault)]
        failures = [_failed(name, fault) for name, fault in faults]
        later = next((fault for _, fault in faults if fault.headers), None)  # the headers say when
        if successes or later is None:
            return Answer(msgspec.json.encode(BatchOut(successes, failures)), 207)
        error = error_of(later)
        nothing = BatchFailed(error.error_code, f"no entry was written: {error.message}", successes, failures)
        return Answer(msgspec.json.encode(nothing), later.status, JSON, later.headers)


def _failed(name: str, fault: Fault) -> EntryFailed:
    error = error_of(fault)
    return EntryFailed(name, error.error_code, error.message)


def _entries(body: bytes, most: int) -> dict[str, msgspec.Raw]:
    try:
        body.decode()  # the decoder does not look into strings that it need not
        entries = _BATCHES.decode(body).entries
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `")
        raise Fault(400, "BAD_RECORD", f'{place.rstrip("`") or "$"}: {message}; expected {{"entries": [...]}}') from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise malformed(body, str(error)) from None
    if not 1 <= len(entries) <= most:
        raise Fault(422, "BAD_BATCH", f"$.entries: has {len(entries)} items, a batch has 1 to {most}")
    found = {_id(text, f"$.entries[{i}]"): text for i, text in enumerate(entries)}
    if len(found) < len(entries):
        raise Fault(422, "BAD_BATCH", "$.entries: their ids are not distinct")
    return found


def _id(entry: msgspec.Raw, place: str) -> str:
    try:
        name = _IDS.decode(entry).id
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Fault(422, "INVALID_ID", f"{place}.id: is no id: {error}") from None
    if not ID.fullmatch(name):
        raise Fault(422, "INVALID_ID", f"{place}.id: is not {ID.pattern}")
    return name
