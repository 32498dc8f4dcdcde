"""Health checks: one real request each, bounded in time. Each raises Unhealthy with the reason."""

import http.client
import socket
import struct
from typing import Any

from infra.stack.service import Unhealthy

SECONDS = 3.0  # the longest that one request may take
METADATA = 3  # Kafka's API key of a metadata request


def kafka(host: str, port: int) -> None:
    """A metadata round trip: the broker answers and knows itself as a live broker."""
    client = b"fleetlog-health"
    # Request header v1, then Metadata v1 with no topics.
    body = struct.pack(">hhih", METADATA, 1, 1, len(client)) + client + struct.pack(">i", 0)
    try:
        with socket.create_connection((host, port), SECONDS) as connection:
            connection.settimeout(SECONDS)
            connection.sendall(struct.pack(">i", len(body)) + body)
            size = struct.unpack(">i", _exactly(connection, 4))[0]
            answer = _exactly(connection, size)
    except OSError as error:
        raise Unhealthy(f"broker: {error}") from error
    correlation, brokers = struct.unpack_from(">ii", answer)
    if correlation != 1 or brokers < 1:
        raise Unhealthy("broker: answers, but no broker is registered yet")


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("closed the connection")
        parts += part
    return parts


def redis(host: str, port: int) -> None:
    """PING is answered by PONG (while Redis reads its file it answers LOADING)."""
    try:
        with socket.create_connection((host, port), SECONDS) as connection:
            connection.settimeout(SECONDS)
            connection.sendall(b"PING\r\n")
            answer = connection.recv(100)
    except OSError as error:
        raise Unhealthy(f"redis: {error}") from error
    if answer.strip() != b"+PONG":
        raise Unhealthy(f"redis: {answer.decode(errors='replace').strip()}")


def clickhouse(host: str, port: int, user: str, password: str) -> None:
    """`select 1` over the native protocol."""
    from clickhouse_driver import Client
    from clickhouse_driver.errors import Error

    client = Client(host, port, user=user, password=password, connect_timeout=SECONDS, send_receive_timeout=SECONDS)
    try:
        rows = client.execute("select 1")
    except (Error, OSError, EOFError) as error:
        raise Unhealthy(f"clickhouse: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error
    finally:
        client.disconnect()
    if rows != [(1,)]:
        raise Unhealthy(f"clickhouse: select 1 gave {rows}")


def http_ok(host: str, port: int, path: str) -> None:
    """GET of `path` answers 200."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(2_000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise Unhealthy(f"GET {path}: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Unhealthy(f"GET {path}: {answer.status} {' '.join(text.split())[:300]}")


def flink_tasks(host: str, port: int) -> None:
    """Flink's job manager, at its REST API, knows of a task manager that has registered."""
    if not _of_flink(host, port, "/overview").get("taskmanagers"):
        raise Unhealthy("flink: no task manager has registered")


def flink_job(host: str, port: int, name: str) -> None:
    """A job of that name runs."""
    jobs = _of_flink(host, port, "/jobs/overview").get("jobs", [])
    if not any(job["name"] == name and job["state"] == "RUNNING" for job in jobs):
        raise Unhealthy(f"flink: the job {name} does not run")


def _of_flink(host: str, port: int, path: str) -> dict[str, Any]:
    import httpx

    try:
        found: dict[str, Any] = httpx.get(f"http://{host}:{port}{path}", timeout=SECONDS).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unhealthy(f"flink: {error}") from error
    return found
