"""Answers that are sent part by part, in chunks (RFC 9112, 7.1)."""

import asyncio
from contextlib import aclosing

from connectors.http.app import Broken
from connectors.http.exchange import Exchange, head_of
from connectors.http.request import StreamedAnswer

MOST_UNTAKEN = 1_048_576  # bytes of results that wait for a client that sends first and reads then
LAST_CHUNK = b"0\r\n\r\n"


class Outflow:
    """Whether a client takes what is sent to it. `stuck_since`: the time since which it does not, by time.monotonic."""

    def __init__(self) -> None:
        self.stuck_since: float | None = None
        self._waiter: asyncio.Future[None] | None = None

    def free(self) -> None:
        """It takes more, or it is gone."""
        self.stuck_since = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def drained(self) -> None:
        """Return when it is not stuck."""
        if self.stuck_since is not None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter


async def send(transport: asyncio.Transport, exchange: Exchange, answer: StreamedAnswer, outflow: Outflow) -> None:
    """Send an answer as its parts come, at the pace at which the client takes them.

    An answer that breaks off ends without the last chunk, so that a client can't take it for whole.
    """
    framing = b"transfer-encoding: chunked\r\n" if exchange.chunks else b""
    exchange.streaming = True
    async with aclosing(answer.parts) as parts:
        if not exchange.gone:  # else the transport is closed, and takes no call
            transport.set_write_buffer_limits(high=MOST_UNTAKEN)
            transport.write(head_of(answer, exchange.request, framing, exchange.last))
        try:
            async for part in parts:
                if exchange.gone:
                    break
                if part:
                    transport.write(b"%x\r\n%s\r\n" % (len(part), part) if exchange.chunks else part)
                    await outflow.drained()
        except Broken:
            transport.abort()
            return
    if exchange.gone:
        return
    if exchange.chunks:
        transport.write(LAST_CHUNK)
    transport.set_write_buffer_limits()
