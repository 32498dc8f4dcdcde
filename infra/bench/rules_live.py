"""How long after a record was acknowledged an alert can be read: p99 under a steady load, beside a bare transaction."""

import math
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, Message, Producer

from infra import compose, rules
from infra.bench.bare_transactions import BARE, at_end, create_topic, forward
from infra.bench.report import Figures
from infra.bench.transport import cpu_seconds
from infra.settings import Settings
from infra.stack.harness import running_stack
from schemas.alert_messages import ALERTS, AlertFired
from schemas.codec import Encoder
from schemas.contract import load
from schemas.rule_messages import RULE_BOOK, RULE_COMMANDS, ApplyRules, WantedRule
from schemas.rules.document import Rule, canonical
from schemas.wire import prefix

PARTS = ("broker", "redis", "registry", "topics", "schemas", "workers")
TELEMETRY = "fleet.telemetry"
RATE, DEVICES, EVERY, STEP_SECONDS = 5_000, 1_000, 100, 0.01
TARGET_MILLISECONDS = 500.0
REST_SECONDS = 5.0  # for the last alerts to come
START_SECONDS = 30.0
WHEN = (
    "temperature > 100",
    'avg(temperature, "1m") > 1000',
    'count(temperature > 500, "5m") > 3',
    "temperature * 9 / 5 + 32 > 1000",
    'max(temperature, "10m") - min(temperature, "10m") > 1000',
)

ABOUT = """\
5,000 readings a second of 1,000 devices; one of a hundred fires the first of five rules on its device (three of them are
over windows). Milliseconds from the broker's answer to the producer until a reader of committed records has the alert,
p99; one worker runs everything. The peer, on the same broker in the same run: a bare process that reads the same readings
and writes a record for each that would fire, a transaction for each batch, with neither rules nor state. The worker is
stopped then."""


class Feed:
    """Writes readings, and knows when each that should fire was acknowledged."""

    def __init__(self, settings: Settings) -> None:
        topic = load().topics[TELEMETRY]
        number = compose.registry(settings).register(topic.subject(topic.record), topic.record.schema)
        self._start, self._encoder = prefix(number), Encoder(topic.record)
        self.producer = Producer(
            {"bootstrap.servers": settings.kafka, "partitioner": "murmur2_random", "linger.ms": 2, "acks": "all"}
        )
        self.acknowledged: dict[tuple[int, int], float] = {}
        self.sent = 0
        self._hot: set[str] = set()

    def run(self, seconds: float) -> float:
        """Write for so long; returns the rate."""
        began, before = time.monotonic(), self.sent
        while (now := time.monotonic()) < began + seconds:
            while self.sent - before < (now - began) * RATE:
                self._send()
            self.producer.poll(max(0.0, STEP_SECONDS - (time.monotonic() - now)))
        rate = (self.sent - before) / (time.monotonic() - began)
        self.producer.flush(30)
        return rate

    def _send(self) -> None:
        round_, index = divmod(self.sent, DEVICES)
        device, turn = f"device-{index:04}", (round_ - index) % EVERY
        if turn == 0:
            self._hot.add(device)
        elif turn == EVERY // 2:
            self._hot.discard(device)
        value, now = 120.0 if device in self._hot else 20.0, time.time_ns() // 1000
        record = {
            "event_id": str(uuid4()), "device_id": device, "occurred_at": now, "received_at": now, "boot_id": "b",
            "sequence": self.sent, "readings": [{"metric": "temperature", "at": now, "value": value, "unit": None}],
        }  # fmt: skip
        told = self._told if turn == 0 else None
        self.sent += 1
        value_bytes = self._start + self._encoder.encode(record)
        self.producer.produce(
            TELEMETRY, value_bytes, device.encode(), headers=[(BARE, b"")] if told else None, on_delivery=told
        )

    def _told(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged[message.partition(), message.offset()] = time.monotonic()


class Heard:
    """Reads committed records of a topic from its end on, in a thread of its own: when each cause's came."""

    def __init__(self, settings: Settings, topic: str, cause: Callable[[bytes], tuple[int, int] | None]) -> None:
        self.at: dict[tuple[int, int], float] = {}
        self._cause, self._stop = cause, threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka,
                "group.id": f"bench-{uuid4()}",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
            }
        )
        at_end(self._consumer, topic)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(1_000, 0.005):
                if message.error() is None and (cause := self._cause(message.value())) is not None:
                    self.at.setdefault(cause, time.monotonic())

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()


