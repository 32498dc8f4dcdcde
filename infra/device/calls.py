"""Asking the server: calls, answers, and trying again. Nothing here touches the network: whoever drives it sends.

A flow (a registration, a renewal) is a generator that yields Calls and is sent what they answered. `retrying` puts the
waiting and trying again around it; `perform` drives the result with a function that sends, `perform_async` with one that
is awaited. So a device with one connection and a simulator with thousands share every step.
"""

import json
import random
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from schemas.registration_errors import ERRORS

T = TypeVar("T")
Reply = dict[str, Any]

LATER = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses after which the same request may succeed. Not 500: REG-008 waits for a person."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `body` is JSON, b"" for none. A repeat is the same Call: the server knows it by `key`."""

    method: str
    path: str
    body: bytes = b""
    key: str = ""

    @property
    def headers(self) -> dict[str, str]:
        named = {"Content-Type": "application/json"} if self.body else {}
        return named | ({"Idempotency-Key": self.key} if self.key else {})


@dataclass(frozen=True, slots=True)
class Answer:
    """`retry_after`: seconds that the server asked to wait, 0 if it didn't. `signature`: of X-Config-Signature."""

    status: int
    body: bytes
    retry_after: float = 0.0
    signature: str = ""


class Unreachable(Exception):
    """No answer came: not one, or not within the tries that there are. The same may be tried again later."""


class Refused(Exception):
    """The server said no. `code` is one of schemas.registration_errors, or what else the server called it."""

    def __init__(self, code: str, status: int, message: str, action: str = "", retry_after: float = 0.0) -> None:
        super().__init__(f"{code}: {message}" + (f". {action}" if action else ""))
        self.code, self.status, self.message, self.action = code, status, message, action
        self.retry_after = retry_after

    @property
    def later(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status in LATER


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is to be sent for so long."""

    seconds: float


@dataclass(frozen=True)
class Backoff:
    """Tries and pauses (third source document, section 7.1): after try n at first 2^n seconds, `tries` further ones.

    A pause is drawn from its upper half, so that a fleet that lost its server does not come back in one moment; it is
    never shorter than the server asked for.
    """

    tries: int = 5
    base: float = 2.0
    longest: float = 60.0
    chance: random.Random = field(default_factory=random.Random)

    def pause(self, failures: int, retry_after: float) -> float:
        """Seconds to wait after the `failures`th failure, from 1."""
        full = min(self.longest, self.base**failures)
        return max(retry_after, self.chance.uniform(full / 2, full))


def read(answer: Answer) -> Reply:
    """What an answer says.

    Raises:
        Refused: it says no, or what the server never says.
    """
    try:
        value = json.loads(answer.body) if answer.body else {}
    except ValueError:
        value = None
    if 200 <= answer.status < 300:
        if not isinstance(value, dict):
            raise Refused("NO_JSON", 502, f"an answer with status {answer.status} that is no JSON object")
        return value
    problem: dict[str, Any] = value if isinstance(value, dict) else {}
    code = str(problem.get("code") or f"HTTP-{answer.status}")
    known = ERRORS.get(code)
    message = problem.get("detail") or problem.get("title") or (known.message if known else "the server refuses")
    action = problem.get("user_action") or (known.action if known else "")
    raise Refused(code, answer.status, str(message), str(action), answer.retry_after)


Flow = Generator[Call, Reply, T]
Steps = Generator[Call | Pause, Answer | Unreachable | None, T]


def retrying(flow: Flow[T], backoff: Backoff) -> Steps[T]:
    """The flow with failures tried again: yields Calls, to be sent their Answer or Unreachable, and Pauses.

    Raises:
        Refused, Unreachable: unless the flow takes them.
    """
    try:
        call = next(flow)
        while True:
            try:
                reply = yield from _answered(call, backoff)
            except (Refused, Unreachable) as failure:
                call = flow.throw(failure)
            else:
                call = flow.send(reply)
    except StopIteration as done:
        value: T = done.value
        return value


def _answered(call: Call, backoff: Backoff) -> Generator[Call | Pause, Answer | Unreachable | None, Reply]:
    failures = 0
    while True:
        answer = yield call
        try:
            if isinstance(answer, Unreachable):
                raise answer
            assert answer is not None, "a Call is answered by an Answer or an Unreachable"
            return read(answer)
        except (Refused, Unreachable) as failure:
            failures += 1
            if failures > backoff.tries or (isinstance(failure, Refused) and not failure.later):
                raise
            asked = failure.retry_after if isinstance(failure, Refused) else 0.0
        yield Pause(backoff.pause(failures, asked))


def perform(
    flow: Flow[T], send: Callable[[Call], Answer], backoff: Backoff, sleep: Callable[[float], None] = time.sleep
) -> T:
    """Do all of a flow. `send` raises Unreachable if no answer comes.

    Raises:
        Refused, Unreachable
    """
    steps = retrying(flow, backoff)
    answer: Answer | Unreachable | None = None
    while True:
        try:
            step = next(steps) if answer is None else steps.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value
        answer = None
        if isinstance(step, Pause):
            sleep(step.seconds)
            continue
        try:
            answer = send(step)
        except Unreachable as lost:
            answer = lost


async def perform_async(
    flow: Flow[T],
    send: Callable[[Call], Awaitable[Answer]],
    backoff: Backoff,
    sleep: Callable[[float], Awaitable[None]],
) -> T:
    """As `perform`, awaiting."""
    steps = retrying(flow, backoff)
    answer: Answer | Unreachable | None = None
    while True:
        try:
            step = next(steps) if answer is None else steps.send(answer)
        except StopIteration as done:
            value: T = done.value
            return value
        answer = None
        if isinstance(step, Pause):
            await sleep(step.seconds)
            continue
        try:
            answer = await send(step)
        except Unreachable as lost:
            answer = lost
