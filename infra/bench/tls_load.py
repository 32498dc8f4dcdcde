"""A load generator for benches of TLS, in a process of its own: requests over connections that are kept, or each over a
connection of its own, with a full handshake."""

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from infra.bench.http_load import LATE, Load, Tally, quantiles


def load(port: int, request: bytes, connections: int, seconds: float, files: tuple[Path, Path], each: bool) -> Load:
    """As `infra.bench.http_load.load`, over TLS 1.3; `files`: the authority that is trusted, and certificate with key.
    `each`: every request over a connection of its own.

    Raises:
        RuntimeError: the generator failed.
    """
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(request)
        numbers = [str(port), str(connections), str(seconds)]
        command = [sys.executable, "-m", "infra.bench.tls_load", file.name, *numbers, *map(str, files)]
        done = subprocess.run(
            [*command, *(["--each"] if each else [])], capture_output=True, text=True, check=False, timeout=seconds + 60
        )
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip()}")
    return Load(**json.loads(done.stdout))


async def _client(tally: Tally, port: int, context: ssl.SSLContext, each: bool) -> None:
    while time.perf_counter() < tally.stop:
        started = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        while True:
            writer.write(tally.next())
            head = await reader.readuntil(b"\r\n\r\n")
            start = head.lower().index(b"content-length: ") + len(b"content-length: ")
            await reader.readexactly(int(head[start : head.index(b"\r\n", start)]))
            now = time.perf_counter()
            if head.startswith(b"HTTP/1.1 200"):
                tally.latencies.append(now - started)
            else:
                tally.failures += 1
            if each or now >= tally.stop:
                break
            started = now
        writer.transport.abort()


async def _run(options: argparse.Namespace) -> Load:
    context = ssl.create_default_context(cafile=options.trusted)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(options.certificate)
    started = time.perf_counter()
    tally = Tally(options.file.read_bytes(), started + options.seconds)
    clients = (_client(tally, options.port, context, options.each) for _ in range(options.connections))
    await asyncio.wait_for(asyncio.gather(*clients), options.seconds + LATE)
    return Load(len(tally.latencies), tally.failures, time.perf_counter() - started, *quantiles(tally.latencies))


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description="Load one HTTP endpoint over TLS; used by the benches.")
    parser.add_argument("file", type=Path, help="holds the request")
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("trusted", type=Path)
    parser.add_argument("certificate", type=Path)
    parser.add_argument("--each", action="store_true", help="every request over a connection of its own")
    made = uvloop.run(_run(parser.parse_args()))
    print(json.dumps({name: getattr(made, name) for name in made.__slots__}))


if __name__ == "__main__":
    main()