def run(seconds: float, rate_warm_up: float = 5.0) -> dict[str, Any]:
    """Half of the time with rules, half with the bare process; what warms up comes on top.

    Raises:
        StackError: a part of the stack can't be started.
        RuntimeError: alerts are missing, or came twice.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=PARTS, settings=Settings(views="device_state")) as stack,
    ):
        codecs = rules.Codecs(stack.settings)

        def fired(value: bytes) -> tuple[int, int] | None:
            event = codecs.alerts.decode(value)
            if isinstance(event, AlertFired) and event.rule_id == "rule-0" and event.cause is not None:
                return event.cause.partition, event.cause.offset
            return None

        feed = Feed(stack.settings)
        hot = _apply(stack.settings, codecs, feed, fired)
        feed.run(rate_warm_up)
        watched = _Watched(stack.settings, feed, stack.pid("worker-0"))
        ours = watched.measured(ALERTS, fired, seconds / 2)
        stack.stop("worker-0")
        with _bare(stack.settings.kafka) as pid:
            feed.run(rate_warm_up)
            bare = _Watched(stack.settings, feed, pid).measured(BARE, _named, seconds / 2)
    return figures(ours, bare, hot)


@contextmanager
def _bare(servers: str) -> Iterator[int]:
    """The bare process runs, and reads: its id."""
    create_topic(servers)
    spawn = get_context("spawn")
    ready, stop = spawn.Event(), spawn.Event()
    process = spawn.Process(target=forward, args=(servers, ready, stop), daemon=True)
    process.start()
    try:
        if not ready.wait(START_SECONDS):
            raise RuntimeError("the bare process did not begin to read")
        assert process.pid is not None
        yield process.pid
    finally:
        stop.set()
        process.join(START_SECONDS)


def _named(value: bytes) -> tuple[int, int]:
    partition, offset = value.decode().split("/")
    return int(partition), int(offset)


class Measured(NamedTuple):
    """Milliseconds, ascending; readings/s that were written meanwhile, and the processor time (of a core) that it took."""

    milliseconds: list[float]
    rate: float
    processor: float


class _Watched(NamedTuple):
    """What is measured: a process, and what it is fed with."""

    settings: Settings
    feed: Feed
    pid: int

    def measured(self, topic: str, cause: Callable[[bytes], tuple[int, int] | None], seconds: float) -> Measured:
        """
        Raises:
            RuntimeError: what should have come of a reading has not.
        """
        heard, feed = Heard(self.settings, topic, cause), self.feed
        feed.acknowledged.clear()
        began, spent = time.monotonic(), cpu_seconds(self.pid)
        rate = feed.run(seconds)
        spent = (cpu_seconds(self.pid) - spent) / (time.monotonic() - began)
        until = time.monotonic() + REST_SECONDS
        while feed.acknowledged.keys() - heard.at.keys() and time.monotonic() < until:
            time.sleep(0.05)
        heard.close()
        missing = feed.acknowledged.keys() - heard.at.keys()
        if missing or not feed.acknowledged:
            raise RuntimeError(f"{topic}: of {len(feed.acknowledged)} readings {len(missing)} had no consequence")
        return Measured(sorted(1e3 * (heard.at[one] - at) for one, at in feed.acknowledged.items()), rate, spent)


def _apply(settings: Settings, codecs: rules.Codecs, feed: Feed, fired: Callable[[bytes], tuple[int, int] | None]) -> float:
    """Put the rules in force; returns the seconds until alerts of every partition were there."""
    heard, identity = Heard(settings, ALERTS, fired), str(uuid4())
    feed.run(2.0)
    documents = [Rule(id=f"rule-{number}", input="telemetry", when=text) for number, text in enumerate(WHEN)]
    wanted = tuple(WantedRule(rule_id=one.id, document=canonical(one).decode(), expected_version=None) for one in documents)
    command = ApplyRules(
        command_id=identity, correlation_id=identity, actor="bench", issued_at=time.time_ns() // 1000, mode="live",
        rules=wanted,
    )  # fmt: skip
    feed.producer.produce(RULE_COMMANDS, codecs.messages(RULE_COMMANDS).encode(command), RULE_BOOK.encode())
    feed.producer.flush(10)
    began = time.monotonic()
    while {partition for partition, _ in heard.at} != set(range(load().topics[TELEMETRY].partitions)):
        if time.monotonic() > began + 60:
            raise RuntimeError("the rules never were in force")
        feed.run(0.2)
    took = max(at for at in _firsts(heard).values()) - began
    heard.close()
    return took


def _firsts(heard: Heard) -> dict[int, float]:
    found: dict[int, float] = {}
    for (partition, _), at in heard.at.items():
        found[partition] = min(at, found.get(partition, math.inf))
    return found


def figures(ours: Measured, bare: Measured, hot: float) -> dict[str, Any]:
    """What was measured, as the bench's figures. `hot`: seconds."""
    return Figures(
        bench="rules-live",
        unit="ms (p99)",
        ours=_quantile(ours.milliseconds, 0.99),
        peers={"bare transaction": _quantile(bare.milliseconds, 0.99)},
        limits={"500 ms": TARGET_MILLISECONDS},
        targets={"500 ms": 1.0},
        smaller_is_better=True,
        about=ABOUT,
        detail={
            "records_per_second": round(ours.rate),
            "alerts": len(ours.milliseconds),
            "p50_ms": round(_quantile(ours.milliseconds, 0.5), 1),
            "bare_p50_ms": round(_quantile(bare.milliseconds, 0.5), 1),
            "processor_of_the_worker": round(ours.processor, 2),
            "processor_of_the_bare_process": round(bare.processor, 2),
            "seconds_until_a_rule_fires_in_all_partitions": round(hot, 2),
        },
    ).result()


def _quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]
