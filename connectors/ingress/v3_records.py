"""Kafka-REST v3, the part that writes: single records, streams of them, batches.

As Confluent's REST API v3, but: a request that came whole and wrote nothing is not answered with 200, and the fleet's own
topics take only what their contract says.
"""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from connectors.cluster import Cluster
from connectors.http.request import Answer, Request, StreamedAnswer
from connectors.ingress.device_api import record_headers
from connectors.ingress.rest_topics import RestTopics
from connectors.ingress.retries import Retries
from connectors.ingress.v3_cluster import check_cluster
from connectors.ingress.v3_records_answers import RecordOut, Reporter
from connectors.ingress.v3_records_batch import batch_plan
from connectors.ingress.v3_records_intake import Intake
from connectors.ingress.v3_records_outcomes import Outcome, Outcomes
from connectors.ingress.v3_records_schemas import V3Schemas
from connectors.ingress.v3_records_target import JSON_TYPE, LINES_TYPE, Target, Tools, check_media
from connectors.ingress.v3_records_whole import lines, records_plan, whole
from connectors.ingress.v3_values import Conversion

MOST_HELD = 1000  # results that are held back to be told in one piece
SMALL = 2_000  # bytes of a body whose records are never too many for their outcomes: it is read before any is waited for
GRACE_SECONDS = 0.02  # for the last chunk of a request to come after its first record, before a failure is told with 200


class V3Records:
    """The handlers."""

    def __init__(self, tools: Tools, topics: RestTopics, cluster: Cluster, schemas: V3Schemas, retries: Retries) -> None:
        self._tools, self._topics, self._cluster, self._schemas = tools, topics, cluster, schemas
        self._retries = retries

    async def produce(self, request: Request) -> Answer | StreamedAnswer:
        """POST /v3/clusters/{cluster_id}/topics/{topic}/records"""
        check_media(request, JSON_TYPE, LINES_TYPE)
        key = self._retries.key(request)
        target = await self._target(request)
        if key is not None:
            body = await self._tools.bodies.read(request)
            target.check_open()
            options = self._tools.options
            plan = partial(records_plan, body, target, options.max_records, options.max_body_bytes)
            return await self._retries.once(request, key, body, plan)  # the body counts as held until the answer
        outcomes = Outcomes(self._tools.writer, target.reporter, self._tools.options.request_deadline)
        intake = Intake(request, target, outcomes, self._tools)
        if 0 < int(request.content_length or 0) <= SMALL and not request.content_encoding:
            await intake.run()
            return whole(await _all(outcomes))
        request.streamed = True
        reading = asyncio.create_task(intake.run())
        told = False
        try:
            first = await _first(request, intake, outcomes, reading)
            if outcomes.done:
                await reading  # it has ended; a bug in it is raised here
                return whole(first)
            told = True
            return StreamedAnswer(_parts(first, outcomes, reading))
        finally:
            if not told:
                reading.cancel()

    async def produce_batch(self, request: Request) -> Answer:
        """POST /v3/clusters/{cluster_id}/topics/{topic}/records:batch"""
        check_media(request, JSON_TYPE)
        key, most = self._retries.key(request), self._tools.options.max_records
        target = await self._target(request)
        body = await self._tools.bodies.read(request)
        target.check_open()
        if key is not None:
            return await self._retries.once(request, key, body, partial(batch_plan, body, target, most))
        plan = await batch_plan(body, target, most)
        self._tools.bodies.release(request)
        del body
        return await self._tools.deliveries.deliver(plan)

    async def _target(self, request: Request) -> Target:
        cluster_id, topic = request.arguments
        cluster = await check_cluster(self._cluster, cluster_id)
        count = await self._topics.writable(request.caller, topic)
        conversion = Conversion(topic, self._schemas, self._topics.declared(topic))
        headers, reporter = record_headers(request), Reporter(cluster, topic)
        check_open = partial(self._topics.check_writable, request.caller, topic)
        return Target(topic, count, conversion, headers, reporter, self._tools.options.max_depth, check_open)


async def _first(request: Request, intake: Intake, outcomes: Outcomes, reading: "asyncio.Task[None]") -> list[Outcome]:
    """The first results: all of them of a request that came whole, unless they are many; of one that goes on, those up
    to the first of a record that was written. A failure alone is held back while the request may turn out whole."""
    first: list[Outcome] = []
    while not outcomes.done and len(first) < MOST_HELD:
        first += await outcomes.next()
        if intake.whole:
            continue
        if any(isinstance(one, RecordOut) for one in first):
            break
        if not request.content_length:
            await asyncio.wait((reading,), timeout=GRACE_SECONDS)
            if not intake.whole:
                break
    return first


async def _all(outcomes: Outcomes) -> list[Outcome]:
    """All results."""
    found: list[Outcome] = []
    while not outcomes.done:
        found += await outcomes.next()
    return found


async def _parts(first: list[Outcome], outcomes: Outcomes, reading: "asyncio.Task[None]") -> AsyncGenerator[bytes, None]:
    """Results as they are decided. The reading ends with them."""
    try:
        found = first
        while found:
            yield lines(found)
            found = await outcomes.next()
        await reading
    finally:
        reading.cancel()
