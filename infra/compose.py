"""Where adapters fill ports: everything that runs is put together here, from settings."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from connectors.archive import Archive
from connectors.archived_log import ArchivedLog
from connectors.chunks import Chunks
from connectors.clickhouse_chunks import ClickHouseChunks
from connectors.clickhouse_store import ClickHouseRowStore
from connectors.corrections import CorrectedLog, end_of_corrections, entries
from connectors.dead_letters import KafkaDeadLetters
from connectors.folder_objects import FolderObjects
from connectors.group_options import GroupOptions
from connectors.kafka_group import GroupReader
from connectors.kafka_log import KafkaLog
from connectors.leaves import Leaves
from connectors.ports import DeadLetters, KeyedStore, LogReader, RowStore, SchemaRegistry
from connectors.redis_leaves import RedisLeaves
from connectors.redis_store import RedisKeyedStore
from connectors.registry import ConfluentRegistry
from connectors.s3_objects import S3Objects, S3Options
from infra.settings import SettingError, Settings
from projections.catalogue import CATALOGUE
from projections.projection import KeyedProjection, Projection, RowProjection
from schemas import contract as contracts
from schemas.contract import Contract
from schemas.corrections import CORRECTIONS_TOPIC, Corrections
from schemas.log import TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages
from schemas.record_columns import BatchDecoder, decoder_of
from streams.limits import Limit
from streams.live import MakeReader
from streams.promotion import Unwritten
from streams.runner import Runner, writer

Store = KeyedStore | RowStore
LOG_BATCH = 20_000  # records that are read at a time


def log_reader(settings: Settings, corrections: int = 0) -> LogReader:
    """The log, read by position, in which the records count as the corrections before the offset `corrections` of their
    topic say (see streams/redrive for which that is).

    Raises:
        Away: there are corrections to be read, and the broker or the registry does not answer.
        BrokenCorrections: they can't be read.
    """
    log = whole_log(settings)
    if not corrections:
        return log
    try:
        return CorrectedLog(log, corrections_until(settings, log, corrections))
    except BaseException:
        log.close()
        raise


def whole_log(settings: Settings) -> ArchivedLog:
    """The archive and the log as one, with headers and timestamps, and without corrections."""
    log = KafkaLog(settings.kafka, batch_records=min(LOG_BATCH, settings.rebuild_records))
    return ArchivedLog(log, archive(settings))


def archive(settings: Settings) -> Archive:
    """The archive. A folder is made with its first object.

    Raises:
        SettingError: FLEETLOG_ARCHIVE names no place for one.
    """
    scheme, found, place = settings.archive.partition("://")
    if not found:
        return Archive(FolderObjects(Path(settings.archive).resolve() if settings.archive else settings.data / "archive"))
    bucket, _, prefix = place.strip("/").partition("/")
    if scheme != "s3" or not bucket:
        raise SettingError(f"FLEETLOG_ARCHIVE is {settings.archive!r}, neither a folder nor s3://BUCKET/PREFIX")
    keys = settings.archive_access_key, settings.archive_secret_key
    return Archive(S3Objects(S3Options(bucket, prefix, settings.archive_endpoint, settings.archive_region, *keys)))


def newest_corrections(settings: Settings) -> int:
    """The offset that the next correction will get. Raises Away."""
    log = KafkaLog(settings.kafka)
    try:
        return end_of_corrections(log)
    finally:
        log.close()


def corrections_until(settings: Settings, log: LogReader, until: int) -> Corrections:
    """The corrections in force before an offset of their topic. Raises as `log_reader`."""
    return Corrections.of(entries(log, corrections_codec(settings), until), until)


def corrections_codec(settings: Settings) -> Messages:
    """How corrections are written and read."""
    topic, schemas = contracts.load().topics[CORRECTIONS_TOPIC], registry(settings)
    return Messages(topic, message_types(topic), schemas.register, schemas.schema)


def registry(settings: Settings) -> ConfluentRegistry:
    return ConfluentRegistry(settings.registry)


def store(settings: Settings, projection: Projection) -> Store:
    """The store of one view."""
    if isinstance(projection, KeyedProjection):
        return RedisKeyedStore(settings.redis, projection.name)
    return clickhouse_store(settings, projection)


def clickhouse_store(settings: Settings, projection: RowProjection) -> ClickHouseRowStore:
    return ClickHouseRowStore(
        settings.clickhouse,
        settings.clickhouse_port,
        settings.clickhouse_user,
        settings.clickhouse_password,
        settings.clickhouse_database,
        projection.table,
    )


def hashes(settings: Settings, projection: Projection) -> Leaves | Chunks:
    """The hashes of one view's documents or rows."""
    if isinstance(projection, KeyedProjection):
        return RedisLeaves(settings.redis, projection.name)
    return ClickHouseChunks(
        settings.clickhouse,
        settings.clickhouse_port,
        settings.clickhouse_user,
        settings.clickhouse_password,
        settings.clickhouse_database,
        projection.table,
    )


def stores(settings: Settings) -> dict[str, Store]:
    """The store of every view, by name."""
    return {projection.name: store(settings, projection) for projection in CATALOGUE}


def decoders(projection: Projection, contract: Contract, schemas: SchemaRegistry) -> dict[str, BatchDecoder]:
    """A decoder for each topic that a view reads."""
    wanted = projection.records if isinstance(projection, KeyedProjection) else {}
    return {topic: decoder_of(contract.topics[topic], schemas.schema, wanted.get(topic)) for topic in projection.topics}


def dead_letters(settings: Settings, contract: Contract, schemas: SchemaRegistry) -> KafkaDeadLetters:
    return KafkaDeadLetters(settings.kafka, contract.topics["fleet.dead-letters"], schemas)


def runner_maker(
    settings: Settings,
    projection: Projection,
    store_of_view: Store,
    decoders_of_view: Mapping[str, BatchDecoder],
    letters: DeadLetters | None = None,
) -> Callable[[int], Runner]:
    """A function that makes the runner of one version of a view. Without `letters` it has no limit on bad records
    either: a rebuild leaves out what the live view set aside."""
    endless = Limit(run=2**62, ratio=1.0, window=2**62)
    limit = Limit(settings.dead_letter_run, settings.dead_letter_ratio, settings.dead_letter_window)
    return partial(
        Runner,
        projection,
        writer(projection, store_of_view),
        decoders_of_view,
        endless if letters is None else limit,
        dead_letters=letters,
    )


def effects_maker(
    projection: Projection, decoders_of_view: Mapping[str, BatchDecoder], letters: DeadLetters
) -> Callable[[Mapping[TopicPartition, int]], Runner]:
    """A function that makes a runner which only sets bad records aside, from some positions on."""
    endless = Limit(run=2**62, ratio=1.0, window=2**62)
    return lambda mark: Runner(projection, Unwritten(mark), decoders_of_view, endless, 0, dead_letters=letters)


def reader_maker(settings: Settings, projection: Projection, index: int) -> MakeReader:
    """A function that makes the group reader of a view in worker `index`."""
    keyed = isinstance(projection, KeyedProjection)
    options = GroupOptions(
        bootstrap_servers=settings.kafka,
        group=f"fleetlog.{projection.name}",
        member=f"fleetlog.{projection.name}.{index}",
        topics=projection.topics,
        records=settings.fetch_records if keyed else settings.flush_records,
        seconds=0.05 if keyed else settings.flush_seconds,
        session_timeout=settings.session_timeout,
        to_the_end=True,
    )
    return lambda start_of, deliver, on_lost: GroupReader(options, start_of, deliver, on_lost)
