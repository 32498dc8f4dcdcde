"""Kafka-REST v3: a batch of records, each with an id of the client's, answered in one piece."""

import asyncio
import re

import msgspec

from connectors.http.request import JSON, Answer, Fault
from connectors.ingress.deliveries import Outcomes, Plan
from connectors.ingress.device_api import malformed
from connectors.ingress.v3_faults import error_of
from connectors.ingress.v3_records_answers import BatchFailed, BatchOut, EntryFailed, EntryOut
from connectors.ingress.v3_records_target import Target
from connectors.ingress.v3_records_whole import TURN, Prepared, prepared

ID = re.compile(r"[0-9a-zA-Z_-]{1,80}")


class _Entries(msgspec.Struct, forbid_unknown_fields=True):
    entries: list[msgspec.Raw]


class _Id(msgspec.Struct):
    id: str


_BATCHES = msgspec.json.Decoder(_Entries)
_IDS = msgspec.json.Decoder(_Id)


async def batch_plan(body: bytes, target: Target, most: int) -> Plan:
    """A batch of `most` entries at most, ready to be written. Its answer is 207; but 408, 429 or 503 if nothing was written
    and some may be later.

    Raises:
        Fault: 400 it is no batch; 422 it has no entries or too many, or their ids are none, or not distinct.
    """
    found: dict[str, Prepared] = {}
    for i, (name, text) in enumerate(_entries(body, most).items(), 1):
        if i % TURN == 0:
            await asyncio.sleep(0)
        found[name] = await prepared(target, text, entry=True)
    shown = {name: one.sent() for name, one in found.items()}
    reporter = target.reporter

    def answer(outcomes: Outcomes) -> Answer:
        told: dict[str, EntryOut | Fault] = {}
        for (name, one), outcome in zip(shown.items(), outcomes, strict=True):
            became = one.told(outcome)
            told[name] = became if isinstance(became, Fault) else reporter.entry(name, became, one.key, one.value)
        return _answer(told)

    return Plan(target.topic, target.partitions, [one.record for one in found.values()], answer)


def _answer(told: dict[str, EntryOut | Fault]) -> Answer:
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
