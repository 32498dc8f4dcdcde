"""The day that the back-test's bench makes up is a day of records that decode."""

from connectors.memory_registry import MemoryRegistry
from infra.bench.made_day import START, MadeDay
from infra.bench.rules_backtest import part
from schemas.contract import load
from schemas.log import TopicPartition
from schemas.record_columns import decoder_of


def test_its_records_are_of_the_contract() -> None:
    topic, registry = load().topics["fleet.telemetry"], MemoryRegistry()
    day = MadeDay(registry.register(topic.subject(topic.record), topic.record.schema), 20, 6)
    (batch,) = day.read(TopicPartition("fleet.telemetry", 0), 0, day.offset(0, 60))
    read = decoder_of(topic, registry.schema).decode(batch.values)
    assert not read.faults
    assert len(read.frame) == 6 * len(day.devices[0]) > 0
    assert read.frame["received_at"].is_sorted()
    assert read.frame["received_at"][0] == START


def test_a_small_day_has_incidents() -> None:
    found = part(("temperature > 100.0", 60, 2, 0))
    assert found.readings > 1_000
    assert found.incidents > 0
