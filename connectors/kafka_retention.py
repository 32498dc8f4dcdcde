"""Moving the beginning of a log on, and where groups stand in it."""

from collections.abc import Mapping

from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka_admin_calls import AdminCalls
from connectors.kafka_log import answer
from schemas.log import TopicPartition


class KafkaRetention:
    """Calls on a Kafka cluster; each may raise Away and KafkaException. `seconds`: of each request."""

    def __init__(self, bootstrap_servers: str, seconds: float = 15.0) -> None:
        self._admin, self._seconds = AdminClient({"bootstrap.servers": bootstrap_servers}), seconds
        self._calls = AdminCalls(self._admin, seconds)

    def delete(self, before: Mapping[TopicPartition, int]) -> None:
        """Delete the records below these offsets (Kafka's DeleteRecords); returns when the logs begin there."""
        wanted = [KafkaPartition(*source, offset) for source, offset in before.items()]
        futures = self._admin.delete_records(wanted, request_timeout=self._seconds, operation_timeout=self._seconds)
        for future in futures.values():
            answer(future.result)

    def groups(self, prefix: str) -> dict[str, dict[str, int]]:
        """The committed offsets of the groups whose names begin so, by group and TOPIC/PARTITION."""
        names = [name for name in answer(self._calls.groups) if name.startswith(prefix)]
        committed = answer(lambda: self._calls.committed(names))
        return {name: {str(source): offset for source, offset in told} for name, told in committed.items() if told}

    def commit(self, group: str, offsets: Mapping[str, int]) -> None:
        """Set the offsets of a group that has no member; partitions as TOPIC/PARTITION."""
        wanted = [KafkaPartition(*TopicPartition.parse(source), offset) for source, offset in offsets.items()]
        asked = [ConsumerGroupTopicPartitions(group, wanted)]
        future = self._admin.alter_consumer_group_offsets(asked, request_timeout=self._seconds)[group]
        for one in answer(future.result).topic_partitions:
            if one.error is not None:
                raise RuntimeError(f"group {group}: the offset of {one.topic}/{one.partition} is refused: {one.error.str()}")
