"""Reading the log by position: the handlers. Nothing is committed, no group is joined: the same request again is the same
answer, as far as the log still has the records."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TypeVar

import msgspec

from connectors.http.request import Answer, Fault, Request, StreamedAnswer
from connectors.ingress.log_answers import LogPartition, LogTopic
from connectors.ingress.log_answers import LogTopics as LogTopicsOut
from connectors.ingress.log_avro import avro_page
from connectors.ingress.log_caching import (
    CHANGING,
    VARY,
    Header,
    Policies,
    bounds_headers,
    entity_tag,
    is_known,
    link_header,
    page_headers,
)
from connectors.ingress.log_json import json_parts, lines
from connectors.ingress.log_query import AVRO, NDJSON, Asked, asked, check_plain, partition_link, topic_link
from connectors.ingress.log_schemas import LogSchemas, with_few_schemas
from connectors.ingress.log_tail import Tail
from connectors.ingress.log_topics import LogTopics, overloaded, told
from connectors.ingress.log_values import Readers
from connectors.ingress.rest_topics import no_topic
from connectors.pages import NotThere, OutOfRange, Page, PageReader
from connectors.ports import Away
from schemas.log import TopicPartition

T = TypeVar("T")
PAGE_BYTES = 4_000_000  # of keys, values and headers; a larger record is a page of its own
MOST_PAGES = 16  # that are read, decoded or sent
PATIENCE = 2.0  # seconds that a request waits for its place among them
WHOLE_BYTES = 262_144  # an answer up to this size is sent with its length; a larger one as it is made
_encoder = msgspec.json.Encoder()


class LogApi:
    """The handlers. Pages are decoded by one thread, part by part, so that the event loop goes on."""

    def __init__(self, topics: LogTopics, pages: PageReader, tail: Tail, policies: Policies, schemas: LogSchemas) -> None:
        self._topics, self._pages, self._tail = topics, pages, tail
        self._policies, self._schemas = policies, schemas
        self._thread = ThreadPoolExecutor(1, "log-decoding")
        self._places = asyncio.Semaphore(MOST_PAGES)

    async def topics(self, request: Request) -> Answer:
        """GET /v1/log"""
        check_plain(request)
        found = await self._topics.all(request.caller)
        return _answer(LogTopicsOut(await self._described(list(found.values()))))

    async def topic(self, request: Request) -> Answer:
        """GET /v1/log/{topic}"""
        check_plain(request)
        (topic,) = request.arguments
        described = await self._described([await self._topics.partitions(request.caller, topic)])
        if not described:
            raise no_topic(topic)
        return _answer(described[0])

    async def page(self, request: Request) -> Answer | StreamedAnswer:
        """GET /v1/log/{topic}/{partition}"""
        wanted = asked(request)
        topic, text = request.arguments
        source = await self._topics.partition(request.caller, topic, text)
        with ExitStack() as held:
            page, numbers = with_few_schemas(await self._read(source, wanted, held))
            self._topics.check(request.caller, topic)  # again: it may have waited
            readers, known = await self._schemas.readers(numbers) if wanted.decoded else (None, True)
            page, body = await self._body(source, page, wanted, readers)
            by_offset = wanted.start == page.start
            lasting = by_offset and page.full and known and await self._policies.keeps_all(topic)
            tag = await self._decoding(partial(entity_tag, source, page, wanted, known))
            headers = page_headers(source, page, wanted, tag, lasting)
            if is_known(request, tag):
                return Answer(b"", 304, wanted.media_type, headers)
            return await self._sent(request, wanted, body, headers, held)

    async def _described(self, topics: Sequence[Sequence[TopicPartition]]) -> list[LogTopic]:
        """Topics that are there, with the bounds of their partitions."""
        try:
            bounds = await self._pages.bounds([source for sources in topics for source in sources])
        except Away as away:
            raise told(away) from None
        described = []
        for sources in topics:
            found = [
                LogPartition(source.partition, *bounds[source], f"{partition_link(source)}?from={bounds[source][0]}")
                for source in sources
                if source in bounds
            ]
            if found:
                name = sources[0].topic
                described.append(LogTopic(name, topic_link(name), found))
        return described

    async def _read(self, source: TopicPartition, wanted: Asked, held: ExitStack) -> Page:
        """The page that is asked for, waited for if it has no records. `held` keeps its place among the pages.

        Raises:
            Fault: 404, 410, 416, 429, 503.
        """
        until = time.monotonic() + wanted.wait
        first: Page | None = None
        start = wanted.start
        try:
            while True:
                await self._hold(held)
                if start is None:
                    start = await self._pages.find(source, wanted.moment)
                page = await self._pages.page(source, start, wanted.limit, PAGE_BYTES)
                first = first or page
                left = until - time.monotonic()
                if page.records or left <= 0:
                    return replace(page, start=first.start)
                held.close()  # who waits holds nothing
                if not await self._tail.beyond(source, page.end, left):
                    return replace(page, start=first.start)
                start = page.following
        except NotThere:
            raise no_topic(source.topic) from None
        except OutOfRange as outside:
            raise _out_of_range(source, wanted, outside, first) from None
        except Away as away:
            raise told(away) from None

    async def _hold(self, held: ExitStack) -> None:
        """Wait for a place among the pages, for a little: those who waited for the same record come all at once."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._places.acquire()
        except TimeoutError:
            raise overloaded(f"{MOST_PAGES} pages of the log are being read and sent") from None
        held.callback(self._places.release)

    async def _body(
        self, source: TopicPartition, page: Page, wanted: Asked, readers: Readers | None
    ) -> tuple[Page, Iterator[bytes]]:
        """The page, shorter where its form needs that, and what is sent of it."""
        if wanted.form == AVRO:
            page, whole = await self._decoding(partial(avro_page, source, page, readers))
            return page, iter([whole])
        if wanted.form == NDJSON:
            return page, lines(page, readers)
        return page, json_parts(source, page, wanted.link(source, page.following), readers)

    async def _sent(
        self, request: Request, wanted: Asked, body: Iterator[bytes], headers: list[Header], held: ExitStack
    ) -> Answer | StreamedAnswer:
        begun: list[bytes] = []
        size = 0
        while (part := await self._decoding(partial(next, body, None))) is not None:
            begun.append(part)
            size += len(part)
            if size > WHOLE_BYTES and request.method != "HEAD":
                parts = self._parts(begun, body, held.pop_all())
                return StreamedAnswer(parts, content_type=wanted.media_type, headers=headers)
        return Answer(b"".join(begun), content_type=wanted.media_type, headers=headers)

    async def _parts(self, begun: list[bytes], body: Iterator[bytes], held: ExitStack) -> AsyncGenerator[bytes, None]:
        """The rest of an answer; its page is held until the client has taken it."""
        with held:
            for part in begun:
                yield part
            begun.clear()
            while (part := await self._decoding(partial(next, body, None))) is not None:
                yield part

    async def _decoding(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _answer(document: object) -> Answer:
    return Answer(_encoder.encode(document), headers=[CHANGING, VARY])


def _out_of_range(source: TopicPartition, wanted: Asked, outside: OutOfRange, read: Page | None) -> Fault:
    """What was asked for is before the first record kept, or beyond the end; after a wait, what was read up to."""
    start = wanted.start if read is None else read.start
    first, end = outside.first, outside.end
    if start is not None and start > end:
        detail = f"{source} ends at the offset {end}; it has no {start} yet"
        headers = [link_header(wanted.link(source, end), "last"), *bounds_headers(first, end)]
        return Fault(416, "OFFSET_BEYOND_END", detail, [("query from", f"is beyond {end}")], headers=headers)
    detail = f"{source} begins at the offset {first}; what was before it is no longer kept"
    headers = [link_header(wanted.link(source, first), "first"), *bounds_headers(first, end)]
    return Fault(410, "OFFSET_GONE", detail, [("query from", f"is before {first}")], headers=headers)
