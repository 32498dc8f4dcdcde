"""A replay, put together: from the log and its archive into another topic or a file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from connectors.kafka_copy import TopicCopier
from connectors.registry import ConfluentRegistry
from infra import compose
from infra.archive import chosen
from infra.replay_files import SUFFIXES, RecordsFile
from infra.settings import Settings
from infra.stack.registry import JOURNAL
from schemas import contract as contracts
from schemas.contract import Topic
from schemas.expressions import Condition
from schemas.record_columns import BatchDecoder, decoder_of
from streams.replay import Chosen, OutOfRange, Pace, Replay, Span, Tally


class NotAllowed(ValueError):
    """Records may not go there; the message says why."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`into`: a topic, or a path that ends in one of SUFFIXES. `reason`: why records are forced into a topic of the fleet;
    empty: they are not. `rate`: records a second, None: no limit."""

    topic: str
    into: str
    span: Span
    where: str = ""
    rate: float | None = None
    reason: str = ""


def replay(settings: Settings, wanted: Wanted, report: Callable[[Tally], None]) -> Tally:
    """Replay; returns what was done. A file is written whole or not at all.

    Raises:
        NotAllowed, BadCondition, UnknownTopic, NoTopic: nothing was read.
        OutOfRange: there are no such records; nothing was written.
        Away, Refused, Damaged: the log, the registry or the archive.
    """
    topic = _topic(wanted.topic)
    path = _file(wanted)
    _demand_allowed(wanted, path)
    condition = Condition(wanted.where, topic.records) if wanted.where else None
    log, schemas = compose.whole_log(settings), compose.registry(settings)
    try:
        decoder = _decoder(topic, schemas) if path or condition else None
        one = Replay(log, decoder, condition, report)
        if path is not None:
            _to_file(one, wanted, RecordsFile(path, topic.records))
        else:
            _to_topic(one, wanted, TopicCopier(settings.kafka, wanted.into, wanted.reason))
        return one.tally
    finally:
        log.close()
        schemas.close()


def _topic(name: str) -> Topic:
    (known,) = chosen([name])
    return contracts.load().topics[known]


def _decoder(topic: Topic, schemas: ConfluentRegistry) -> BatchDecoder:
    return decoder_of(topic, schemas.schema)


def _file(wanted: Wanted) -> Path | None:
    path = Path(wanted.into)
    if path.suffix in SUFFIXES:
        return path
    if "/" in wanted.into:
        raise NotAllowed(f"{wanted.into}: a file's name must end in one of {', '.join(SUFFIXES)}")
    return None


def _demand_allowed(wanted: Wanted, path: Path | None) -> None:
    if path is not None:
        if path.exists():
            raise NotAllowed(f"{path} is there already")
        if not path.absolute().parent.is_dir():
            raise NotAllowed(f"there is no folder {path.absolute().parent}")
        return
    if wanted.into.startswith("__") or wanted.into == JOURNAL:
        raise NotAllowed(f"{wanted.into} belongs to the broker or the registry")
    fleet = wanted.into.startswith("fleet.") or wanted.into in contracts.load().topics
    if fleet and not wanted.reason:
        raise NotAllowed(
            f"{wanted.into} is a topic of the fleet: views and deciders would take these records for new ones; "
            "--force --reason TEXT writes them all the same"
        )


def _to_file(one: Replay, wanted: Wanted, file: RecordsFile) -> None:
    pace = Pace(wanted.rate)
    try:
        for picked in one.run(wanted.topic, wanted.span):
            for _ in pace.pieces(picked.records):
                pass
            assert picked.frame is not None
            file.write(picked.frame)
        _demand_any(one, wanted)
        file.finish()
    finally:
        file.close()


def _to_topic(one: Replay, wanted: Wanted, copier: TopicCopier) -> None:
    pace = Pace(wanted.rate)
    for picked in one.run(wanted.topic, wanted.span):
        _write(picked, pace, copier)
    copier.close()
    _demand_any(one, wanted)


def _write(picked: Chosen, pace: Pace, copier: TopicCopier) -> None:
    for piece in pace.pieces(picked.records):
        copier.write(piece)


def _demand_any(one: Replay, wanted: Wanted) -> None:
    if not one.tally.read:
        raise OutOfRange(f"{wanted.topic} has no record in the range that was asked for")
    if not one.tally.passed:
        raise OutOfRange(f"none of {one.tally.read:,} records of {wanted.topic} in the range is as asked for")
