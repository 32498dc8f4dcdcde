"""One set of stores for all modules that run on a real stack, lent to one after the other.

The broker, Redis, ClickHouse and the registry with the contract's schemas are started once; a module has processes of its
own beside them, with settings of its own, and finds the stores as new: its predecessor's topics, groups, keys, tables and
subjects are gone. What a module kills or freezes must be up again at its end; the next one waits for it.

A stack of its own needs a module that looks into a store's files or settings, that finds the registry without schemas, or
whose subject is the start of the stack.
"""

import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import clickhouse_driver
import httpx
import redis
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, OffsetSpec

from connectors.kafka_topics import KafkaTopics
from infra.settings import Settings
from infra.stack.harness import Stack, running_beside
from infra.stack.service import StackError
from schemas.contract import load

SERVICES = ("broker", "redis", "clickhouse", "registry", "schemas")
EVERYTHING = ("broker", "redis", "clickhouse", "registry", "topics", "schemas", "authority", "ingress", "workers")
PATIENCE = 30.0  # seconds
GROUP_PATIENCE = 12.0  # ... that a group's dead members are remembered, at their usual session time-out
LEVEL = "BACKWARD"  # of the registry, where nothing else is set


class SharedStack:
    """The stores, and who has them."""

    def __init__(self, stores: Stack) -> None:
        """`stores` runs SERVICES."""
        self._stores, self._contract = stores, load()
        self._own_topics = set(
            AdminClient({"bootstrap.servers": stores.settings.kafka}).list_topics(timeout=PATIENCE).topics
        )
        self._is_clean, self._is_lent = True, False

    @contextmanager
    def lend(
        self, directory: Path, only: Sequence[str] = EVERYTHING, workers: int = 1, settings: Settings | None = None
    ) -> Iterator[Stack]:
        """As infra.stack.harness.running_stack with these arguments; to one at a time.

        `topics` in `only`: the contract's topics are there. The schemas are in any case.
        """
        assert not self._is_lent, "another module has them: its fixture must end with its module"
        self._recover()
        if not self._is_clean:
            self._clean()
        self._is_clean, self._is_lent = False, True
        if "topics" in only:
            self._declare_topics()
        own = [name for name in only if name != "topics"]
        try:
            with running_beside(self._stores, directory, own, workers, settings) as stack:
                yield stack
        finally:
            self._is_lent = False

    def _recover(self) -> None:
        for name in self._stores.names:
            if self._stores.state(name) == "stopped":
                self._stores.start(name)
            elif self._stores.state(name) != "done":
                self._thaw(name)
                self._stores.wait_healthy(name)

    def _thaw(self, name: str) -> None:
        try:
            self._stores.kill(name, signal.SIGCONT)
        except StackError:  # it is being started again, so it is not frozen
            return

    def _declare_topics(self) -> None:
        """Returns when every partition can be read: a leader that has been named may not know it yet."""
        topics = list(self._contract.topics.values())
        KafkaTopics(self._stores.settings.kafka).apply(topics)
        parts = [TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)]
        admin = AdminClient({"bootstrap.servers": self._stores.settings.kafka})
        until = time.monotonic() + PATIENCE
        while parts:
            asked = admin.list_offsets({part: OffsetSpec.latest() for part in parts}, request_timeout=PATIENCE)
            parts = [part for part, answer in asked.items() if answer.exception(PATIENCE) is not None]
            assert not parts or time.monotonic() < until, f"these partitions have no leader: {parts}"

    def _clean(self) -> None:
        settings = self._stores.settings
        admin = AdminClient({"bootstrap.servers": settings.kafka})
        self._forget_topics(admin)
        self._forget_groups(admin)
        with httpx.Client(base_url=settings.registry, timeout=PATIENCE) as client:
            self._forget_subjects(client)
        with redis.Redis.from_url(settings.redis) as client:
            client.flushall()
        with clickhouse_driver.Client(settings.clickhouse, settings.clickhouse_port) as client:
            client.execute(f"DROP DATABASE IF EXISTS {settings.clickhouse_database} SYNC")

    def _forget_topics(self, admin: AdminClient) -> None:
        """The broker names a deleted topic for a moment longer, and would then refuse to make it anew."""
        until = time.monotonic() + PATIENCE
        asked: set[str] = set()
        while left := self._lent_topics(admin):
            assert time.monotonic() < until, f"these topics are still there: {left}"
            if left - asked:
                _wait(admin.delete_topics(sorted(left - asked), operation_timeout=PATIENCE).values())
            asked |= left
            time.sleep(0.05)

    def _lent_topics(self, admin: AdminClient) -> set[str]:
        """The topics that are neither the broker's nor the registry's own."""
        return {name for name in admin.list_topics(timeout=PATIENCE).topics if not name.startswith("__")} - self._own_topics

    def _forget_groups(self, admin: AdminClient) -> None:
        """A group with a member that nobody hears of any more can go only when the broker has given it up; if that takes
        longer than usual, it stays, with no offsets: its topics are gone."""
        until = time.monotonic() + GROUP_PATIENCE
        while (groups := self._lent_groups(admin)) and time.monotonic() < until:
            _wait(admin.delete_consumer_groups(groups).values(), KafkaError.NON_EMPTY_GROUP, KafkaError.GROUP_ID_NOT_FOUND)

    def _lent_groups(self, admin: AdminClient) -> list[str]:
        """The groups that are not the registry's, which reads topics of its own."""
        names = [group.group_id for group in admin.list_consumer_groups().result(PATIENCE).valid]
        found = [answer.result(PATIENCE) for answer in admin.describe_consumer_groups(names).values()] if names else []
        return [group.group_id for group in found if not self._own_topics & _read_by(group)]

    def _forget_subjects(self, client: httpx.Client) -> None:
        kept = {topic.subject(record) for topic in self._contract.topics.values() for record in topic.records}
        for permanent in ("false", "true"):
            for name in set(_asked(client, "GET", "/subjects", deleted=permanent)) - kept:
                _asked(client, "DELETE", f"/subjects/{quote(name, safe='')}", permanent=permanent)
        if _asked(client, "GET", "/config") != {"compatibilityLevel": LEVEL}:
            client.put("/config", json={"compatibility": LEVEL}).raise_for_status()


def _read_by(group: ConsumerGroupDescription) -> set[str]:
    """Topics of its members."""
    return {each.topic for member in group.members for each in member.assignment.topic_partitions}


def _asked(client: httpx.Client, method: str, path: str, **parameters: str) -> Any:
    """The answer; a registry whose broker was away a moment ago may need a little time."""
    until = time.monotonic() + PATIENCE
    while (answer := client.request(method, path, params=parameters)).status_code == 503 and time.monotonic() < until:
        time.sleep(0.5)
    return answer.raise_for_status().json()


def _wait(answers: Iterable[Future[Any]], *ignored: int) -> None:
    for answer in answers:
        try:
            answer.result(PATIENCE)
        except KafkaException as error:
            if error.args[0].code() not in ignored:
                raise
            time.sleep(0.2)
