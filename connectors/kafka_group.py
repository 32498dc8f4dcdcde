"""Reading the log as a member of a consumer group: librdkafka is the carrier of the live views.

A thread of its own polls the consumer, so that the group hears of this member however long a store takes. Batches of each
partition are handed on through a bounded number of slots; while none is free the partitions are paused, and polling goes on.

The group only decides who owns a partition. Where reading starts is the view's own stored position, which the thread
asks for at every assignment; the offset committed to the group is a gauge of lag and is never read.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from connectors.group_faults import Admission, Fenced, Fences, LeftOut, LostPosition, close
from connectors.group_options import GroupOptions
from connectors.group_positions import StartOf, stored_positions
from connectors.kafka_log import AWAY
from connectors.log_ends import LogEnds
from connectors.pending_batch import Collection, WentBack, next_due, runs
from schemas.log import Batch, TopicPartition

log = logging.getLogger(__name__)


class GroupReader:
    """One member of a view's consumer group.

    `start_of` gives the stored positions of partitions that were just assigned; it may raise Away and is then asked
    again. `deliver` takes a batch, from the reader's thread; whoever took it calls `release` when done with it.
    `on_lost(source, error)` is told when a partition can't be read on.
    """

    def __init__(
        self,
        options: GroupOptions,
        start_of: StartOf,
        deliver: Callable[[Batch], None],
        on_lost: Callable[[TopicPartition, Exception], None],
    ) -> None:
        self._options, self._start_of, self._deliver, self._on_lost = options, start_of, deliver, on_lost
        self._stop = threading.Event()
        self._slots = threading.Semaphore(options.slots)
        self._epochs: dict[TopicPartition, int] = {}
        self._given_up: dict[TopicPartition, int] = {}
        self._halted: set[TopicPartition] = set()
        self._epoch = 0
        self._collected = Collection()
        self._ends = LogEnds(options.bootstrap_servers)
        self._requests: deque[Callable[[], None]] = deque()
        self._folded: dict[TopicPartition, int] = {}
        self._admission = Admission(options.admission_timeout)
        self._heard = time.monotonic()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"reader-{options.group}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Leave; returns when the consumer is closed."""
        self._stop.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def release(self) -> None:
        """A delivered batch was dealt with."""
        self._slots.release()

    def current(self, batch: Batch) -> bool:
        """Whether the batch's partition is still read under the assignment the batch was read in, and nobody asked since
        to reread or halt it: batches behind a refused one are on their way already, and must not be taken for a gap."""
        return self._epochs.get(batch.source) == batch.epoch != self._given_up.get(batch.source)

    @property
    def heard(self) -> bool:
        """Whether the group heard of this member within a session's time. If not (the process was stopped or starved),
        others may own its partitions without this member knowing yet: nothing may be written until the next poll."""
        return time.monotonic() - self._heard < self._options.session_timeout

    def assigned(self) -> list[TopicPartition]:
        return list(self._epochs)

    def ends(self) -> dict[TopicPartition, int]:
        """For each assigned partition the end of what can be read, as of the last fetch: for the lag gauge."""
        try:
            highs = {source: self._high(source) for source in self.assigned()}
        except RuntimeError:  # the reader's thread has closed the client in this moment: nothing is assigned now
            return {}
        return {source: self._collected.known_end(source, high) for source, high in highs.items() if high >= 0}

    def _high(self, source: TopicPartition) -> int:
        return int(self._consumer.get_watermark_offsets(KafkaPartition(*source), cached=True)[1])  # negative before a fetch

    def folded(self, source: TopicPartition, following: int) -> None:
        """Report a stored position to the group, for those who watch its lag."""
        self._folded[source] = following

    def reread(self, sources: Iterable[TopicPartition]) -> None:
        """Ask the stored positions anew and go on from there."""
        for source in (wanted := list(sources)):
            self._give_up(source)
        self._requests.append(lambda: self._restart([s for s in wanted if self._epochs.get(s) == self._given_up[s]]))

    def halt(self, source: TopicPartition) -> None:
        """Read this partition no more until it is assigned again, or `revive` is called."""
        self._give_up(source)
        self._requests.append(lambda: self._halt(source))

    def revive(self, source: TopicPartition) -> None:
        """Read a halted partition again, from its stored position, if it is still this member's."""
        self._requests.append(lambda: self._revive(source))

    def _give_up(self, source: TopicPartition) -> None:
        self._given_up[source] = self._epochs.get(source, 0)

    # --- the reader's thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        fences = Fences()
        try:
            while not self._stop.is_set():
                try:
                    self._be_a_member()
                except (Fenced, LeftOut) as fault:
                    if fences.too_many(fault):
                        raise
                    log.warning("%s, member %s joins anew: %s", self._options.group, self._options.member, fault)
                    self._stop.wait(1.0)
        except BaseException as error:
            self.failure = error
            log.exception("reader of %s failed", self._options.group)

    def _be_a_member(self) -> None:
        self._consumer = Consumer(self._options.configuration(), logger=log)
        self._admission.wanted()
        try:
            self._consumer.subscribe(
                list(self._options.topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_revoke
            )
            self._poll_until_stopped()
        finally:
            for source in list(self._epochs):
                self._forget(source)
            self._ends.close()
            close(self._consumer)

    def _poll_until_stopped(self) -> None:
        last_commit = time.monotonic()
        while not self._stop.is_set():
            while self._requests:
                self._requests.popleft()()
            self._admission.check()
            messages = self._consumed()
            self._take(messages)
            if self._options.to_the_end and not messages:
                for source in self._epochs:
                    self._ends.look(self._collected, source, self._high(source), self._heard)
            self._hand_on(caught_up=len(messages) < self._options.records)
            if time.monotonic() - last_commit > 1.0:
                self._commit()
                last_commit = time.monotonic()

    def _consumed(self) -> list[Message]:
        return self._consumer.consume(self._options.records, min(0.1, self._options.seconds))  # type: ignore[no-any-return]

    def _take(self, messages: Sequence[Message]) -> None:
        self._heard = time.monotonic()
        data = []
        for message in messages:
            error = message.error()
            if error is None:
                data.append(message)
            else:
                self._failed(TopicPartition(message.topic(), message.partition()), error)
        for source, run in runs(data):
            self._read_on(source, run)

    def _read_on(self, source: TopicPartition, run: Sequence[Message]) -> None:
        try:
            self._collected.add(source, run, self._heard)
        except WentBack as error:
            self._halt(source)
            self._on_lost(source, LostPosition(str(error)))

    def _failed(self, source: TopicPartition, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET or error.code() == KafkaError.OFFSET_OUT_OF_RANGE:
            at = self._collected.position(source)
            self._halt(source)
            self._on_lost(source, LostPosition(f"{source}, read from offset {at}: {error.str()}"))
        elif error.fatal() or error.code() == KafkaError._FATAL:
            raise Fenced(error.str())
        elif error.code() not in AWAY:
            log.warning("%s: %s", source, error.str())  # it tries again by itself; usually a topic is not there yet

    def _hand_on(self, caught_up: bool) -> None:
        now, collecting = time.monotonic(), self._collected.pending
        while (source := next_due(collecting, self._options, caught_up, now)) is not None:
            pending = collecting[source]
            if not self._wait_for_slot():
                return
            if collecting.get(source) is not pending:  # revoked during the wait, and perhaps assigned anew
                self._slots.release()
                continue
            del collecting[source]
            self._deliver(pending.batch(source, self._epochs[source]))

    def _wait_for_slot(self) -> bool:
        """Take a slot. While there is none, fetch nothing but go on polling: a rebalance must find this member."""
        if self._slots.acquire(timeout=0.5):
            return True
        self._each_assigned(lambda partition: self._consumer.pause([partition]))
        try:
            while not self._stop.is_set():
                self._take([message] if (message := self._consumer.poll(0.05)) is not None else [])
                if self._slots.acquire(timeout=0.05):
                    return True
        finally:
            # Where to go on is told, not left to the client: what it counts is not always a record (connectors.log_ends).
            self._each_assigned(self._consumer.seek)
            self._each_assigned(lambda partition: self._consumer.resume([partition]))
        return False

    def _each_assigned(self, call: Callable[[KafkaPartition], None]) -> None:
        for source in list(self._epochs):
            try:
                call(KafkaPartition(*source, self._collected.position(source)))
            except KafkaException as error:
                log.debug("pause of %s: %s", source, error)  # revoked in this very moment: it need not be paused

    def _on_assign(self, consumer: Consumer, partitions: Sequence[KafkaPartition]) -> None:
        sources = [TopicPartition(p.topic, p.partition) for p in partitions]
        self._admission.granted()
        starts = self._stored(sources)
        self._begin(sources, starts)
        assigned = [KafkaPartition(s.topic, s.partition, starts[s]) for s in sources]
        consumer.assign(assigned)
        consumer.resume(assigned)  # the client keeps a pause over assignments
        log.info("assigned %s", ", ".join(f"{s}@{starts[s]}" for s in sources) or "nothing")

    def _on_revoke(self, consumer: Consumer, partitions: Sequence[KafkaPartition]) -> None:
        consumer.unassign()
        if consumer is self._consumer:  # else it was given up, and ends at last
            for partition in partitions:
                self._forget(TopicPartition(partition.topic, partition.partition))
            self._admission.wanted()
            log.info("revoked %d partitions", len(partitions))

    def _stored(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return stored_positions(self._start_of, sources, self._options.group, self._stop, self._hear)

    def _hear(self) -> None:
        self._heard = time.monotonic()

    def _begin(self, sources: Iterable[TopicPartition], starts: Mapping[TopicPartition, int]) -> None:
        self._epoch += 1
        for source in sources:
            self._forget(source)
            self._epochs[source] = self._epoch
            self._collected.begin(source, starts[source])

    def _forget(self, source: TopicPartition) -> None:
        for table in (self._epochs, self._folded):
            table.pop(source, None)
        self._halted.discard(source)
        self._collected.forget(source)
        self._ends.forget(source)

    def _restart(self, sources: Sequence[TopicPartition]) -> None:
        starts = self._stored(sources)
        self._begin(sources, starts)
        for source in sources:
            self._consumer.seek(KafkaPartition(source.topic, source.partition, starts[source]))
            log.info("reread %s from %d", source, starts[source])

    def _halt(self, source: TopicPartition) -> None:
        if source in self._epochs:
            self._forget(source)
            self._halted.add(source)
            self._consumer.pause([KafkaPartition(*source)])

    def _revive(self, source: TopicPartition) -> None:
        if source in self._halted:
            self._restart([source])
            self._consumer.resume([KafkaPartition(*source)])

    def _commit(self) -> None:
        folded, self._folded = self._folded, {}
        if offsets := [KafkaPartition(s.topic, s.partition, following) for s, following in folded.items()]:
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except KafkaException as error:  # only a gauge: the next commit a second later says the same and more
                log.debug("commit: %s", error)
