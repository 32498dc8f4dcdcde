"""Kafka-REST v3: requests that are carried out and answered as a whole, with plans that an idempotency key can repeat."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from connectors.http.request import JSON, Answer, Fault
from connectors.ingress.deliveries import Outcomes, Plan
from connectors.ingress.rest_writer import NotWritten, Record, Written
from connectors.ingress.v3_faults import error_of
from connectors.ingress.v3_records_answers import DataOut, RecordOut
from connectors.ingress.v3_records_splitter import Splitter
from connectors.ingress.v3_records_target import Target, not_written

TURN = 250  # records after which other requests get their turn
TURN_BYTES = 65_536  # ... and bytes that are cut into records

_encoder = msgspec.json.Encoder()


class Prepared(NamedTuple):
    """A record of a request: what is written, and how it will be told. If it can't be written, `fault` says why."""

    record: Record | NotWritten
    key: DataOut | None = None
    value: DataOut | None = None
    fault: Fault | None = None

    def told(self, outcome: Written | NotWritten) -> Written | Fault:
        """What became of it: in the log is also what an earlier attempt wrote and this one could not."""
        if isinstance(outcome, Written):
            return outcome
        return self.fault or not_written(outcome)

    def sent(self) -> "Prepared":
        """The same, without the record's bytes."""
        return self._replace(record=_SENT)


_SENT = NotWritten("SENT", "", retriable=False)


async def prepared(target: Target, text: bytes | msgspec.Raw, entry: bool = False) -> Prepared:
    """A record of a JSON text; `entry`: it is one of a batch."""
    try:
        ready = await target.ready(text, entry)
    except Fault as fault:
        return _refused(fault)
    return Prepared(ready.record, ready.key, ready.value)


async def records_plan(body: bytes, target: Target, most: int, most_bytes: int) -> Plan:
    """The records of a body: `most` at most, of `most_bytes` each. What can't be understood ends them, as in a stream.

    Raises:
        Fault: 400 there is no record; 413 there are too many.
    """
    found = await _found(body, target, most, most_bytes)
    shown = [one.sent() for one in found]
    reporter = target.reporter

    def answer(outcomes: Outcomes) -> Answer:
        results: list[RecordOut | Fault] = []
        for one, outcome in zip(shown, outcomes, strict=True):
            told = one.told(outcome)
            results.append(told if isinstance(told, Fault) else reporter.record(told, one.key, one.value))
        return whole(results)

    return Plan(target.topic, target.partitions, [one.record for one in found], answer)


async def _found(body: bytes, target: Target, most: int, most_bytes: int) -> list[Prepared]:
    splitter = Splitter(most_bytes)
    texts: list[bytes | None] = []
    for start in range(0, len(body), TURN_BYTES):
        texts += splitter.feed(body[start : start + TURN_BYTES])
        if len(texts) > most:
            raise Fault(413, "TOO_MANY_RECORDS", f"the body holds more than {most} records")
        if splitter.refused:
            break
        await asyncio.sleep(0)
    found = []
    for i, text in enumerate(texts, 1):
        if i % TURN == 0:
            await asyncio.sleep(0)
        found.append(_refused(too_large(most_bytes)) if text is None else await prepared(target, text))
    if splitter.refused:
        found.append(_refused(broken(splitter, 400, f"{splitter.refused}; nothing after it was read")))
    elif splitter.within:
        found.append(_refused(broken(splitter, 400, "the body ends within it")))
    if not found:
        raise no_record()
    return found


def _refused(fault: Fault) -> Prepared:
    later = any(name == b"retry-after" for name, _ in fault.headers)
    return Prepared(NotWritten(fault.code, fault.detail, retriable=later), fault=fault)


def too_large(most_bytes: int) -> Fault:
    return Fault(413, "RECORD_TOO_LARGE", f"a record may have {most_bytes} bytes")


def no_record() -> Fault:
    return Fault(400, "MALFORMED_JSON", "the body holds no record")


def broken(splitter: Splitter, status: int, message: str) -> Fault:
    """Where nothing more can be understood."""
    return Fault(status, "BROKEN_STREAM", f"record {splitter.number} (byte {splitter.begun}): {message}")


def whole(results: Sequence[RecordOut | Fault]) -> Answer:
    """The answer to a request whose records are all decided: 200, unless nothing was written."""
    failed = [one for one in results if isinstance(one, Fault)]
    if len(failed) < len(results):
        return Answer(lines(results))
    worst = next((one for one in failed if one.headers), failed[0])  # the headers say when to try again
    return Answer(lines(results), worst.status, JSON, worst.headers)


def lines(results: Sequence[RecordOut | Fault]) -> bytes:
    """Results, a line each."""
    return _encoder.encode_lines([error_of(one) if isinstance(one, Fault) else one for one in results])
