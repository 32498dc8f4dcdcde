"""The topics whose records may be read, by whom."""

from collections.abc import Mapping, Sequence

from connectors.http.request import Fault
from connectors.ingress.access import Access
from connectors.ingress.delivery import RETRY_AFTER
from connectors.ingress.options import Producer
from connectors.ingress.rest_topics import TOPIC_NAME, broker_away, forbidden, no_topic, partition_number
from connectors.ports import Away, Busy
from schemas.log import TopicPartition


class LogTopics:
    """Says which partitions are open to a caller."""

    def __init__(self, access: Access, producer: Producer) -> None:
        self._access, self._producer = access, producer

    async def all(self, caller: str) -> Mapping[str, Sequence[TopicPartition]]:
        """The partitions of every topic that the caller may read, by its name, in order; raises Fault 503."""
        self._check_broker()
        try:
            names = sorted(name for name in await self._producer.listed() if self._access.may_read(caller, name))
            counts = {name: await self._producer.partitions(name) for name in names}
        except Away as away:
            raise told(away) from None
        return {name: _partitions(name, count) for name, count in counts.items() if count is not None}

    async def partitions(self, caller: str, topic: str) -> Sequence[TopicPartition]:
        """
        Raises:
            Fault: 403 the caller may not read the topic, 404 it is not there, 503.
        """
        self.check(caller, topic)
        self._check_broker()
        try:
            count = await self._producer.partitions(topic) if TOPIC_NAME.fullmatch(topic) else None
        except Away as away:
            raise told(away) from None
        if count is None:
            raise no_topic(topic)
        return _partitions(topic, count)

    async def partition(self, caller: str, topic: str, text: str) -> TopicPartition:
        """The partition named in a path; raises Fault as `partitions` does, and 404."""
        partitions = await self.partitions(caller, topic)
        return TopicPartition(topic, partition_number(topic, text, len(partitions)))

    def check(self, caller: str, topic: str) -> None:
        """Raises Fault 403: the caller may not read the topic, or no longer."""
        if not self._access.may_read(caller, topic):
            raise forbidden(topic)

    def _check_broker(self) -> None:
        if self._producer.away:
            raise broker_away(self._producer.away)


def _partitions(topic: str, count: int) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(count)]


def told(away: Away) -> Fault:
    """A broker that does not answer, or too many questions to it, as a fault."""
    if isinstance(away, Busy):
        return overloaded(str(away))
    return broker_away(str(away))


def overloaded(reason: str) -> Fault:
    return Fault(429, "OVERLOADED", reason, retry_after=RETRY_AFTER)
