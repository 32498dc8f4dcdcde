"""How fast the carrier reads, decodes and folds telemetry, beside others on the same topic.

A real broker holds one topic of records with three readings. Each contestant is a process of its own and runs alone,
reading from the beginning; its time is that from its first record to its last, so its start does not count. The
contestants take turns, round after round, and the median counts. Slow ones read only the first part of the topic.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from infra.bench.report import Figures
from infra.bench.topic import Fleet, fill
from infra.stack.harness import running_stack

RECORDS = 600_000
DEVICES = 1_000
LIMIT = 60.0  # seconds that one contestant may take in one round, start included


@dataclass(frozen=True, slots=True)
class Contestant:
    """`module` is run with `python -m` (infra.bench.peers.result says how); it reads at most `records` records."""

    name: str
    module: str
    records: int


OURS = Contestant("fleetlog", "fleetlog_carrier", RECORDS)
PEERS = (
    Contestant("faust", "faust_agent", 40_000),
    Contestant("quixstreams", "quixstreams_count", 200_000),
    Contestant("quixstreams_decode", "quixstreams_decode", 100_000),
    Contestant("bytewax", "bytewax_count", RECORDS),
    Contestant("bytewax_decode", "bytewax_decode", 200_000),
)
LIMITS = (Contestant("librdkafka", "bare_consume", RECORDS),)
TARGETS = {"faust": 20.0, "quixstreams": 3.0, "bytewax": 3.0, "librdkafka": 1 / 6}

ABOUT = """\
The carrier reads a topic of telemetry records (three readings each, Avro in Confluent framing, 6 partitions), decodes
them, folds them into the view `device_state` and writes documents and position together, into memory. Beside it:

- `faust`: a stock Faust agent with an Avro codec (fastavro) that counts readings by device in a dictionary;
- `quixstreams`, `bytewax`: their stateful count of records by device, which decodes nothing; changelogs are off;
- `quixstreams_decode`, `bytewax_decode`: the same count with every value decoded by fastavro, which is nearer to what
  fleetlog does;
- `librdkafka`: the limit, batches consumed and nothing done with them.

Rates are records/s of one process from its first record to its last, the median of the rounds. fleetlog's time starts
at the assignment of its partitions, a little before its first record."""


def run(seconds: float, records: int = RECORDS) -> dict[str, Any]:
    """Run rounds for about `seconds` (at least one) on a topic of `records` records.

    Raises:
        StackError: the broker can't be started.
        RuntimeError: a contestant failed; the message holds what it said.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=("broker",)) as stack,
    ):
        fill(stack.settings.kafka, Fleet(records, DEVICES))
        rates = rounds(stack.settings.kafka, records, seconds)
    middle = {name: median(values) for name, values in rates.items()}
    return Figures(
        bench="carrier",
        unit="records/s",
        ours=middle[OURS.name],
        peers={peer.name: middle[peer.name] for peer in PEERS},
        limits={limit.name: middle[limit.name] for limit in LIMITS},
        targets=TARGETS,
        about=ABOUT,
        detail={"records": records, "devices": DEVICES, "rounds": len(rates[OURS.name]), "rates": rates},
    ).result()


def rounds(servers: str, records: int, seconds: float) -> dict[str, list[float]]:
    """The rates of each contestant, round by round: as many rounds as fit into `seconds`, at least one."""
    rates: dict[str, list[float]] = {}
    started, longest = time.monotonic(), 0.0
    while not rates or time.monotonic() - started + longest < seconds:
        began = time.monotonic()
        for contestant in (OURS, *PEERS, *LIMITS):
            rates.setdefault(contestant.name, []).append(measure(contestant, servers, records))
        longest = max(longest, time.monotonic() - began)
    return rates


def measure(contestant: Contestant, servers: str, records: int) -> float:
    """Records/s of one run of a contestant on a topic of `records` records."""
    figures = contest(contestant, servers, records)
    return figures["records"] / figures["seconds"]


def contest(contestant: Contestant, servers: str, records: int) -> dict[str, float]:
    """What a contestant says after one run: see infra.bench.peers.result.

    Raises:
        RuntimeError: it failed, or took too long.
    """
    share = str(min(contestant.records, records))
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory:
        command = [sys.executable, "-m", f"infra.bench.peers.{contestant.module}", servers, share, directory]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"{contestant.name} took more than {LIMIT:.0f} s for {share} records") from error
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not said:
        raise RuntimeError(f"{contestant.name} ended with {done.returncode}: {done.stderr.strip()[-2_000:]}")
    figures: dict[str, float] = json.loads(said[-1])
    return figures
