"""Ports: free ones for tests, and a clear answer when one that is needed is taken."""

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from infra.stack.service import Port, StackError

LISTEN = "0A"  # the state of a listening socket in /proc/net/tcp
FREE_PORTS = range(22_000, 31_000)  # below the kernel's usual range for outgoing connections (32768 and up)


def is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do: a port whose old connections only wait to be forgotten is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def check_free(host: str, ports: list[Port]) -> None:
    """Raises StackError (exit code 2) that names each port that is taken, its setting and, if visible, who has it."""
    taken = []
    for port in ports:
        if not is_free(host, port.number):
            owner = owner_of(port.number)
            by = f" by {owner}" if owner else ""
            taken.append(f"port {port.number} is taken{by}; set FLEETLOG_{port.setting.upper()} to a free one")
    doubled = {p.number for p in ports if sum(q.number == p.number for q in ports) > 1}
    for number in sorted(doubled):
        names = ", ".join(f"FLEETLOG_{p.setting.upper()}" for p in ports if p.number == number)
        taken.append(f"port {number} is given to more than one: {names}")
    if taken:
        raise StackError("\n".join(taken), 2)


def owner_of(port: int) -> str | None:
    """The process that listens on a TCP port, as "pid 123 (name)"; None if /proc does not show it."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _has_open(process, wanted):
            try:
                name = (process / "comm").read_text().strip()
            except OSError:  # it ended meanwhile
                continue
            return f"pid {process.name} ({name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = table.read_text().splitlines()[1:]
        except OSError:  # no /proc, or no IPv6
            continue
        for row in rows:
            columns = row.split()
            if columns[3] == LISTEN and int(columns[1].rsplit(":", 1)[1], 16) == port:
                found.add(columns[9])
    return found


def _has_open(process: Path, links: set[str]) -> bool:
    try:
        return any(_link(entry) in links for entry in (process / "fd").iterdir())
    except OSError:  # it ended, or is another user's
        return False


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


@contextmanager
def free_ports(count: int, host: str = "127.0.0.1") -> Iterator[list[int]]:
    """`count` consecutive free ports, kept from other users of this function (also in other processes) until the end."""
    directory = Path(tempfile.gettempdir()) / f"fleetlog-ports-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    for _ in range(1_000):
        first = random.randrange(FREE_PORTS.start, FREE_PORTS.stop - count)
        ports = list(range(first, first + count))
        with ExitStack() as locks:
            if all(_reserve(directory, port, locks) and is_free(host, port) for port in ports):
                yield ports
                return
    raise StackError(f"no {count} consecutive free ports in {FREE_PORTS}")


def _reserve(directory: Path, port: int, locks: ExitStack) -> bool:
    lock: IO[bytes] = locks.enter_context((directory / str(port)).open("wb"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
