"""How fast telemetry gets from the log into ClickHouse: our worker, beside ClickHouse's own Kafka engine and a bare insert.

A real broker holds one topic; the local ClickHouse server has a database for each contestant and round, with the same
table in it. The contestants take turns; the database is dropped before the next. A rate is taken at the server, from the
moment when the first rows are there (so that no start counts) to that when most are (the end waits for a timer in both).
Then all rows are compared: the Kafka engine's and ours must be the same to the byte.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from clickhouse_driver import Client

from infra import compose
from infra.bench import kafka_engine, one_schema
from infra.bench.clock import RowClock
from infra.bench.report import Figures
from infra.bench.topic import READINGS, SCHEMA_ID, TOPIC, Fleet, fill
from infra.settings import Settings
from infra.stack.harness import run_services, running_stack
from infra.stack.services import worker
from projections.telemetry import TELEMETRY
from schemas import contract as contracts

RECORDS = 600_000
DEVICES = 1_000
LIMIT = 90.0  # seconds that one contestant may take in one round
ENGINE, DRIVER = "kafka_engine", "clickhouse_driver"
TARGETS = {ENGINE: 3.0, DRIVER: 0.5}

ABOUT = """\
Rows/s of the view `telemetry` (a row per reading, three in a record) in ClickHouse, from a topic of Avro in Confluent
framing with 6 partitions. ClickHouse is the local server, the table (columns, order, index, fsync after each block) is
the same for all.

- `fleetlog`: one worker process as `fleetlog up` starts it, running this view: records checked against the contract,
  rows and position stored so that a crash neither loses nor doubles any. Its inserts turn `optimize_on_insert` off, which
  saves the server work; the others leave it on, as servers do by default;
- `kafka_engine`: ClickHouse's own Kafka engine (AvroConfluent, one consumer with a thread of its own, blocks of as many
  records as the worker's) and a materialized view; it runs inside the server;
- `clickhouse_driver`: the limit, blocks of the same rows inserted from memory as columns by clickhouse-driver.

Rates are the median of the rounds, seen at the server from the first rows there to 80 % of them; the driver's is the time
in its inserts; the details give it over the Kafka engine's as well. The rows of `fleetlog` and `kafka_engine` were the
same, by a hash of all columns per device."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What all contestants have in common."""

    settings: Settings
    registry: str
    records: int
    client: Client

    @property
    def rows(self) -> int:
        return self.records * READINGS


def run(seconds: float, records: int = RECORDS, settings: Settings | None = None) -> dict[str, Any]:
    """Run rounds for about `seconds` (at least one) on a topic of `records` records, with the defaults or other settings.

    Raises:
        StackError: the stack can't be started.
        RuntimeError: a contestant failed, or its rows are not those it had to write.
    """
    schema = contracts.load().topics[TOPIC].record.schema
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=("broker", "clickhouse"), settings=settings) as stack,
        one_schema.serving(SCHEMA_ID, schema) as registry,
    ):
        fill(stack.settings.kafka, Fleet(records, DEVICES))
        bench = Bench(stack.settings, registry, records, _client(stack.settings))
        rates = rounds(bench, seconds)
    middle = {name: median(values) for name, values in rates.items()}
    return Figures(
        bench="sink",
        unit="rows/s",
        ours=middle["fleetlog"],
        peers={ENGINE: middle[ENGINE]},
        limits={DRIVER: middle[DRIVER]},
        targets=TARGETS,
        about=ABOUT,
        detail={
            "records": records,
            "rows": bench.rows,
            "rounds": len(rates["fleetlog"]),
            "bare insert / Kafka engine": middle[DRIVER] / middle[ENGINE],
            "rates": rates,
        },
    ).result()


