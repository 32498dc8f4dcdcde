"""Moving the beginning of a log on, and where groups stand in it.

The groups' offsets are asked of plain consumers: librdkafka's admin client ends its process over them (docs/decisions/0007).
"""

import logging
import subprocess
import sys
from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka_log import AWAY, answer
from connectors.ports import Away
from schemas.log import TopicPartition

log = logging.getLogger(__name__)
TRIES = 3


class KafkaRetention:
    """Calls on a Kafka cluster; each may raise Away and KafkaException. `seconds`: of each request."""

    def __init__(self, bootstrap_servers: str, seconds: float = 15.0) -> None:
        self._servers, self._seconds = bootstrap_servers, seconds
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers}, logger=log)

    def delete(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete the records below these offsets (Kafka's DeleteRecords); returns when the logs begin there.

        In a process of its own: confluent-kafka drops references to the list that it is given which are not its own, so that
        the interpreter ends by a segmentation fault a moment later (its issue 2275, mended by its pull request 2328,
        which 2.12.2 does not have). Asked again for the same, the broker changes nothing.
        """
        asked = "".join(f"{source.topic} {source.partition} {offset}\n" for source, offset in before.items())
        command = (sys.executable, "-m", "connectors.kafka_delete_process", self._servers, f"{self._seconds:g}")
        for _ in range(TRIES):
            try:
                done = subprocess.run(
                    command, input=asked, capture_output=True, text=True, timeout=3 * self._seconds, check=False
                )
            except subprocess.TimeoutExpired:
                break
            if done.returncode == 0:
                return _demand_done(done.stdout)
        raise Away(f"the records below {', '.join(f'{one}:{offset}' for one, offset in before.items())} are not deleted yet")

    def names(self, prefix: str) -> list[str]:
        """The groups whose names begin so."""
        listed = answer(self._admin.list_consumer_groups(request_timeout=self._seconds).result)
        for error in listed.errors:
            raise Away(f"groups: {error}")
        return sorted(group.group_id for group in listed.valid if group.group_id.startswith(prefix))

    def committed(self, group: str, sources: Iterable[TopicPartition]) -> dict[str, int]:
        """The offsets that a group has committed of these partitions, by TOPIC/PARTITION."""
        consumer = self._consumer(group)
        try:
            asked = [KafkaPartition(*source) for source in sources]
            told = answer(lambda: consumer.committed(asked, self._seconds))
        finally:
            consumer.close()
        for one in told:
            if one.error is not None:
                raise Away(f"group {group}: {one.topic}/{one.partition}: {one.error.str()}")
        return {str(TopicPartition(one.topic, one.partition)): one.offset for one in told if one.offset >= 0}

    def commit(self, group: str, offsets: Mapping[str, int]) -> None:
        """Set the offsets of a group that has no member; partitions as TOPIC/PARTITION."""
        wanted = [KafkaPartition(*TopicPartition.parse(source), offset) for source, offset in offsets.items()]
        consumer = self._consumer(group)
        try:
            for one in answer(lambda: consumer.commit(offsets=wanted, asynchronous=False)) or ():
                if one.error is not None:
                    raise Away(f"group {group}: the offset of {one.topic}/{one.partition} is refused: {one.error.str()}")
        finally:
            consumer.close()

    def _consumer(self, group: str) -> Consumer:
        """One that never becomes a member, as it subscribes to nothing."""
        given = {"bootstrap.servers": self._servers, "group.id": group, "enable.auto.commit": False}
        return Consumer(given, logger=log)


def _demand_done(said: str) -> None:
    """Raise what the process said is wrong."""
    code, _, message = said.strip().partition(" ")
    if not code:
        return
    error = KafkaError(int(code), message)
    if error.code() in AWAY or error.retriable():
        raise Away(message)
    raise KafkaException(error)
