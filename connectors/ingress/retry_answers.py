"""How requests with an idempotency key are answered, and how their records are marked."""

import asyncio
import logging
import time
from dataclasses import replace

from connectors.http.request import Answer, Fault
from connectors.ingress.delivery import RETRY_AFTER
from connectors.ingress.lookup import mark_of
from connectors.ingress.rest_writer import NotWritten, Record
from connectors.traces import MARK

log = logging.getLogger(__name__)

REPLAYED = (b"idempotent-replayed", b"true")


def marked(record: Record | NotWritten, request_id: str, place: int) -> Record | NotWritten:
    if isinstance(record, NotWritten):
        return record
    return record._replace(headers=[*record.headers, (MARK, mark_of(request_id, place))])


def replayed(answer: Answer) -> Answer:
    return replace(answer, headers=[*answer.headers, REPLAYED])


async def in_time(task: asyncio.Task[Answer], until: float) -> Answer:
    """What a task returns or raises; it goes on when that takes too long."""
    await asyncio.wait({task}, timeout=max(0.0, until - time.monotonic()))
    if not task.done():
        raise under_way("the broker has not acknowledged all of it")
    return task.result()


def under_way(why: str) -> Fault:
    detail = f"the request is under way, {why}: send it again with the same key"
    return Fault(503, "REQUEST_UNDER_WAY", detail, retry_after=RETRY_AFTER)


def retrieved(task: asyncio.Task[Answer]) -> None:
    """Whoever waited may be gone: a bug is logged all the same."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, Fault):
        log.error("a request with an idempotency key failed", exc_info=error)
