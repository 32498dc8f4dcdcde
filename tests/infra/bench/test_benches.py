"""Each bench at a tiny size on real services: its figures have the documented shape, and all contestants did their work."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from infra.bench import carrier, decode, memory, rest, sink
from infra.bench.topic import READINGS, Fleet, fill
from infra.settings import Settings
from infra.stack.harness import Stack
from tests.shared_stack import SharedStack

pytestmark = pytest.mark.stack
RECORDS, DEVICES = 6_000, 50


def check(result: dict[str, Any], bench: str, others: set[str]) -> None:
    """The shape that `fleetlog bench --json` documents."""
    rates = {**result["peers"], **result["limits"]}
    assert result["bench"] == bench
    assert set(rates) == set(result["ratios"]) == others
    assert set(result["targets"]) <= others
    assert all(math.isfinite(rate) and rate > 0 for rate in (result["ours"], *rates.values()))
    assert result["ratios"] == {name: pytest.approx(result["ours"] / rate) for name, rate in rates.items()}


@pytest.fixture(scope="module")
def broker(shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with shared_stack.lend(tmp_path_factory.mktemp("bench"), only=("broker",)) as stack:
        fill(stack.settings.kafka, Fleet(RECORDS, DEVICES))
        yield stack


@pytest.mark.parametrize("contestant", [carrier.OURS, *carrier.PEERS, *carrier.LIMITS], ids=lambda one: one.name)
def test_a_contestant_of_the_carrier_reads_every_record(broker: Stack, contestant: carrier.Contestant) -> None:
    said = carrier.contest(contestant, broker.settings.kafka, RECORDS)
    assert said["seen"] == RECORDS
    assert 0 <= said["records"] <= said["seen"], "those that came in no time do not count"
    assert said["seconds"] > 0
    if contestant.name in ("fleetlog", "faust"):  # those that look into the records
        assert said["devices"] == DEVICES
        assert said["readings"] == RECORDS * READINGS


def test_a_contestant_that_fails_is_an_error_with_its_own_words(broker: Stack) -> None:
    broken = replace(carrier.OURS, name="broken", module="no_such_module")
    with pytest.raises(RuntimeError, match=r"broken ended with 1: .*no_such_module"):
        carrier.measure(broken, broker.settings.kafka, RECORDS)


def test_a_contestant_that_hangs_is_an_error(broker: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "LIMIT", 2.0)
    waiting = replace(carrier.LIMITS[0], records=10 * RECORDS)
    with pytest.raises(RuntimeError, match="librdkafka took more than 2 s"):
        carrier.measure(waiting, broker.settings.kafka, 10 * RECORDS)


def test_the_carrier_takes_one_round_at_least(broker: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "PEERS", ())
    rates = carrier.rounds(broker.settings.kafka, RECORDS, 0.0)
    assert {name: len(values) for name, values in rates.items()} == {"fleetlog": 1, "librdkafka": 1}


def test_the_carrier_compares_the_medians_of_all_rounds(broker: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [one.name for one in (carrier.OURS, *carrier.PEERS, *carrier.LIMITS)]
    rates = {name: [place + 1.0, 100.0, place + 2.0] for place, name in enumerate(names)}
    monkeypatch.setattr(carrier, "running_stack", lambda *_, **__: nullcontext(broker))
    monkeypatch.setattr(carrier, "fill", lambda *_: None)
    monkeypatch.setattr(carrier, "rounds", lambda *_: rates)
    result = carrier.run(0.0, RECORDS)
    check(result, "carrier", set(names) - {"fleetlog"})
    assert (result["ours"], result["peers"]["faust"]) == (2.0, 3.0)


def test_sink() -> None:
    """That all rows came, and that ours and the Kafka engine's are the same, `sink.run` itself insists on."""
    result = sink.run(0.0, RECORDS // 2, Settings(flush_records=50))
    check(result, "sink", {"kafka_engine", "clickhouse_driver"})
    assert result["detail"]["rows"] == RECORDS // 2 * READINGS
    assert result["detail"]["rounds"] == 1


def test_decode() -> None:
    check(decode.run(0.05), "decode", {"fastavro", "polars.read_avro"})


def test_memory() -> None:
    """That all was folded into every view, `memory.run` itself insists on."""
    result = memory.run(60.0, devices=300)
    check(result, "memory", {"at_most"})
    assert result["smaller_is_better"]
    assert 50 < result["detail"]["at_start"] <= result["detail"]["highest"]
    assert result["detail"]["records"] == 300 * memory.RECORDS_EACH


def test_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """That every record was written, `rest.run` itself insists on."""
    monkeypatch.setattr(rest, "WARM_UP", 0.1)
    monkeypatch.setattr(rest, "SHORTEST", 0.3)
    result = rest.run(0.0)
    check(result, "rest", {"uvicorn"})
    detail = result["detail"]
    assert detail["rounds"] == 1
    assert all(detail[f"{name}_records_per_s"] > 0 for name in ("batch", "stream", "librdkafka"))
    assert all(0 < detail[f"{name}_p50_ms"] <= detail[f"{name}_p99_ms"] for name in ("single", "batch", "stream"))
