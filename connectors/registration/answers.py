"""The way back: requests that wait for the events that answer their commands."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from connectors.event_tail import Tailed
from connectors.pages import PageReader
from connectors.ports import Away
from connectors.registration.asked import Asked
from schemas.certificate_messages import CertificateRefused, LedgerCommandRepeated
from schemas.log import TopicPartition
from schemas.messages import Event, Foreign, Messages
from schemas.registration_events import CommandRefused, CommandRepeated
from schemas.wire import PREFIX_BYTES

log = logging.getLogger(__name__)

ID_SIZE = 37  # of a UUID's text in Avro: a byte of length, 36 characters
CORRELATION = slice(PREFIX_BYTES + 2 * ID_SIZE + 1, PREFIX_BYTES + 3 * ID_SIZE)
"""Where in an event's value its correlation id stands: every event begins with event_id, command_id, correlation_id. So of
the events that nobody here waits for, which are most, none is decoded."""
RECALL_SECONDS = 0.2  # between two tries to read an earlier answer


class TooMany(Exception):
    """More requests wait than may."""


class Waiting:
    """One request's wait. `answer` is set to the event that ends it."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def offer(self, event: Event) -> None:
        """An event with its correlation id has come."""
        if not self.answer.done() and self._is_end(event):
            self.answer.set_result(event)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    def _is_end(self, event: Event) -> bool:
        if isinstance(event, CommandRefused | CertificateRefused):
            return event.command in self._asked.refusers
        return isinstance(event, self._asked.answers)


class Answers:
    """Gives the events of a tail to whom they answer. Its methods are called from one event loop, but for `take`."""

    def __init__(self, pages: PageReader, most: int) -> None:
        """`most` requests may wait at a time."""
        self._pages, self._most = pages, most
        self._messages: Mapping[str, Messages] = {}
        self._waiting: dict[bytes, list[Waiting]] = {}
        self._recalling: set[asyncio.Task[None]] = set()
        self._call: Callable[..., object] | None = None
        self.waiting = 0

    def opened(self, loop: asyncio.AbstractEventLoop, messages: Mapping[str, Messages]) -> None:
        """The loop on which requests wait, and the codec of each topic that is followed."""
        self._call, self._messages = loop.call_soon_threadsafe, messages

    @contextmanager
    def waits(self, correlation_id: str, asked: Asked) -> Iterator[Waiting]:
        """A wait, to be begun before the command is sent.

        Raises:
            TooMany: too many wait already.
        """
        if self.waiting >= self._most:
            raise TooMany(f"{self._most} requests wait for their answers already")
        key, waiting = correlation_id.encode(), Waiting(asked)
        self._waiting.setdefault(key, []).append(waiting)
        self.waiting += 1
        try:
            yield waiting
        finally:
            self.waiting -= 1
            others = self._waiting[key]
            others.remove(waiting)
            if not others:
                del self._waiting[key]

    def take(self, records: Sequence[Tailed]) -> None:
        """What has come, from the tail's thread.

        Raises:
            Away: the registry is needed for a schema and does not answer.
        """
        for source, offset, value in records:
            if value is None or value[CORRELATION] not in self._waiting:
                continue
            event = self._event(source, offset, value)
            if event is not None and self._call is not None:
                self._call(self._arrived, source, event)

    def _event(self, source: TopicPartition, offset: int, value: bytes | None) -> Event | None:
        try:
            event = self._messages[source.topic].decode(value)
        except Foreign as foreign:
            log.warning("%s@%d is passed over: %s", source, offset, foreign)
            return None
        return event if isinstance(event, Event) else None

    def _arrived(self, source: TopicPartition, event: Event) -> None:
        waiting = self._waiting.get(event.correlation_id.encode(), ())
        if isinstance(event, CommandRepeated | LedgerCommandRepeated) and waiting:
            task = asyncio.get_running_loop().create_task(self._recall(source, event))
            self._recalling.add(task)
            task.add_done_callback(self._recalling.discard)
            return
        for one in waiting:
            one.offer(event)

    async def at(self, source: TopicPartition, offset: int) -> Event | None:
        """An event by its place in the log; None where there is none.

        Raises:
            Away: broker or registry do not answer.
        """
        page = await self._pages.page(source, offset, 1, 1)
        value = next((record.value for record in page.records if record.offset == offset), None)
        return await asyncio.get_running_loop().run_in_executor(None, self._event, source, offset, value)

    async def _recall(self, source: TopicPartition, repeated: CommandRepeated | LedgerCommandRepeated) -> None:
        """Give the earlier answer to a command that came again, if it is one: else a later event will be."""
        key = repeated.correlation_id.encode()
        while key in self._waiting:
            try:
                event = await self.at(source, repeated.answer_offset)
            except Away as away:
                log.info("an earlier answer is not read yet: %s", away)
                await asyncio.sleep(RECALL_SECONDS)
            else:
                if event is not None:
                    for one in self._waiting.get(key, ()):
                        one.offer(event)
                return
