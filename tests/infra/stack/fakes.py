"""Small processes that stand in for those of the stack."""

import socket
import sys
from dataclasses import replace
from pathlib import Path

from infra.stack.service import Service, Unhealthy

# Listens on its port and notes in `notes` when it starts and when it is asked to end.
SERVER = """
import signal, socket, sys, time
name, port, notes = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def note(what):
    with open(notes, "a") as file:
        file.write(f"{time.monotonic()} {name} {what}\\n")
def end(*_):
    note("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
time.sleep(0.1)
server = socket.create_server(("127.0.0.1", port))
note("start")
print(f"{name} listens", flush=True)
while True:
    server.accept()[0].close()
"""


def notes(directory: Path) -> list[str]:
    """ "NAME start" and "NAME end" in the order in which they happened, in all processes."""
    path = directory / "notes"
    rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [f"{name} {what}" for _, name, what in sorted(rows, key=lambda row: float(row[0]))]


def listens(port: int) -> None:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError as error:
        raise Unhealthy(f"port {port}: {error}") from error


def server(directory: Path, name: str, port: int, after: tuple[str, ...] = ()) -> Service:
    arguments = (sys.executable, "-c", SERVER, name, str(port), str(directory / "notes"))
    return Service(name, arguments, directory / "run", lambda: listens(port), after, start_seconds=20.0)


def script(directory: Path, name: str, text: str, after: tuple[str, ...] = ()) -> Service:
    """A process that runs Python `text`, and is never healthy unless `text` is a step that ends (see `step`)."""

    def never() -> None:
        raise Unhealthy("never")

    return Service(name, (sys.executable, "-c", text), directory / "run", never, after, start_seconds=20.0)


def step(directory: Path, name: str, text: str, after: tuple[str, ...] = ()) -> Service:
    return replace(script(directory, name, text, after), check=None)
