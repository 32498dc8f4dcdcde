"""Views as of times, from a process of its own (port AsOfReader): a fold takes a core for seconds, and memory, neither of
which a process has to spare that takes uploads."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec

from connectors.as_of import SIZE_BYTES, Question, Reply, framed
from connectors.ports import Away, Busy

log = logging.getLogger(__name__)
MOST_WAITING = 16
"""Questions; they are answered one after the other."""
_reply = msgspec.msgpack.Decoder(Reply)


class AsOfProcess:
    """The process. It is started for the first question, and again for the first after it has ended, whyever."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], topics: Mapping[str, Sequence[str]], seconds: float
    ) -> None:
        """`command` reads Questions from its standard input and writes Replies to its standard output; `topics`: of each
        view; `seconds`: how long a reply may take."""
        self._command, self._environment, self._topics, self._seconds = command, environment, topics, seconds
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        self._closed = False

    def topics(self, view: str) -> Sequence[str]:
        return self._topics.get(view, ())

    async def ask(self, question: Question) -> Reply:
        if len(self._waiting) >= MOST_WAITING:
            raise Busy(f"{MOST_WAITING} questions about times in the past wait for an answer")
        self._number = number = self._number + 1
        self._waiting[number] = future = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._seconds):
                process = await self._running()
                until = time.monotonic() + self._seconds
                message = framed(msgspec.structs.replace(question, number=number, until=until))
                cast(asyncio.StreamWriter, process.stdin).write(message)
                reply: Reply = await future
        except TimeoutError:
            raise Away(f"the fold of the log took longer than {self._seconds:g} s") from None
        except OSError as error:
            raise Away(f"the process that folds the log can't be started: {error}") from None
        finally:
            del self._waiting[number]
        return reply

    async def close(self) -> None:
        """End the process, if there is one."""
        self._closed = True
        if self._process is not None and self._listening is not None:
            cast(asyncio.StreamWriter, self._process.stdin).close()
            await self._listening

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None:
                pipe = asyncio.subprocess.PIPE
                # Its own session: an interrupt from the terminal is not for it. It ends with its input.
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=pipe, stdout=pipe, env=self._environment, start_new_session=True
                )
                self._listening = asyncio.create_task(self._listen(self._process))
            return self._process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Hand over replies until the process ends; then nobody waits any longer."""
        output = cast(asyncio.StreamReader, process.stdout)
        try:
            while True:
                size = await output.readexactly(SIZE_BYTES)
                reply = _reply.decode(await output.readexactly(int.from_bytes(size, "big")))
                future = self._waiting.get(reply.number)
                if future is not None and not future.done():
                    future.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._process = None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Away("the process that folds the log has failed"))
        code = await process.wait()
        if not self._closed:
            log.warning("the process that folds the log has ended with %d; the next question starts another", code)
