"""How much one ingress process takes, beside bare uvicorn.

Real broker, real registry, one ingress process as in the stack. Three loads take turns, round after round, from the same
generator: single uploads to the ingress, the same requests to a bare uvicorn that answers an empty 200 without looking at
them, and batches to the ingress. The median of the rounds counts.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from infra.api_key import api_key
from infra.bench.http_load import SLOT, Load, http_request, load
from infra.bench.report import Figures
from infra.stack.harness import Stack, running_stack
from infra.stack.ports import free_ports

PARTS = ("broker", "registry", "topics", "schemas", "ingress")
BATCH = 100  # records of one batch
READINGS = ("temperature", "humidity", "pressure")
SINGLE_CONNECTIONS, BATCH_CONNECTIONS = 128, 4
SHORTEST, ROUNDS = 1.0, 5  # seconds of one load at least; rounds at most
WARM_UP = 2.0  # seconds before the first round; not counted
TARGETS = {"uvicorn": 1 / 3}
BATCH_TARGET, MEMORY_TARGET = 60_000, 200  # records/s; MB

ABOUT = f"""\
One ingress process writes to a real broker and answers when the broker has acknowledged (acks=all, idempotent producer).
Load comes from one generator process over keep-alive connections with one request each in flight.

- `fleetlog`: single telemetry uploads of three readings, {SINGLE_CONNECTIONS} connections; p50 and p99 are of their answers;
- `uvicorn`: the same requests to bare uvicorn (uvloop, httptools), which answers an empty 200 and does not read them;
- batch records per s: the same uploads, {BATCH} in a request, {BATCH_CONNECTIONS} connections;
- memory: the largest resident set of the ingress process, from its start to the end of all rounds, by when it remembers
  as many uploads for retries as it ever will."""


def run(seconds: float) -> dict[str, Any]:
    """Run rounds for about `seconds` (one at least).

    Raises:
        StackError: broker, registry or ingress can't be started.
        RuntimeError: the load generator failed, or an answer was other than 200.
    """
    with (
        tempfile.TemporaryDirectory(prefix="fleetlog-bench-") as directory,
        running_stack(Path(directory) / "stack", only=PARTS) as stack,
        bare_uvicorn() as bare,
    ):
        loads = rounds(stack, bare, seconds)
        check_written(stack)
        peak, idle = memory(stack.pid("ingress"))
    return figures(loads, peak, idle).result()


def figures(loads: dict[str, list[Load]], peak: float, now: float) -> Figures:
    """The figures of some rounds; memory in MB."""
    rates = {name: [one.rate for one in several] for name, several in loads.items()}
    batch = BATCH * median(rates["batch"])
    return Figures(
        bench="ingress",
        unit="requests/s (one record each)",
        ours=median(rates["single"]),
        limits={"uvicorn": median(rates["uvicorn"])},
        targets=TARGETS,
        about=ABOUT,
        detail={
            "batch_records_per_s": batch,
            "batch_target": f"at least {BATCH_TARGET:,}: {'met' if batch >= BATCH_TARGET else 'missed'}",
            "p50_ms": median(one.p50 for one in loads["single"]),
            "p99_ms": median(one.p99 for one in loads["single"]),
            "uvicorn_p50_ms": median(one.p50 for one in loads["uvicorn"]),
            "uvicorn_p99_ms": median(one.p99 for one in loads["uvicorn"]),
            "batch_p50_ms": median(one.p50 for one in loads["batch"]),
            "batch_p99_ms": median(one.p99 for one in loads["batch"]),
            "memory_mb": peak,
            "memory_at_the_end_mb": now,
            "memory_target": f"below {MEMORY_TARGET} MB: {'met' if peak < MEMORY_TARGET else 'missed'}",
            "rounds": len(rates["single"]),
            "rates": rates,
        },
    )


def rounds(stack: Stack, bare: int, seconds: float) -> dict[str, list[Load]]:
    """The loads of each contestant, round by round; `bare` is the port of the bare uvicorn."""
    headers = {"X-API-Key": api_key(stack.settings), "Content-Type": "application/json"}
    single = http_request("POST", "/v1/devices/bench-1/telemetry", upload(1), headers)
    many = b'{"records":[' + b",".join(upload(number) for number in range(BATCH)) + b"]}"
    batch = http_request("POST", "/v1/devices/bench-1/telemetry", many, headers)
    count = max(1, min(ROUNDS, int(seconds / 3 / SHORTEST)))
    each = max(SHORTEST, seconds / 3 / count)
    port = stack.settings.ingress_port
    turns = (
        ("uvicorn", bare, single, SINGLE_CONNECTIONS),
        ("single", port, single, SINGLE_CONNECTIONS),
        ("batch", port, batch, BATCH_CONNECTIONS),
    )
    for _, to, request, connections in turns:
        load(to, request, connections, WARM_UP / len(turns))
    found: dict[str, list[Load]] = {}
    for _ in range(count):
        for name, to, request, connections in turns:
            done = load(to, request, connections, each)
            if done.failures:
                raise RuntimeError(f"{done.failures} of {done.requests + done.failures} answers of {name} were no 200")
            found.setdefault(name, []).append(done)
    return found


def check_written(stack: Stack) -> None:
    """Raise RuntimeError if an upload was a retry of another, which costs less than one that is written."""
    metrics = httpx.get(f"{stack.settings.ingress}/metrics", timeout=10).text.splitlines()
    repeated = [line for line in metrics if 'outcome="repeated"' in line and not line.endswith(" 0.0")]
    if repeated:
        raise RuntimeError(f"uploads were taken for retries: {repeated}")


def upload(number: int) -> bytes:
    """A telemetry upload; its boot id is a slot of the generator's."""
    at = b"1700000000000000"
    readings = b",".join(b'{"metric":"%s","at":%s,"value":21.5,"unit":"Cel"}' % (name.encode(), at) for name in READINGS)
    return b'{"occurred_at":%s,"boot_id":"%s","sequence":%d,"readings":[%s]}' % (at, SLOT, number, readings)


def memory(pid: int) -> tuple[float, float]:
    """The largest and the present resident set of a process, in MB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines())
    peak, now = (int(fields[name].split()[0]) * 1024 / 1e6 for name in ("VmHWM", "VmRSS"))
    return peak, now


@contextmanager
def bare_uvicorn() -> Iterator[int]:
    """A process of bare uvicorn; gives its port."""
    with free_ports(1) as (port,), subprocess.Popen([sys.executable, "-m", "infra.bench.ingress", str(port)]) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
        except httpx.TransportError as error:
            if time.monotonic() > until:
                raise RuntimeError("bare uvicorn does not answer") from error
            time.sleep(0.05)
        else:
            return


async def _empty(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """The bare uvicorn."""
    import uvicorn

    uvicorn.run(
        _empty,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
    )


if __name__ == "__main__":
    main()
