"""Where a partition ends in offsets that hold no record: control records of transactions, and records of aborted ones.

The client says so itself by an event at a partition's end. But when records are taken in batches librdkafka counts that
event as one of them (seen with 2.x), and after a pause, or under a new leader, goes on one offset too late: a record that
was lost without a word, or an offset out of range. So the events are left off, and a second client looks: rarely, once for
each time that a reader has come to a stop below the high watermark.
"""

from contextlib import closing

from connectors.kafka_log import KafkaLog
from connectors.pending_batch import Collection
from connectors.ports import Away
from schemas.log import TopicPartition

SECONDS = 2.0  # for the broker to answer; the reader's thread waits for it
AGAIN_SECONDS = 1.0
STILL_SECONDS = 0.5  # that a reader has stood before it looks: under load the next records are on their way


class LogEnds:
    """For one thread."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._log: KafkaLog | None = None
        self._stopped: dict[TopicPartition, tuple[tuple[int, int], float]] = {}
        self._asked: dict[TopicPartition, tuple[int, int]] = {}
        self._not_before = 0.0

    def look(self, collected: Collection, source: TopicPartition, high: int, now: float) -> None:
        """Nothing came of late. If reading stopped below the high watermark, and has stood there for a moment, find out what
        is there, once. Records on their way are waited for; control records are told to `collected`, an open transaction
        too."""
        following = collected.position(source)
        if following is None or high <= following or now < self._not_before:
            return
        at = following, high
        stopped, since = self._stopped.get(source, (None, now))
        if stopped != at:
            self._stopped[source] = at, now
        elif now - since >= STILL_SECONDS and self._asked.get(source) != at:
            try:
                end = self._end(source, following, high)
            except (Away, ValueError):  # the broker is away, or the log was cut: both show where records are read
                self._not_before = now + AGAIN_SECONDS
                return
            self._asked[source] = at
            if end is not None:
                collected.end(source, end, high, now)

    def forget(self, source: TopicPartition) -> None:
        """It is read no more, or anew from its stored position: what was told of its end may have been lost on the way."""
        for table in (self._stopped, self._asked):
            table.pop(source, None)

    def _end(self, source: TopicPartition, following: int, high: int) -> int | None:
        """The offset behind those without a record that begin at `following`, which it is itself where an open transaction
        begins there; None where a record is."""
        if self._log is None:
            self._log = KafkaLog(self._servers, timeout=SECONDS, batch_records=1, queued_kilobytes=1_024)
        with closing(self._log.read(source, following, high)) as batches:  # type: ignore[type-var]
            for batch in batches:
                return None if len(batch) else batch.following
        return following

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
