"""How long a back-test takes: a day of 1,000 devices, 8.64 million readings, a cut for each second."""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple

from connectors.memory_registry import MemoryRegistry
from infra.bench.made_day import EVERY, SECOND, START, MadeDay
from infra.bench.report import Figures
from schemas.contract import Contract, load
from schemas.log import TopicPartition
from schemas.message_types import message_types
from schemas.messages import Messages
from schemas.record_columns import decoder_of
from schemas.rules.document import Rule
from streams.alerts.lifecycle import AlertLifecycle
from streams.rules import facts
from streams.rules.annotations import annotator
from streams.rules.applied import applied
from streams.rules.backtest import Past, backtest
from streams.rules.cuts import COMMANDS, ORDER, REGISTRATION, RULES, Cut, Span
from streams.rules.evaluator import evaluator
from streams.rules.reading import Readers, facts_of
from streams.rules.state import State
from streams.rules.summary import summary

DEVICES, HOURS, PARTITIONS, PROCESSES = 1_000, 24, 6, 2
AT_MOST_SECONDS = 60.0
EXPRESSIONS = ("temperature > 100.0", 'avg(temperature, "5m") > 95.0')


ABOUT = """\
A back-test of a day of 1,000 devices, each with a reading every ten seconds: 8.64 million records of Avro are decoded, put
to one rule with `for: 2m` and played in 86,400 cuts for each of six partitions, in two processes. Readings in a second of
two cores, from the processor time of both; making the day up does not count. The limit is what a day in 60 seconds takes.
The other rule is over a window of five minutes."""


def run(seconds: float) -> dict[str, Any]:
    """A whole day if there are 60 seconds, else some hours of it."""
    hours = HOURS if seconds >= AT_MOST_SECONDS else max(1, int(seconds * HOURS / AT_MOST_SECONDS))
    found = measured(hours=hours)
    return Figures(
        bench="rules-backtest",
        unit="readings/s",
        ours=found[EXPRESSIONS[0]]["readings_per_second"],
        limits={"a day in 60 s": DEVICES * 86_400 / EVERY / AT_MOST_SECONDS},
        targets={"a day in 60 s": 1.0},
        about=ABOUT,
        detail={"hours": hours, "devices": DEVICES, **found},
    ).result()


class Timed:
    """A reader that knows how much processor time it took."""

    def __init__(self, day: MadeDay) -> None:
        self.day, self.seconds = day, 0.0

    def read(self, source: TopicPartition, start: int, stop: int) -> Any:
        began = time.process_time()
        batches = list(self.day.read(source, start, stop))
        self.seconds += time.process_time() - began
        return iter(batches)


class Part(NamedTuple):
    """What one partition took of a processor's time, all threads together, and came to."""

    seconds: float
    readings: int
    incidents: int


def measured(devices: int = DEVICES, hours: int = HOURS, processes: int = PROCESSES) -> dict[str, Any]:
    """The back-test of one rule, and of one over windows, each by itself. `seconds`: of processor time, shared by as many
    cores as there are processes, without that in which the day was made."""
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(abs, range(processes)))  # they are there
        return {text: _one(pool, text, devices, hours, processes) for text in EXPRESSIONS}


def _one(pool: ProcessPoolExecutor, text: str, devices: int, hours: int, processes: int) -> dict[str, Any]:
    began = time.perf_counter()
    parts = list(pool.map(part, [(text, devices, hours, partition) for partition in range(PARTITIONS)]))
    wall = time.perf_counter() - began
    busy, readings = sum(one.seconds for one in parts), sum(one.readings for one in parts)
    return {
        "seconds": round(busy / processes, 2),
        "wall_seconds_with_the_making_of_the_day": round(wall, 2),
        "readings": readings,
        "readings_per_second": round(readings / (busy / processes)),
        "cuts": hours * 3_600 * PARTITIONS,
        "incidents": sum(one.incidents for one in parts),
    }


def part(asked: tuple[str, int, int, int]) -> Part:
    """One partition of the day, in a process of its own."""
    text, devices, hours, partition = asked
    contract, registry = load(), MemoryRegistry()
    topic = contract.topics["fleet.telemetry"]
    day = MadeDay(registry.register(topic.subject(topic.record), topic.record.schema), devices, PARTITIONS)
    reader, rule = Timed(day), Rule(id="hot", input="telemetry", when=text, hold="2m")
    between = (START, START + hours * 3_600 * SECOND)
    past = Past(partition, _cuts(day, partition, hours))
    began = time.process_time()
    events = backtest(applied([rule], {}, START), past, between, reader, lambda number: _state(number, contract, registry))
    told = summary([one.event for one in events], between[1])
    return Part(time.process_time() - began - reader.seconds, day.records, len(told.incidents))


def _cuts(day: MadeDay, partition: int, hours: int) -> list[Cut]:
    source = TopicPartition("fleet.telemetry", partition)
    seconds = hours * 3_600 // EVERY * EVERY
    ends = [day.offset(partition, second) for second in range(seconds + 1)]
    return [
        Cut(second + 1, START + (second + 1) * SECOND, (Span(source, ends[second], ends[second + 1]),))
        for second in range(seconds)
    ]


def _state(partition: int, contract: Contract, registry: MemoryRegistry) -> State:
    def messages(name: str) -> Messages:
        topic = contract.topics[name]
        return Messages(topic, message_types(topic), registry.register, registry.schema)

    rows = [name for name in ORDER if name not in (RULES, COMMANDS)]
    readers = Readers(
        {name: messages(name) for name in (RULES, COMMANDS)},
        {name: decoder_of(contract.topics[name], registry.schema) for name in rows},
        facts_of(decoder_of(contract.topics[REGISTRATION], registry.schema, facts.RECORDS)),
    )
    return State(
        partition,
        PARTITIONS,
        readers,
        lambda event: evaluator(event.document, event.version, contract),
        AlertLifecycle(annotator()),
    )
