"""The archive, put together: archiving, checking and guarding the log of the settings."""

import time
from collections.abc import Callable, Sequence

from connectors.kafka_log import KafkaLog
from connectors.kafka_retention import KafkaRetention
from connectors.registry_export import RegistryExports
from infra import compose
from infra.settings import Settings
from projections.catalogue import CATALOGUE
from schemas import contract as contracts
from schemas.log import TopicPartition
from streams.archive_check import Report, check
from streams.archive_guard import Verdict, guard
from streams.archiving import Archiver, Closing, Outcome, Surroundings

GROUPS = "fleetlog."  # what the groups of views and deciders begin with


class UnknownTopic(ValueError):
    """The contract declares no such topic."""


def chosen(topics: Sequence[str]) -> list[str]:
    """The topics, all of the contract for none. Raises UnknownTopic."""
    known = contracts.load().topics
    for topic in topics:
        if topic not in known:
            raise UnknownTopic(f"there is no topic {topic!r}; there are {', '.join(known)}")
    return list(topics or known)


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Archiving:
    """Archives and guards topics of a log; `close` it at the end. Calls may raise what streams.archiving and
    streams.archive_guard say."""

    def __init__(self, settings: Settings, topics: Sequence[str] = ()) -> None:
        """Raises UnknownTopic."""
        self._topics, self._settings = chosen(topics), settings
        self._archive, self._log = compose.archive(settings), KafkaLog(settings.kafka)
        self._retention = KafkaRetention(settings.kafka)
        closing = Closing(settings.archive_offsets, settings.archive_bytes, int(settings.archive_seconds * 1000))
        self._archiver = Archiver(self._log, self._archive, self._surroundings(), closing)

    def run(self, all_of_it: bool, report: Callable[[Outcome], None] = lambda outcome: None) -> list[Outcome]:
        return self._archiver.run(self._topics, all_of_it, report)

    def guard(self, dry: bool) -> list[Verdict]:
        """`dry`: nothing is deleted."""
        needed, known = self.needed(), contracts.load().topics
        delete = None if dry else self._retention.delete
        return [
            verdict
            for topic in self._topics
            for verdict in guard(known[topic], self._log, self._archive, milliseconds(), needed, delete)
        ]

    def needed(self) -> dict[TopicPartition, int]:
        """The least offset of each partition that a live view or a group has still to read."""
        found: dict[TopicPartition, int] = {}
        stands = [
            (TopicPartition.parse(source), offset)
            for offsets in self.groups().values()
            for source, offset in offsets.items()
        ]
        partitions = self._log.bounds(self._topics)
        for view in CATALOGUE:
            store = compose.store(self._settings, view)
            try:
                positions = store.positions(store.live())
            finally:
                store.close()
            stands += [(source, positions.get(source, 0)) for source in partitions if source.topic in view.topics]
        for source, offset in stands:
            found[source] = min(offset, found.get(source, offset))
        return found

    def groups(self) -> dict[str, dict[str, int]]:
        """Where the deciders' groups stand, by group and TOPIC/PARTITION. Of a view the group is a gauge only."""
        of_views = {f"{GROUPS}{view.name}" for view in CATALOGUE}
        names = [name for name in self._retention.names(GROUPS) if name not in of_views]
        sources = sorted(self._log.bounds(list(contracts.load().topics))) if names else []
        found = {name: self._retention.committed(name, sources) for name in names}
        return {name: offsets for name, offsets in found.items() if offsets}

    def close(self) -> None:
        self._log.close()

    def _surroundings(self) -> Surroundings:
        settings, registry = self._settings, compose.registry(self._settings)
        return Surroundings(self.groups, registry.schema, self._exported(settings), milliseconds)

    def _exported(self, settings: Settings) -> Callable[[], str]:
        if settings.registry_url:  # an outside registry keeps its own backup; schemas are archived by id all the same
            return lambda: ""
        exports = RegistryExports(registry_address(settings))
        return lambda: self._archive.put_registry(*exports.export())


def registry_address(settings: Settings) -> str:
    """The address of the registry behind the front."""
    return f"http://{settings.host}:{settings.registry_backend_port}"


def verify(settings: Settings, deep: bool, against_log: bool) -> Report:
    """What is wrong with the archive. Raises what streams.archive_check.check does."""
    archive = compose.archive(settings)
    if not against_log:
        return check(archive, deep)
    log = KafkaLog(settings.kafka)
    try:
        return check(archive, deep, log)
    finally:
        log.close()