def rounds(bench: Bench, seconds: float) -> dict[str, list[float]]:
    """The rates of each contestant, round by round: as many rounds as fit into `seconds`, at least one."""
    rates: dict[str, list[float]] = {"fleetlog": [], ENGINE: [], DRIVER: []}
    started, longest = time.monotonic(), 0.0
    while not rates["fleetlog"] or time.monotonic() - started + longest < seconds:
        began, number = time.monotonic(), len(rates["fleetlog"])
        with fresh_database(bench, f"ours_{number}") as database:
            rates["fleetlog"].append(ours(bench, database))
            expected = digests(bench, database)
        with fresh_database(bench, f"engine_{number}") as database:
            rates[ENGINE].append(engine(bench, database))
            if digests(bench, database) != expected:
                raise RuntimeError("the rows of fleetlog and of the Kafka engine differ")
        with fresh_database(bench, f"driver_{number}") as database:
            rates[DRIVER].append(driver(bench, database))
        longest = max(longest, time.monotonic() - began)
    return rates


@contextmanager
def fresh_database(bench: Bench, name: str) -> Iterator[str]:
    """A database with our empty table; dropped at the end, so that its merges end too."""
    for statement in kafka_engine.create_tables(name):
        bench.client.execute(statement)
    try:
        yield name
    finally:
        bench.client.execute(f"DROP DATABASE {name} SYNC")


def ours(bench: Bench, database: str) -> float:
    """Rows/s of a worker that runs the view into `database`."""
    with tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory:
        settings = replace(
            bench.settings,
            data_dir=directory,
            views=TELEMETRY.name,
            clickhouse_database=database,
            registry_url=bench.registry,
        )
        with (
            RowClock(_counter(bench.settings, database), bench.rows, LIMIT) as clock,
            run_services((worker(settings, 0),), settings),
        ):
            return clock.rate()


def engine(bench: Bench, database: str) -> float:
    """Rows/s of ClickHouse's Kafka engine into `database`."""
    statements = kafka_engine.start(database, bench.settings.kafka, bench.registry, bench.settings.flush_records)
    with RowClock(_counter(bench.settings, database), bench.rows, LIMIT) as clock:
        for statement in statements:
            bench.client.execute(statement)
        return clock.rate()


def driver(bench: Bench, database: str) -> float:
    """Rows/s of inserts of as many rows by the bare driver into `database`."""
    settings = bench.settings
    where = (settings.clickhouse, settings.clickhouse_port, database, bench.records, settings.flush_records)
    command = [sys.executable, "-m", "infra.bench.peers.bare_insert", *map(str, where)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"the bare insert took more than {LIMIT:.0f} s") from error
    if done.returncode:
        raise RuntimeError(f"the bare insert ended with {done.returncode}: {done.stderr.strip()[-2_000:]}")
    figures = json.loads(done.stdout.splitlines()[-1])
    stored = _counter(settings, database)()
    if stored != bench.rows:
        raise RuntimeError(f"the bare insert wrote {stored} rows of {bench.rows}")
    return float(figures["records"] / figures["seconds"])


def digests(bench: Bench, database: str) -> dict[str, str]:
    """Per device a hash of all its rows, once each."""
    store = compose.clickhouse_store(replace(bench.settings, clickhouse_database=database), TELEMETRY)
    log = compose.log_reader(bench.settings)
    try:
        return store.digests(1, {source: end for source, (_, end) in log.bounds([TOPIC]).items()})
    finally:
        log.close()
        store.close()


def _counter(settings: Settings, database: str) -> Callable[[], int]:
    """A function that asks how many rows the database's table has."""
    client, name = _client(settings), f"{TELEMETRY.table.name}_v1"
    sql = f"SELECT sum(rows) FROM system.parts WHERE active AND database = '{database}' AND table = '{name}'"
    return lambda: int(client.execute(sql)[0][0])


def _client(settings: Settings) -> Client:
    return Client(
        settings.clickhouse,
        port=settings.clickhouse_port,
        user=settings.clickhouse_user,
        password=settings.clickhouse_password,
    )
