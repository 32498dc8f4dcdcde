"""fleetlog's own carrier, put together as a worker does it (infra.compose), with the view device_state in memory: group
reader, Faust agent, columnar decoder, fold, and a conditional write of documents and position."""

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import faust

from connectors.group_options import GroupOptions
from connectors.kafka_group import GroupReader
from connectors.memory import MemoryKeyedStore
from connectors.ports import Document
from infra.bench.peers.result import Stopwatch, Task, fresh_group
from infra.bench.topic import TOPIC
from infra.settings import Settings
from projections.catalogue import DEVICE_STATE
from schemas import contract as contracts
from schemas.columns import ColumnDecoder
from schemas.log import Batch, TopicPartition
from streams.limits import Limit
from streams.live import attach, make_app
from streams.runner import Handled, KeyedWriter, Runner


class Contestant:
    """Counts the records folded (Monitor of streams.live) and knows when reading starts (start_of of the reader)."""

    def __init__(self, task: Task, store: MemoryKeyedStore) -> None:
        self._task, self._store, self._watch = task, store, Stopwatch()
        self._folded = 0

    def make_reader(self, start_of: Any, deliver: Any, on_lost: Any) -> GroupReader:
        defaults = Settings()
        options = GroupOptions(
            bootstrap_servers=self._task.servers,
            group=fresh_group("fleetlog-carrier"),
            member="fleetlog-carrier.0",
            topics=(TOPIC,),
            records=defaults.fetch_records,
            session_timeout=defaults.session_timeout,
        )
        return GroupReader(options, partial(self._start_of, start_of), deliver, on_lost)

    def _start_of(self, start_of: Any, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The clock starts when the partitions are assigned, before the first fetch, as the reader's first record is
        not seen from outside: to this contestant's disadvantage."""
        starts: dict[TopicPartition, int] = start_of(sources)
        self._watch.start(before=0)
        return starts

    def folded(self, view: str, batch: Batch, handled: Handled, seconds: float) -> None:
        self._folded += handled.records - handled.set_aside
        if self._folded >= self._task.records:
            documents = dict(self._store.scan(1))
            counted = _total(documents, "count.telemetry")
            if counted != self._folded:
                raise SystemExit(f"{self._folded} records were folded, the documents count {counted}")
            self._watch.finish(self._folded, devices=len(documents), readings=_total(documents, "count.readings"))

    def waiting(self, view: str, source: TopicPartition, error: BaseException) -> None:
        raise SystemExit(f"{source} waits: {error}")

    def halted(self, view: str, source: TopicPartition, error: BaseException) -> None:
        raise SystemExit(f"{source} halted: {error}")

    def lag(self, view: str, lags: dict[TopicPartition, int]) -> None:
        """Not measured."""


def _total(documents: Mapping[str, Document], counter: str) -> int:
    return sum(int(document[counter]) for document in documents.values())


def main() -> None:
    logging.basicConfig(level="WARNING")
    task, store = Task.of_command_line(), MemoryKeyedStore()
    store.prepare(1)
    record = contracts.load().topics[TOPIC].record
    decoders = {TOPIC: ColumnDecoder(record, lambda schema_id: record.schema)}
    defaults = Settings()
    limit = Limit(defaults.dead_letter_run, defaults.dead_letter_ratio, defaults.dead_letter_window)
    runner = Runner(DEVICE_STATE, KeyedWriter(DEVICE_STATE, store), decoders, limit, 1)
    app = make_app("fleetlog-carrier", task.directory)
    contestant = Contestant(task, store)
    attach(app, runner, store.live, contestant.make_reader, contestant)
    faust.Worker(app, loglevel=None, override_logging=False, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
