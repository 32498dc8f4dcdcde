"""Requests with an idempotency key: each is carried out once, however often and however concurrently it is sent, and
whenever the process that took it ends.

The log is told before the first record of a request is written, and every record is marked. So a process that starts
knows from the log what was begun, and finds which records of it were written: what is missing is written when the
request comes again, and nothing twice.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from connectors.cluster import Cluster, cleanup_policy
from connectors.http.request import Answer, Fault, Request
from connectors.ingress.deliveries import Deliveries, Outcomes, Plan
from connectors.ingress.delivery import SWEEP_SECONDS, Wait, broker_away, overloaded
from connectors.ingress.idempotency_key import fingerprint, idempotency_key, name_digest, request_name
from connectors.ingress.identifiers import EventIds
from connectors.ingress.known_ends import KnownEnds
from connectors.ingress.lookup import look_up
from connectors.ingress.request_log import NOTHING, RequestLog, remember
from connectors.ingress.request_memory import Done, RequestMemory, Unfinished
from connectors.ingress.rest_writer import BUSY, NotWritten, Pending, Record, Written
from connectors.ingress.retry_answers import in_time, marked, replayed, retrieved, under_way
from connectors.ports import Away, LogReader
from connectors.traces import Tracer

log = logging.getLogger(__name__)

Planning = Callable[[], Awaitable[Plan]]
"""Makes the plan of a request, or raises a Fault; called only where something may have to be written."""


class Commanded(NamedTuple):
    """A request that is a command on `topic`. `decide` gives it an id, and makes the answer of what was decided; raises a
    Fault, with 503 where that is not known yet."""

    topic: str
    decide: Callable[[str], Awaitable[Answer]]


GRACE = 2 * SWEEP_SECONDS  # so that what ends at the deadline is told as it ended


class Retries:
    """Carries out requests that have a key. `name_of` gives the principal of a caller.

    Attributes:
        finished, replayed, resumed, refused: requests that were answered for good the first time, answered again,
            completed after an interruption, and refused because their key was used for another.
    """

    def __init__(
        self,
        request_log: RequestLog,
        remembered: RequestMemory,
        deliveries: Deliveries,
        cluster: Cluster,
        ids: EventIds,
        name_of: Callable[[str], str],
    ) -> None:
        self._log, self.remembered, self._deliveries = request_log, remembered, deliveries
        self._cluster, self._ends, self._ids, self._name_of = cluster, KnownEnds(cluster), ids, name_of
        self._open = False
        self._looked_up = asyncio.Event()
        self.finished = self.replayed = self.resumed = self.refused = 0

    # --- from start to ready

    def recover(self, reader: LogReader) -> None:
        """Learn from the log which requests there were; outside of the event loop.

        Raises:
            Away, SchemaRefused: broker or registry do not answer, or the registry refuses a schema.
        """
        self._log.open()
        now = _now()
        facts = self._log.read(reader, self.remembered.most_bytes, now - self.remembered.life)
        remember(facts, self.remembered, now)

    def open(self) -> None:
        """Requests may come."""
        self._open = True

    async def look_up(self, make_tracer: Callable[[], Tracer]) -> None:
        """Find what was written of the requests that were interrupted; a retry of one of these waits for it.

        Raises:
            Away: the broker does not answer.
        """
        for entry in self._interrupted():
            entry.interrupted = bool(entry.starts)  # of a command who decides knows what became of it
        interrupted = self._interrupted()
        if interrupted:
            topics = {entry.topic for entry in interrupted}
            compacted = {topic: await self._is_compacted(topic) for topic in topics}
            await asyncio.get_running_loop().run_in_executor(None, _looked_up, make_tracer, interrupted, compacted)
        for entry in interrupted:
            if entry.written and not entry.unknowable:
                self._note(self._log.began(entry))
            elif not entry.unknowable:
                self._forget(entry)
            entry.interrupted = False
        self._looked_up.set()
        if interrupted:
            log.info("interrupted requests were looked up", extra={"context": {"requests": len(interrupted)}})

    def _interrupted(self) -> list[Unfinished]:
        return [entry for entry in self.remembered.unfinished if entry.interrupted]

    async def _is_compacted(self, topic: str) -> bool:
        settings = await self._cluster.settings([topic])
        return "compact" in (cleanup_policy(settings.get(topic, ())) or "")

    # --- requests

    def key(self, request: Request) -> str | None:
        """The idempotency key of a request; raises Fault 400."""
        return idempotency_key(request)

    async def once(self, request: Request, key: str, body: bytes, plan: Planning) -> Answer:
        """The answer to a request with a key, whose body was read: the one it was given before, or what comes of `plan`.

        Raises:
            Fault: what `plan` raises; 422 the key was used for another request; 409 the log no longer says what was
                written; 503 it is not answered by the deadline, or nothing could be written.
        """
        return await self._once(request, key, body, lambda entry: self._carried_out(entry, plan))

    async def decided(self, request: Request, key: str, body: bytes, command: Commanded) -> Answer:
        """As `once`, of a request that is one command, which others decide. What was refused has changed nothing: its key
        is free."""
        return await self._once(request, key, body, lambda entry: self._decided(entry, command))

    async def _once(
        self, request: Request, key: str, body: bytes, carry_out: Callable[[Unfinished], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        if not self._open:
            raise Fault(503, "NOT_READY", "the ingress is starting and has not read the log yet", retry_after=1)
        name, same = request_name(self._name_of(request.caller), key), fingerprint(request, body)
        until = time.monotonic() + self._deliveries.deadlines.seconds + GRACE
        known = await self._known(name, until)
        if known is not None and known.fingerprint != same:
            self.refused += 1
            message = "this key was used for another request (method, path, content type or body)"
            raise Fault(422, "IDEMPOTENCY_KEY_REUSED", message, [("header Idempotency-Key", message)])
        if isinstance(known, Done):
            self.replayed += 1
            return replayed(known.answer)
        if known is not None and known.unknowable:
            detail = "this request was interrupted, and the log can no longer say what it had written by then"
            raise Fault(409, "OUTCOME_UNKNOWN", detail)
        first = known is None or (known.task is None and not known.complete)
        entry = known or Unfinished(name, self._ids.next()[1], same, _now())
        if entry.task is None:
            entry.task = asyncio.create_task(carry_out(entry))
            entry.task.add_done_callback(retrieved)
            self.remembered.put(name_digest(name), entry, _now())
        answer = await in_time(entry.task, until)
        if first:
            return answer
        self.replayed += 1
        return replayed(answer)

    async def _known(self, name: str, until: float) -> Done | Unfinished | None:
        digest = name_digest(name)
        known = self.remembered.find(digest, _now())
        if not (isinstance(known, Unfinished) and known.interrupted) or self._looked_up.is_set():
            return known
        try:
            await asyncio.wait_for(self._looked_up.wait(), until - time.monotonic())
        except TimeoutError:
            raise under_way("what a crash left of it is being looked up") from None
        return self.remembered.find(digest, _now())

    async def _carried_out(self, entry: Unfinished, planning: Planning) -> Answer:
        """One attempt: nobody else attempts the same request meanwhile. Whoever waits for it may give up, it does not."""
        resumed, sent, decided = entry.durable, False, False
        try:
            plan = await planning()
            del planning  # with the request's body
            if plan.writes and not entry.durable:
                await self._begin(entry, plan)
            sent = True
            outcomes = await self._written(entry, plan)
            decided = True
            answer = plan.answer(outcomes)
            self._settle(entry, outcomes, answer, resumed)
            return answer
        finally:
            entry.task = None
            if sent and not decided:  # a bug, or the process ends: records may be on their way
                entry.unknowable = True
            elif not entry.written:
                self._forget(entry)

    async def _decided(self, entry: Unfinished, command: Commanded) -> Answer:
        """The command's id is the request's: who decides knows it when it comes again."""
        resumed = entry.durable
        try:
            if not entry.durable:
                entry.topic, entry.records = command.topic, 1
                await self._note_begin(entry)
            answer = await command.decide(entry.request_id)
            self._final(entry, answer, resumed)
            return answer
        except Fault as fault:
            if not entry.durable or fault.status != HTTPStatus.SERVICE_UNAVAILABLE:  # else it may be decided later
                self._forget(entry)
            raise
        finally:
            entry.task = None

    async def _begin(self, entry: Unfinished, plan: Plan) -> None:
        """Tell the log before a record is written: after that, a crash leaves no record that can't be found.

        Raises:
            Fault: 429, 503: the log does not know, and no record may be written.
        """
        entry.topic, entry.records = plan.topic, len(plan.records)
        try:
            entry.starts = await self._ends.of(plan.topic, plan.partitions)
        except Away as away:
            raise broker_away(str(away)) from None
        await self._note_begin(entry)

    async def _note_begin(self, entry: Unfinished) -> None:
        self.remembered.put(name_digest(entry.name), entry, _now())  # its size is known now
        wait = Wait()
        noted = self._deliveries.writer.send(self._log.began(entry), 1, wait)
        await self._deliveries.deadlines.wait(wait)
        if isinstance(noted.outcome, NotWritten):
            raise (overloaded if noted.outcome.code == BUSY else broker_away)(noted.outcome.message)
        if noted.outcome is None:
            seconds = self._deliveries.deadlines.seconds
            raise broker_away(f"the broker has not acknowledged within {seconds:g} s that the request begins")
        entry.durable = True

    async def _written(self, entry: Unfinished, plan: Plan) -> Outcomes:
        """Write the records that are not in the log yet. Waits until each is decided, however long it takes: the client
        library gives none up, and a record that is on its way must not be sent again."""
        wait = Wait()
        sent: list[Pending | NotWritten | None] = []
        for place, record in enumerate(plan.records):
            one = marked(record, entry.request_id, place)
            sent.append(None if place in entry.written else self._deliveries.send(one, plan, wait))
        plan.records = ()
        await wait.ended()
        outcomes = [entry.written[place] if one is None else self._deliveries.told(one) for place, one in enumerate(sent)]
        entry.written |= {place: one for place, one in enumerate(outcomes) if isinstance(one, Written)}
        return outcomes

    def _settle(self, entry: Unfinished, outcomes: Outcomes, answer: Answer, resumed: bool) -> None:
        """An answer is for good when records were written and no other may be by trying again."""
        if entry.written and not any(isinstance(one, NotWritten) and one.retriable for one in outcomes):
            self._final(entry, answer, resumed)

    def _final(self, entry: Unfinished, answer: Answer, resumed: bool) -> None:
        if resumed:
            self.resumed += 1
        else:
            self.finished += 1
        now = _now()
        self.remembered.put(name_digest(entry.name), Done(entry.began_at, entry.fingerprint, answer), now)
        self._note(self._log.answered(entry, answer, now))

    def _forget(self, entry: Unfinished) -> None:
        """Nothing of a request was written: its key is free."""
        self.remembered.forget(name_digest(entry.name), entry)
        if entry.durable:
            self._note(self._log.answered(entry, NOTHING, _now()))

    def _note(self, record: Record) -> None:
        """Tell the log what it need not know: where this is lost, it costs a look-up after the next start. Nobody waits."""
        self._deliveries.writer.send(record, 1, Wait())


def _looked_up(make_tracer: Callable[[], Tracer], interrupted: Sequence[Unfinished], compacted: dict[str, bool]) -> None:
    tracer = make_tracer()
    try:
        look_up(tracer, interrupted, compacted)
    finally:
        tracer.close()


def _now() -> int:
    return time.time_ns() // 1000
