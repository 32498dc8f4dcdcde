"""Restore: the archive back into an empty cluster and registry, every record at its offset, every schema under its id."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from connectors.archive import Archive
from connectors.kafka_log import KafkaLog
from connectors.kafka_retention import KafkaRetention
from connectors.kafka_rewriter import KafkaRewriter
from connectors.kafka_topics import KafkaTopics
from connectors.registry_export import RegistryExports
from infra import compose
from infra.archive import registry_address
from infra.settings import Settings
from schemas import contract as contracts
from schemas.archive.manifest import Manifest
from schemas.archive.rewriting import Committed, Plain, steps
from schemas.archive.segment import Damaged
from schemas.contract import Topic
from schemas.log import TopicPartition
from schemas.wire import UnknownSchema
from streams.archive_check import check
from streams.archiving import archived_ends, usable_mark

AT_ONCE = 6  # partitions


class NotRestored(Exception):
    """Nothing can be restored here; the message says why. Nothing was changed, unless it says so."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. `groups`: of deciders and views, to where they stood at `marked_at` (milliseconds since 1970)."""

    topics: int
    partitions: int
    records: int
    schemas: int
    groups: int
    marked_at: int | None


Report = Callable[[TopicPartition, int], None]
"""Told of a partition and how many more of its records are written, from several threads."""


def restore(settings: Settings, report: Report = lambda source, records: None) -> Restored:
    """Bring everything back, then compare it with the archive, record by record.

    Raises:
        NotRestored: there is nothing in the archive, or something in the log, or the two do not fit.
        Damaged: the archive is; named by object.
        Away, Refused, Misplaced: while it was at work; begin again with an empty cluster.
    """
    archive = compose.archive(settings)
    manifests = {topic: found[0] for topic in archive.topics() if (found := archive.manifest(topic))}
    topics = _declared(archive, manifests)
    cluster = KafkaTopics(settings.kafka)
    log = KafkaLog(settings.kafka)
    try:
        _demand_empty(log, [topic.name for topic in cluster.describe()])
        marks = archive.marks()
        export = next((mark.registry for mark in reversed(marks) if mark.registry), "")
        schemas = _registry(settings, archive, export)
        cluster.apply(topics)
        records = _records(settings, archive, manifests, report)
        mark = usable_mark(marks, archived_ends(archive))
        for group, offsets in mark.groups.items() if mark else ():
            KafkaRetention(settings.kafka).commit(group, offsets)
        for finding in check(archive, log=log).findings:
            raise Damaged(f"restored, and then found: {finding.place}: {finding.what}")
    finally:
        log.close()
    partitions = sum(len(manifest.partitions) for manifest in manifests.values())
    groups = len(mark.groups) if mark else 0
    return Restored(len(manifests), partitions, records, schemas, groups, mark.taken_at if mark else None)


def _declared(archive: Archive, manifests: dict[str, Manifest]) -> list[Topic]:
    """The contract's topics, those that were archived with as many partitions as they had."""
    if not manifests:
        raise NotRestored(f"there is nothing in the archive {archive}")
    known = contracts.load().topics
    unknown = [topic for topic in manifests if topic not in known]
    if unknown:
        raise NotRestored(f"the contract declares no {', '.join(unknown)}, of which there is an archive")
    counts = {name: len(manifest.partitions) for name, manifest in manifests.items()}
    return [replace(topic, partitions=counts.get(name, topic.partitions)) for name, topic in known.items()]


def _demand_empty(log: KafkaLog, topics: list[str]) -> None:
    for source, (_, end) in log.bounds(topics).items():
        if end > 0:
            raise NotRestored(f"{source} holds {end} offsets: a restore needs a cluster without the fleet's records")


def _registry(settings: Settings, archive: Archive, export: str) -> int:
    """Bring the registry back where it is the local one; then every archived schema must be there under its id."""
    if export and not settings.registry_url:
        RegistryExports(registry_address(settings)).restore(archive.objects.get(export))
    registry = compose.registry(settings)
    ids = sorted(archive.schema_ids())
    for schema_id in ids:
        try:
            found = registry.schema(schema_id)
        except UnknownSchema:
            raise NotRestored(f"the registry at {settings.registry} has no schema {schema_id}, which records name") from None
        if found != archive.schema(schema_id):
            raise NotRestored(f"the registry at {settings.registry} has another schema under the id {schema_id}")
    return len(ids)


def _records(settings: Settings, archive: Archive, manifests: dict[str, Manifest], report: Report) -> int:
    sources = [
        TopicPartition(topic, partition)
        for topic, manifest in manifests.items()
        for partition in range(len(manifest.partitions))
    ]

    def partition(source: TopicPartition) -> int:
        return _partition(settings, archive, source, manifests[source.topic], report)

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="restore") as pool:
        return sum(pool.map(partition, sources))


def _partition(settings: Settings, archive: Archive, source: TopicPartition, manifest: Manifest, report: Report) -> int:
    segments = manifest.partitions[source.partition]
    first = manifest.span(source.partition)[0]
    with KafkaRewriter(settings.kafka, source) as rewriter:
        for step in steps(archive.records(source, segment, deep=True) for segment in segments):
            rewriter.take(step)
            if isinstance(step, Plain | Committed):
                report(source, len(step.records))
    if first:
        KafkaRetention(settings.kafka).delete({source: first})
    return sum(segment.records for segment in segments)
