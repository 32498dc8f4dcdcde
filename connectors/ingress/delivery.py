"""Waiting for the broker's acknowledgements."""

import asyncio
import time

from confluent_kafka import KafkaError

from connectors.http.request import Fault

RETRY_AFTER = 2  # seconds; a broker that restarts needs a few
SWEEP_SECONDS = 0.05
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})


class Wait:
    """One request's wait for its records. `expect` once for each record, `settle` once for each that was decided."""

    __slots__ = ("_future", "_open")

    def __init__(self) -> None:
        self._open = 0
        self._future: asyncio.Future[None] | None = None

    def expect(self) -> None:
        self._open += 1

    def settle(self) -> None:
        self._open -= 1
        if self._open == 0:
            self.give_up()

    def give_up(self) -> None:
        """End the wait, whether or not all is settled."""
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    async def ended(self) -> None:
        if self._open:
            self._future = asyncio.get_running_loop().create_future()
            await self._future


class Deadlines:
    """Ends waits that take too long. One timer for all of them: their deadlines are in the order in which they began."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._active: dict[Wait, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._active)

    async def wait(self, wait: Wait) -> None:
        """Return when all records of `wait` are decided, or the deadline has passed."""
        self._active[wait] = time.monotonic() + self.seconds
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        try:
            await wait.ended()
        finally:
            del self._active[wait]

    def _sweep(self) -> None:
        now = time.monotonic()
        for wait, deadline in self._active.items():
            if deadline > now:
                break
            wait.give_up()
        again = bool(self._active)
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep) if again else None


def broker_away(reason: str) -> Fault:
    """The answer while nothing can be written."""
    return Fault(503, "BROKER_UNAVAILABLE", f"the record was not accepted: {reason}", retry_after=RETRY_AFTER)


def overloaded(reason: str) -> Fault:
    """The answer while more is on its way than can be held."""
    return Fault(429, "OVERLOADED", f"the record was not accepted: {reason}", retry_after=RETRY_AFTER)


def deadline_passed(seconds: float) -> Fault:
    """The answer for a record that is still on its way: the same upload again finds out what became of it."""
    detail = f"the broker has not acknowledged the record within {seconds:g} s; send the same upload again"
    return Fault(503, "NOT_ACKNOWLEDGED", detail, retry_after=RETRY_AFTER)


def refused_by_broker(error: KafkaError) -> Fault:
    """The answer for a record that the broker refused, so that it was certainly not written."""
    if error.code() in _TOO_LARGE:
        detail = f"the broker does not take a record of this size: {error.str()}"
        return Fault(413, "RECORD_TOO_LARGE", detail, [("$", "is too large")])
    return Fault(503, "BROKER_REFUSED", f"the broker did not write the record: {error.str()}", retry_after=RETRY_AFTER)
