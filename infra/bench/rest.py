"""How much Kafka-REST takes in one ingress process, beside a bare ASGI server and bare librdkafka.

Real broker, one ingress process as in the stack. The loads take turns, round after round: single records (v3), 100 records
in a request (v2), streams (v3), the single requests to a bare uvicorn that answers an empty 200, and librdkafka's producer
alone. The median of the rounds counts.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from confluent_kafka.admin import AdminClient, NewTopic

from infra.api_key import api_key
from infra.bench.http_load import Load, http_request, load
from infra.bench.ingress import bare_uvicorn, memory
from infra.bench.report import Figures
from infra.bench.stream_load import stream_load
from infra.settings import Settings
from infra.stack.harness import Stack, running_stack

PARTS = ("broker", "registry", "topics", "schemas", "ingress")
TOPIC, PARTITIONS = "bench-rest", 6
VALUE = '{"metric":"temperature","value":21.5,"unit":"Cel"}'
BATCH = 100  # records of one batch
SINGLE_CONNECTIONS, BATCH_CONNECTIONS, STREAMS = 128, 4, 4
SHORTEST, ROUNDS, TURNS = 1.0, 5, 5  # seconds of one load at least; rounds at most; loads of a round
WARM_UP = 1.0

ABOUT = f"""\
One ingress process writes to a real broker and answers when the broker has acknowledged (acks=all, idempotent producer).
Values are JSON of {len(VALUE)} bytes.

- `fleetlog`: v3, one record in a request, {SINGLE_CONNECTIONS} connections; p50 and p99 are of their answers;
- `uvicorn`: the same requests to bare uvicorn (uvloop, httptools), which answers an empty 200 and does not read them;
- batch: v2, {BATCH} records in a request, {BATCH_CONNECTIONS} connections;
- stream: v3, {STREAMS} requests without an end, 1,000 records each on their way; p50 and p99 from chunk to last result;
- librdkafka: its producer alone, in a process of its own, with the same settings and values."""


def run(seconds: float) -> dict[str, Any]:
    """Run rounds for about `seconds` (one at least).

    Raises:
        StackError: broker, registry or ingress can't be started.
        RuntimeError: a load generator failed, or a record was not written.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=PARTS, settings=Settings(rest_topics=TOPIC)) as stack,
        bare_uvicorn() as bare,
    ):
        prepare(stack)
        loads = rounds(contestants(stack, bare), seconds)
        peak, _ = memory(stack.pid("ingress"))
    return figures(loads, peak).result()


def prepare(stack: Stack) -> None:
    """Make the topic, and wait until the ingress knows it."""
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS)])[TOPIC].result(20)
    until = time.monotonic() + 20
    headers = {"X-API-Key": api_key(stack.settings)}
    while TOPIC not in httpx.get(f"{stack.settings.ingress}/topics", headers=headers, timeout=10).json():
        if time.monotonic() > until:
            raise RuntimeError(f"the ingress does not know {TOPIC}")
        time.sleep(0.1)


def contestants(stack: Stack, bare: int) -> dict[str, Callable[[float], Load]]:
    """Each load, to be run for some seconds; `bare` is the port of the bare uvicorn."""
    port, key = stack.settings.ingress_port, api_key(stack.settings)
    (cluster,) = httpx.get(f"{stack.settings.ingress}/v3/clusters", headers={"X-API-Key": key}, timeout=10).json()["data"]
    path = f"/v3/clusters/{cluster['cluster_id']}/topics/{TOPIC}/records"
    record = f'{{"value":{{"type":"JSON","data":{VALUE}}}}}\n'.encode()
    v3 = {"X-API-Key": key, "Content-Type": "application/json"}
    single = http_request("POST", path, record, v3)
    many = '{"records":[' + ",".join([f'{{"value":{VALUE}}}'] * BATCH) + "]}"
    batch = http_request(
        "POST", f"/topics/{TOPIC}", many.encode(), {**v3, "Content-Type": "application/vnd.kafka.json.v2+json"}
    )
    fields = {"Host": "bench", "Transfer-Encoding": "chunked", **v3}
    head = f"POST {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    return {
        "uvicorn": lambda seconds: load(bare, single, SINGLE_CONNECTIONS, seconds),
        "single": lambda seconds: load(port, single, SINGLE_CONNECTIONS, seconds),
        "batch": lambda seconds: load(port, batch, BATCH_CONNECTIONS, seconds),
        "stream": lambda seconds: stream_load(port, head.encode(), record, STREAMS, seconds),
        "librdkafka": lambda seconds: bare_produce(stack.settings.kafka, seconds),
    }


def bare_produce(servers: str, seconds: float) -> Load:
    """What librdkafka's producer writes by itself; it tells no latencies."""
    command = [sys.executable, "-m", "infra.bench.peers.bare_produce", servers, TOPIC, VALUE, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    if done.returncode:
        raise RuntimeError(f"bare_produce failed: {done.stderr.strip()}")
    said = json.loads(done.stdout)
    return Load(said["records"], said["failures"], said["seconds"], float("nan"), float("nan"))


def rounds(turns: dict[str, Callable[[float], Load]], seconds: float) -> dict[str, list[Load]]:
    """The loads of each contestant, round by round.

    Raises:
        RuntimeError: an answer or a result was other than 200.
    """
    count = max(1, min(ROUNDS, int(seconds / TURNS / SHORTEST)))
    each = max(SHORTEST, seconds / TURNS / count)
    found: dict[str, list[Load]] = {name: [] for name in turns}
    for turn in turns.values():
        turn(WARM_UP)
    for _ in range(count):
        for name, turn in turns.items():
            done = turn(each)
            if done.failures:
                raise RuntimeError(f"{done.failures} of {done.requests + done.failures} answers of {name} were no 200")
            found[name].append(done)
    return found


def figures(loads: dict[str, list[Load]], peak: float) -> Figures:
    """The figures of some rounds; memory in MB."""
    rates = {name: median(one.rate for one in several) for name, several in loads.items()}
    detail: dict[str, Any] = {
        "batch_records_per_s": rates["batch"] * BATCH,
        "stream_records_per_s": rates["stream"],
        "librdkafka_records_per_s": rates["librdkafka"],
        "batch_ours_by_librdkafka": rates["batch"] * BATCH / rates["librdkafka"],
        "stream_ours_by_librdkafka": rates["stream"] / rates["librdkafka"],
    }
    for name in ("single", "batch", "stream", "uvicorn"):
        detail[f"{name}_p50_ms"] = median(one.p50 for one in loads[name])
        detail[f"{name}_p99_ms"] = median(one.p99 for one in loads[name])
    return Figures(
        bench="rest",
        unit="requests/s (one record each)",
        ours=rates["single"],
        limits={"uvicorn": rates["uvicorn"]},
        about=ABOUT,
        detail=detail
        | {
            "memory_mb": peak,
            "rounds": len(loads["single"]),
            "rates": {name: [one.rate for one in several] for name, several in loads.items()},
        },
    )
