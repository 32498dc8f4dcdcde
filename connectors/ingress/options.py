"""What the ingress is told from outside."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from connectors.ingress.guard_options import GuardOptions
from connectors.registration.options import RegistrationOptions
from schemas.asyncapi import Addresses

Header = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Options:
    """Limits and addresses. Durations are seconds.

    `state_dir` holds the schema ids' cache. `heartbeat_interval` is what devices are told to keep.
    """

    host: str
    port: int
    state_dir: Path
    request_deadline: float
    max_body_bytes: int
    max_records: int
    max_depth: int
    max_gzip_ratio: float
    idempotency_records: int
    heartbeat_interval: float
    idempotency_seconds: float = 86_400.0  # the life of an idempotency key of Kafka-REST
    idempotency_bytes: int = 32_000_000  # ... and what is kept in memory of requests that have one
    max_head_bytes: int = 16_384  # request line and headers
    max_buffered_bytes: int = 64_000_000  # bodies of all requests together, while they are read
    max_connections: int = 2_000
    read_seconds: float = 60.0  # a request must have come in whole by then
    addresses: Addresses | None = None  # what the AsyncAPI document says of where the topics are
    guarding: GuardOptions = field(default_factory=GuardOptions)  # what the gates of the listeners are told
    registration: RegistrationOptions | None = None


class Place(NamedTuple):
    """Where and when a record is put: `partition` -1 as its key decides, `timestamp` (milliseconds since 1970) 0: now."""

    partition: int = -1
    timestamp: int = 0


ANYWHERE = Place()


class Producer(Protocol):
    """How the ingress writes to the log (connectors.kafka_producer)."""

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header],
        done: Callable[..., None],
        place: Place = ANYWHERE,
    ) -> None:
        """Hand over one record; `done(error, message)` is called when the broker has answered.

        Raises:
            Away: nothing can be sent for now; Busy: because too much is on its way.
            ValueError: the record is too large.
        """

    async def partitions(self, topic: str) -> int | None:
        """Partition count of a topic, None if there is no such topic; may raise Away."""

    async def listed(self) -> Iterable[str]:
        """The names of all topics; may raise Away."""

    async def reread(self) -> None:
        """The list of topics has changed: it is read again, now, or when the broker answers."""

    @property
    def away(self) -> str: ...

    @property
    def queued(self) -> int: ...

    @property
    def queued_bytes(self) -> int: ...
