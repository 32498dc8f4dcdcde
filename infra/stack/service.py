"""What one process of the stack is: how it is started, when it is healthy, what must be healthy before it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class Unhealthy(Exception):
    """A health check failed; the message says how."""


class StackError(Exception):
    """The stack cannot be started or has failed; the message names the process or setting. `code` is the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port that a process listens on, and the setting that it comes from."""

    setting: str
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the stack.

    `check` returns when the process answers and raises Unhealthy when it doesn't; it runs in a thread and must be bounded
    (a few seconds). A service that runs `once` has no check: it is done when it exits with 0. `prepare` runs in a thread
    before every start. `start_seconds` bounds the time from the first start to healthy, `stop_seconds` the time between
    SIGTERM and SIGKILL.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    check: Callable[[], None] | None = None
    after: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    prepare: Callable[[], None] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    start_seconds: float = 60.0
    stop_seconds: float = 15.0

    @property
    def once(self) -> bool:
        return self.check is None


def levels(services: tuple[Service, ...]) -> list[list[Service]]:
    """The services in start order: each level needs only earlier ones. Needs outside of `services` count as met.

    Raises:
        StackError: the needs form a circle.
    """
    present = {service.name for service in services}
    placed: set[str] = set()
    found: list[list[Service]] = []
    waiting = list(services)
    while waiting:
        level = [s for s in waiting if all(name in placed or name not in present for name in s.after)]
        if not level:
            raise StackError(f"these wait for one another: {', '.join(s.name for s in waiting)}")
        found.append(level)
        placed.update(s.name for s in level)
        waiting = [s for s in waiting if s.name not in placed]
    return found
