"""The way in: commands to the log, and the events that answer them."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from confluent_kafka import KafkaError

from connectors.event_tail import EventTail
from connectors.http.request import Request
from connectors.ingress.idempotency_key import idempotency_key
from connectors.ingress.identifiers import EventIds
from connectors.ingress.options import Header, Producer
from connectors.pages import NotThere, OutOfRange
from connectors.ports import Away, Busy
from connectors.registration import faults
from connectors.registration.answers import Answers, TooMany
from connectors.registration.asked import ASKED, LEDGER_EVENTS, REGISTRATION_EVENTS, TOPICS, key_of
from schemas.certificate_messages import CertificateRefused
from schemas.contract import Contract
from schemas.log import TopicPartition
from schemas.message_types import message_types
from schemas.messages import Command, Event, Messages
from schemas.registration_events import CommandRefused

REPEATABLE = UUID("6f9c52a4-63bb-4d5e-9a53-0c2b4f7a9d11")
"""The namespace of the command ids of requests that have an Idempotency-Key."""
FOLLOWED = (REGISTRATION_EVENTS, LEDGER_EVENTS)


class Stamp:
    """What all commands of one request share. `of` gives each of them its id; `repeatable`: the request may come again and
    is then the same."""

    def __init__(self, base: str, repeatable: bool, actor: str) -> None:
        self.base, self.repeatable, self.actor = base, repeatable, actor
        self.issued_at = time.time_ns() // 1000

    def of(self, name: str = "") -> dict[str, Any]:
        """The fields that every command begins with; `name` tells several commands of a request apart."""
        own = str(uuid5(UUID(self.base), name)) if name else self.base
        return {"command_id": own, "correlation_id": own, "issued_at": self.issued_at, "actor": self.actor}


class Commands:
    """Sends commands and waits for what is decided."""

    def __init__(self, contract: Contract, producer: Producer, tail: EventTail, answers: Answers) -> None:
        self._contract, self._producer, self._tail, self._answers = contract, producer, tail, answers
        self._codecs: Mapping[str, Messages] = {}
        self._ids = EventIds()
        self._ready = False
        self.seconds = 10.0

    def open(self, codecs: Mapping[str, Messages], seconds: float) -> None:
        """The schemas are registered: commands may be sent. `codecs` by topic; `seconds`: how long a request waits for its
        answer."""
        self._answers.opened(asyncio.get_running_loop(), codecs)
        self._codecs, self.seconds, self._ready = codecs, seconds, True
        self._tail.start(FOLLOWED, self._answers.take)

    @property
    def away(self) -> str:
        """Why no command can be sent for now; empty when one can."""
        return self._tail.away if self._ready else "the schemas are not registered yet"

    def new_id(self) -> str:
        return self._ids.next()[1]

    def stamp(self, request: Request, who: str, actor: str) -> Stamp:
        """The stamp of a request's commands. One that has an Idempotency-Key is the same request when it comes again from
        the same: `who` tells whose keys are different ones.

        Raises:
            Fault: 400 a bad Idempotency-Key.
        """
        key = idempotency_key(request)
        if key is None:
            return Stamp(self.new_id(), False, actor)
        name = "\0".join((request.method, request.raw_path.decode("latin-1"), who, key))
        return Stamp(str(uuid5(REPEATABLE, name)), True, actor)

    async def ask(self, command: Command, request: Request) -> Event:
        """The event that answers a command.

        Raises:
            Fault: 503 REG-010 broker or registry are away; 429 too many requests wait; 504 REG-005 no answer in time.
            faults.Refusal: it was refused.
        """
        asked = ASKED[type(command).__name__]
        if self.away:
            raise faults.queue_away(self.away)
        try:
            with self._answers.waits(command.correlation_id, asked) as waiting:

                def delivered(error: KafkaError | None, _: object) -> None:
                    if error is not None:
                        waiting.fail(faults.queue_away(error.str()))

                self._send(command, request, delivered)
                async with asyncio.timeout(self.seconds):
                    answer = await waiting.answer
        except TooMany as many:
            raise faults.overloaded(str(many)) from None
        except TimeoutError:
            raise faults.no_answer(self.seconds) from None
        if isinstance(answer, CommandRefused | CertificateRefused):
            raise faults.Refusal(answer)
        return answer

    async def earlier(self, source: TopicPartition, offset: int) -> Event | None:
        """An event that was decided before, by its place in the log; None if the log holds it no more.

        Raises:
            Fault: 503 REG-010 broker or registry are away.
        """
        if self.away:
            raise faults.queue_away(self.away)
        try:
            return await self._answers.at(source, offset)
        except Away as away:
            raise faults.queue_away(str(away)) from None
        except (NotThere, OutOfRange):
            return None

    def _send(self, command: Command, request: Request, done: Any) -> None:
        topic = ASKED[type(command).__name__].topic
        try:
            value = self._codecs[topic].encode(command)
            self._producer.send(topic, key_of(command).encode(), value, self._headers(command, request), done)
        except Busy as busy:
            raise faults.overloaded(str(busy)) from None
        except Away as away:
            raise faults.queue_away(str(away)) from None

    def _headers(self, command: Command, request: Request) -> list[Header]:
        """The trace, and the CloudEvents Kafka binding (binary mode)."""
        moment = datetime.fromtimestamp(command.issued_at / 1e6, UTC).isoformat(timespec="milliseconds")
        return [
            ("traceparent", request.trace_parent),
            ("ce_specversion", b"1.0"),
            ("ce_id", command.command_id.encode()),
            ("ce_source", b"/fleetlog/ingress"),
            ("ce_type", self._contract.records[type(command).__name__].full_name.encode()),
            ("ce_time", moment.replace("+00:00", "Z").encode()),
        ]


def codecs(contract: Contract, ids: Mapping[str, int], schema_of: Any) -> dict[str, Messages]:
    """The codec of each topic; `ids` by subject, as registered before."""
    made = {}
    for name in TOPICS:
        topic = contract.topics[name]
        made[name] = Messages(topic, message_types(topic), lambda subject, _: ids[subject], schema_of)
    return made
