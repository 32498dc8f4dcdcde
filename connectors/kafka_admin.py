"""librdkafka's admin client, in a process of its own, asked from an asyncio loop.

The client (2.12) ends its process by a failed assertion when a broker stops while consumer groups are described or their
offsets are listed, and when a broker comes back to `describe_cluster`; and while it waits for a broker that refuses
connections, it tries again without a pause, a whole core's worth. Neither may happen to an ingress that takes uploads.
"""

import asyncio
import logging
import sys
import time
from typing import Any, TypeVar, cast

import msgspec
from confluent_kafka import KafkaError

from connectors.kafka_admin_process import SIZE_BYTES, Call, Outcome, framed
from connectors.kafka_questions import MOST_AT_ONCE, meaning
from connectors.ports import Away

log = logging.getLogger(__name__)
T = TypeVar("T")

START_SECONDS = 10.0  # that a new process has for its first answer, beside the broker's own time
_outcome = msgspec.msgpack.Decoder(Outcome)


class KafkaAdmin:
    """The process. It is started for the first call, and again for the first after it has ended, whyever."""

    def __init__(self, bootstrap_servers: str, seconds: float) -> None:
        """`seconds`: how long the broker may take to answer one request."""
        self._seconds = seconds
        self._command = (sys.executable, "-m", "connectors.kafka_admin_process", bootstrap_servers, str(seconds))
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._number = 0
        self._answered = False  # by the process that runs now
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    async def call(self, name: str, *arguments: object, told: type[T] | Any = None) -> T:
        """The result, of the type `told`, of a call of AdminCalls.

        Raises:
            Away: no answer in time; or the process has ended; or too many calls wait for an answer. What was called for
                may have been done.
            Refusal: the cluster says no.
            KafkaException: any other fault.
        """
        if len(self._waiting) >= MOST_AT_ONCE:
            raise Away(f"{MOST_AT_ONCE} questions to the broker wait for an answer")
        self._number = number = self._number + 1
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        patience = self._seconds + (1 if self._answered else START_SECONDS)
        try:
            async with asyncio.timeout(patience):
                process = await self._running()
                until = time.monotonic() + self._seconds
                call = Call(number, name, until, msgspec.Raw(msgspec.msgpack.encode(arguments)))
                _input(process).write(framed(call))
                outcome = await future
        except TimeoutError:
            raise Away(f"the broker has not answered within {self._seconds:g} s") from None
        except OSError as error:
            raise Away(f"the client that asks the broker can't be started: {error}") from None
        finally:
            del self._waiting[number]
        if outcome.code:
            raise meaning(KafkaError(outcome.code, outcome.message))
        result: T = msgspec.msgpack.decode(outcome.result, type=told)
        return result

    async def close(self) -> None:
        """End the process, if there is one."""
        self._closed = True
        if self._process is not None and self._listening is not None:
            _input(self._process).close()
            await self._listening

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None:
                self._answered = False
                pipe = asyncio.subprocess.PIPE
                # Its own session: an interrupt from the terminal is not for it. It ends with its input.
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=pipe, stdout=pipe, start_new_session=True
                )
                self._listening = asyncio.create_task(self._listen(self._process))
            return self._process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Hand over outcomes until the process ends; then nobody waits any longer."""
        try:
            while True:
                size = await _output(process).readexactly(SIZE_BYTES)
                outcome = _outcome.decode(await _output(process).readexactly(int.from_bytes(size, "big")))
                self._answered = True
                future = self._waiting.get(outcome.number)
                if future is not None and not future.done():
                    future.set_result(outcome)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._process = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Away("the client that asks the broker has failed"))
        code = await process.wait()
        if not self._closed:
            log.warning("the process of the admin client has ended with %d; the next call starts another", code)


def _input(process: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    return cast(asyncio.StreamWriter, process.stdin)


def _output(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    return cast(asyncio.StreamReader, process.stdout)
