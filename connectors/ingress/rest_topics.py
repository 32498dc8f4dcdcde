"""The topics that Kafka-REST writes and shows: the device topics, and those that the settings open. Never internal ones."""

import fnmatch
import re

from connectors.ingress.delivery import RETRY_AFTER
from connectors.ingress.http import Fault
from connectors.ingress.options import Options, Producer
from connectors.ports import Away
from schemas.contract import Contract, Topic

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PARTITION = re.compile(r"[0-9]{1,10}")


class RestTopics:
    """Says which topics are open, and what the producer knows of them."""

    def __init__(self, options: Options, contract: Contract, producer: Producer) -> None:
        self._options, self._contract, self._producer = options, contract, producer

    def declared(self, topic: str) -> Topic | None:
        """The topic in the contract; None of one that is not the fleet's."""
        return self._contract.topics.get(topic)

    def is_open(self, topic: str) -> bool:
        declared = self.declared(topic)
        if declared is not None:
            return declared.access == "device"
        options = self._options
        return _matches(topic, options.open_topics) and not _matches(topic, options.closed_topics)

    def check_open(self, topic: str) -> None:
        """Raises Fault 403, whether or not the topic is there."""
        if not self.is_open(topic):
            raise Fault(403, "TOPIC_FORBIDDEN", f"{topic[:250]!r} is not open to REST")

    def check_broker(self) -> None:
        """Raises Fault 503 while the broker is known to be away, so that nobody waits for it."""
        if self._producer.away:
            raise broker_away(self._producer.away)

    async def names(self) -> list[str]:
        """All open topics that are there; raises Fault 503."""
        try:
            return sorted(filter(self.is_open, await self._producer.listed()))
        except Away as away:
            raise broker_away(str(away)) from None

    async def count(self, topic: str) -> int:
        """Partitions of a topic.

        Raises:
            Fault: 403 it is not open, 404 it is not there, 503 the broker is away.
        """
        self.check_open(topic)
        try:
            count = await self._producer.partitions(topic) if TOPIC_NAME.fullmatch(topic) else None
        except Away as away:
            raise broker_away(str(away)) from None
        if count is None:
            raise no_topic(topic)
        return count


def _matches(topic: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(topic, pattern) for pattern in patterns)


def partition_number(topic: str, text: str, count: int) -> int:
    """The partition named in a path; raises Fault 404."""
    if not _PARTITION.fullmatch(text) or int(text) >= count:
        raise Fault(404, "PARTITION_NOT_FOUND", f"{topic} has no partition {text[:20]!r}, it has {count}")
    return int(text)


def no_topic(topic: str) -> Fault:
    return Fault(404, "TOPIC_NOT_FOUND", f"there is no topic {topic[:250]!r}")


def broker_away(reason: str) -> Fault:
    return Fault(503, "BROKER_UNAVAILABLE", reason, retry_after=RETRY_AFTER)
