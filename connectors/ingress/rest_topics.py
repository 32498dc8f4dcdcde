"""The topics that Kafka-REST writes and shows, to those who may."""

import re

from connectors.http.request import Fault
from connectors.ingress.access import Access
from connectors.ingress.delivery import RETRY_AFTER
from connectors.ingress.options import Producer
from connectors.ports import Away
from schemas.contract import Contract, Topic

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_PARTITION = re.compile(r"[0-9]{1,10}")


class RestTopics:
    """Says which topics are open to a caller, and what the producer knows of them."""

    def __init__(self, access: Access, contract: Contract, producer: Producer) -> None:
        self.access, self._contract, self._producer = access, contract, producer

    def declared(self, topic: str) -> Topic | None:
        """The topic in the contract; None of one that is not the fleet's."""
        return self._contract.topics.get(topic)

    def check_seen(self, caller: str, topic: str) -> None:
        """Raises Fault 403 where the caller may not know of a topic, whether or not it is there."""
        if not self.access.may_see(caller, topic):
            raise forbidden(topic)

    def check_writable(self, caller: str, topic: str) -> None:
        """Raises Fault 403 where the caller may not write a topic, or no longer: requests may take their time."""
        if not self.access.may_write(caller, topic):
            raise forbidden(topic)

    def check_broker(self) -> None:
        """Raises Fault 503 while the broker is known to be away, so that nobody waits for it."""
        if self._producer.away:
            raise broker_away(self._producer.away)

    async def changed(self) -> None:
        """Topics were made, deleted or given more partitions: those who write are to know."""
        await self._producer.reread()

    async def names(self, caller: str) -> list[str]:
        """All topics that are there and that the caller may know of; raises Fault 503."""
        try:
            return sorted(name for name in await self._producer.listed() if self.access.may_see(caller, name))
        except Away as away:
            raise broker_away(str(away)) from None

    async def writable(self, caller: str, topic: str) -> int:
        """Partitions of a topic that the caller may write.

        Raises:
            Fault: 403 it may not, 404 the topic is not there, 503 the broker is away.
        """
        self.check_writable(caller, topic)
        try:
            count = await self._producer.partitions(topic) if TOPIC_NAME.fullmatch(topic) else None
        except Away as away:
            raise broker_away(str(away)) from None
        if count is None:
            raise no_topic(topic)
        return count


def forbidden(topic: str) -> Fault:
    return Fault(403, "TOPIC_FORBIDDEN", f"{topic[:250]!r} is not open to this API key")


def partition_number(topic: str, text: str, count: int) -> int:
    """The partition named in a path; raises Fault 404."""
    if not _PARTITION.fullmatch(text) or int(text) >= count:
        raise Fault(404, "PARTITION_NOT_FOUND", f"{topic} has no partition {text[:20]!r}, it has {count}")
    return int(text)


def no_topic(topic: str) -> Fault:
    return Fault(404, "TOPIC_NOT_FOUND", f"there is no topic {topic[:250]!r}")


def broker_away(reason: str) -> Fault:
    return Fault(503, "BROKER_UNAVAILABLE", reason, retry_after=RETRY_AFTER)
