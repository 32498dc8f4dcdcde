"""What the hashes of documents cost the live path, and how fast they find a flipped byte: on a real Redis, and in memory.

Rounds take turns with and without hashes, on the same records. Times are those of this process's own work (decoding and
folding are in it), on Redis with what Redis takes, which is one thread on the same machine.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from connectors.memory import MemoryKeyedStore
from connectors.ports import Change, KeyedStore, Leaf, Loaded
from connectors.redis_leaves import RedisLeaves
from connectors.redis_store import RedisKeyedStore
from infra.bench.report import Figures
from infra.bench.topic import TOPIC, Fleet, blocks
from infra.settings import Settings
from infra.stack.harness import running_stack
from projections.catalogue import DEVICE_STATE
from projections.updates import Update, changes
from schemas import contract as contracts
from schemas.columns import ColumnDecoder
from schemas.log import Batch, TopicPartition
from schemas.partitioner import partition_of
from streams.limits import Limit
from streams.prove import Documents
from streams.refold import Source
from streams.roots import document_cut, roots_of
from streams.runner import KeyedWriter, Runner
from streams.sentinel import Pace, check_hashes, owned_buckets

RECORDS = 200_000
DEVICES = 1_000
KEYS = 20_000  # of the checks
BATCH = 10_000
TARGETS = {"without hashes, in memory": 0.9}

ABOUT = """\
Telemetry records (three readings each) are decoded and folded into documents of `device_state`, by a runner as a worker
has it, without a broker; batches of 10,000 records from 1,000 devices in six partitions. The best of the rounds
counts: what else the machine does only slows them.

- `with hashes`, in memory: records/s of the process's own time, beside the same without hashes;
- on Redis (details): the same by the clock, commits included;
- the sentinel: documents/s that are checked against their hashes on Redis, at a whole core; from that, how long a round
  over a million keys takes at the share that it has by default (half of it is for hashes);
- roots: seconds for the first root of so many keys, and after a batch of 1,000 changed."""


class Bare(KeyedWriter):
    """A writer without hashes."""

    def _change(self, key: str, old: Loaded, updates: dict[str, Update]) -> Change:  # type: ignore[override]
        return Change(old.revision, changes(old.document, updates))


@dataclass(frozen=True, slots=True)
class Checked:
    """Documents/s of a round of checks, and the seconds of a first and of a second root."""

    rate: float
    first_root: float
    next_root: float


def run(seconds: float) -> dict[str, Any]:
    """Rounds for about `seconds`, at least two.

    Raises:
        StackError: Redis can't be started.
    """
    batches = _batches(Fleet(RECORDS, DEVICES))
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=("redis",)) as stack,
    ):
        url = stack.settings.redis
        rates = _rates(url, batches, seconds)
        checked = _checked(url)
    middle = {name: max(found) for name, found in rates.items()}
    share = Settings().sentinel_share / 2
    return Figures(
        bench="proof",
        ours=middle["with hashes, in memory"],
        peers={"without hashes, in memory": middle["without hashes, in memory"]},
        targets=TARGETS,
        about=ABOUT,
        detail={
            "on Redis records/s": middle["with hashes, on Redis"],
            "on Redis without hashes": middle["without hashes, on Redis"],
            "on Redis ratio": middle["with hashes, on Redis"] / middle["without hashes, on Redis"],
            "documents checked per s": checked.rate,
            "minutes for a million keys": 1_000_000 / checked.rate / share / 60,
            "keys": KEYS,
            "first root s": checked.first_root,
            "next root s": checked.next_root,
            "rounds": len(rates["with hashes, in memory"]),
            "rates": rates,
        },
    ).result()


def _rates(url: str, batches: list[Batch], seconds: float) -> dict[str, list[float]]:
    """Round by round, at least two."""
    rates: dict[str, list[float]] = {}
    until, number = time.monotonic() + seconds, 0
    while number < 2 or time.monotonic() < until:
        for name, made in (("with hashes", KeyedWriter), ("without hashes", Bare)):
            memory = _folded(made, MemoryKeyedStore(), batches, time.process_time)
            rates.setdefault(f"{name}, in memory", []).append(memory)
            store = RedisKeyedStore(url, f"{'plain' if made is Bare else 'hashed'}_{number}")
            rates.setdefault(f"{name}, on Redis", []).append(_folded(made, store, batches, time.monotonic))
            store.close()
        number += 1
    return rates


def _batches(fleet: Fleet) -> list[Batch]:
    """The records in their partitions, in batches that take turns."""
    sources = [TopicPartition(TOPIC, partition) for partition in range(6)]
    held: dict[TopicPartition, list[tuple[bytes, bytes]]] = {source: [] for source in sources}
    ends = dict.fromkeys(sources, 0)
    made: list[Batch] = []
    for block in blocks(fleet):
        for key, value in block:
            held[sources[partition_of(key, 6)]].append((key, value))
        for source, records in held.items():
            while len(records) >= BATCH:
                part, records[:BATCH] = records[:BATCH], []
                made.append(_batch(source, ends[source], part))
                ends[source] += BATCH
    return made + [_batch(source, ends[source], records) for source, records in held.items() if records]


def _batch(source: TopicPartition, first: int, records: list[tuple[bytes, bytes]]) -> Batch:
    return Batch(source, range(first, first + len(records)), [key for key, _ in records], [value for _, value in records])


def _folded(made: type[KeyedWriter], store: KeyedStore, batches: list[Batch], clock: Callable[[], float]) -> float:
    """Records/s of a runner over all batches."""
    record = contracts.load().topics[TOPIC].record
    decoders = {TOPIC: ColumnDecoder(record, lambda _: record.schema)}
    store.prepare(1)
    runner = Runner(DEVICE_STATE, made(DEVICE_STATE, store), decoders, Limit(2**62, 1.0, 2**62), 1)
    runner.start({batch.source for batch in batches})
    began = clock()
    records = sum(runner.handle(batch).records for batch in batches)
    return records / (clock() - began)


def _checked(url: str) -> Checked:
    store, leaves = RedisKeyedStore(url, "checked"), RedisLeaves(url, "checked")
    try:
        batches = _batches(Fleet(KEYS, KEYS))
        _folded(KeyedWriter, store, batches, time.monotonic)
        documents = Documents(Source(DEVICE_STATE, None, {}), store, leaves, 1)  # type: ignore[arg-type]
        first = _root_seconds(leaves)
        bucket = owned_buckets(documents, range(6))
        began = time.monotonic()
        wrong = list(check_hashes(documents, bucket, Pace(1.0, Event())))
        rate = KEYS / (time.monotonic() - began)
        if wrong:
            raise RuntimeError(f"{len(wrong)} documents are not the ones of their hashes")
        keys = [f"device-{number:06d}" for number in range(1_000)]
        for kept in leaves.looked_up(1, {key: documents.bucket_of(key) for key in keys}):
            leaf = Leaf(documents.bucket_of(kept.key), kept.leaf or b"")
            leaves.replace(1, kept.key, kept.revision, kept.document or {}, leaf)
        return Checked(rate, first, _root_seconds(leaves))
    finally:
        store.close()
        leaves.close()


def _root_seconds(leaves: RedisLeaves) -> float:
    began = time.monotonic()
    roots_of(document_cut(leaves, 1, 6), 6)
    return time.monotonic() - began
