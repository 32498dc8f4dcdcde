"""How one member of a view's consumer group reads."""

from dataclasses import dataclass

SESSIONS = 4  # a broker that was frozen or restarted has let everybody in by then


@dataclass(frozen=True, slots=True)
class GroupOptions:
    """`records` and `seconds` bound a batch: it is handed on when it has so many records or is so old.

    `member` names this member for good (static membership): a restarted worker gets its partitions back at once.
    `to_the_end`: batches go to the very end of a partition, behind its control records, where they may be empty; a
    position then comes to be the end.

    `session_timeout` (seconds): not heard of for so long, a member loses its partitions.
    """

    bootstrap_servers: str
    group: str
    member: str
    topics: tuple[str, ...]
    records: int = 10_000
    seconds: float = 0.05
    slots: int = 2
    session_timeout: float = 10.0
    to_the_end: bool = False

    @property
    def admission_timeout(self) -> float:
        """Seconds until a member that the group does not let in begins anew with a new client."""
        return SESSIONS * self.session_timeout

    def configuration(self) -> dict[str, object]:
        """What librdkafka is told."""
        session = int(self.session_timeout * 1000)
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "group.id": self.group,
            "group.instance.id": self.member,
            "client.id": self.member,
            "session.timeout.ms": session,
            "heartbeat.interval.ms": max(100, session // 4),
            "max.poll.interval.ms": 300_000,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # Where reading starts is told by the view; a position that the log does not hold is a fault to be seen.
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "range",
            # The default of one second stalls a fast reader between fetches.
            "fetch.queue.backoff.ms": 10,
            "queued.min.messages": 20_000,
            "queued.max.messages.kbytes": 8_192,
            "fetch.message.max.bytes": 1_048_576,
            "fetch.max.bytes": 8_388_608,
            "topic.metadata.refresh.interval.ms": 30_000,
            "reconnect.backoff.max.ms": 1_000,
            "allow.auto.create.topics": False,
        }
