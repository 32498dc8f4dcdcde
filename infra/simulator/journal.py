"""The simulator's journal: what it sent, and where the ingress said that it is. Reconciliation compares the log with it.

A run is a folder `data_dir/journal/RUN` of append-only files:

| file | holds |
| --- | --- |
| `run.jsonl` | a line about the run, then a line per boot of a device: boot (number), device_id, boot_id |
| `sent` | rows of `SENT`: an upload's identity and content digest, written before it is first sent |
| `acknowledged` | rows of `ACKNOWLEDGED`: an identity and the position that the ingress answered |
| `registrations.jsonl` | of devices that register themselves: a line before, with the hardware id, and one after |

Nothing is buffered in the process: what was written survives a kill of it. A torn last line or row is what a crash
leaves and is not read: what it would have said had not happened yet. A run is never gone on with, so that nothing
follows a torn row.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FORMAT = 1
REGISTRATIONS = "registrations.jsonl"


class Kind(IntEnum):
    """Record types that a device uploads; the numbers are in journals and never change."""

    TELEMETRY = 0
    HEARTBEAT = 1
    EVENT = 2
    REGISTRATION = 3


# A registration has no (boot_id, sequence) of its own; it is journalled under the device's boot and its count of tries
# to register, 0.
TOPICS = {
    Kind.TELEMETRY: "fleet.telemetry",
    Kind.HEARTBEAT: "fleet.heartbeats",
    Kind.EVENT: "fleet.device-events",
    Kind.REGISTRATION: "fleet.registration.events",
}
RECORDS = {
    Kind.TELEMETRY: "TelemetryReceived",
    Kind.HEARTBEAT: "HeartbeatReceived",
    Kind.EVENT: "DeviceEventReceived",
    Kind.REGISTRATION: "DeviceRegistered",
}

SENT = np.dtype([("kind", "u1"), ("boot", "<u4"), ("sequence", "<i8"), ("digest", "<u8")])
ACKNOWLEDGED = np.dtype([("kind", "u1"), ("boot", "<u4"), ("sequence", "<i8"), ("partition", "<i4"), ("offset", "<i8")])


class JournalError(ValueError):
    """A journal is not readable; the message names the file and line."""


class JournalWriter:
    """Writes one run."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        """`about` is kept in the run's first line.

        Raises:
            FileExistsError: there already is such a run.
        """
        folder.mkdir(parents=True)
        self._run = (folder / "run.jsonl").open("ab", buffering=0)
        self._sent = (folder / "sent").open("ab", buffering=0)
        self._acknowledged = (folder / "acknowledged").open("ab", buffering=0)
        self._registrations = (folder / REGISTRATIONS).open("ab", buffering=0)
        self._boots = 0
        self._line({"format": FORMAT, "run": folder.name, **about})

    def boot(self, device_id: str, boot_id: str) -> int:
        """Note a device's start; returns the number under which its uploads are journalled."""
        number = self._boots
        self._boots += 1
        self._line({"boot": number, "device_id": device_id, "boot_id": boot_id})
        return number

    def sent(self, kind: Kind, boot: int, first: int, digests: Sequence[int]) -> None:
        """Note uploads with the sequences first, first + 1, ... that are about to be sent."""
        rows = [(kind, boot, first + i, digest) for i, digest in enumerate(digests)]
        _write(self._sent, np.array(rows, SENT).tobytes())

    def acknowledged(self, kind: Kind, boot: int, positions: Sequence[tuple[int, int, int]]) -> None:
        """Note (sequence, partition, offset) of uploads that the ingress acknowledged."""
        rows = [(kind, boot, *position) for position in positions]
        _write(self._acknowledged, np.array(rows, ACKNOWLEDGED).tobytes())

    def registering(self, hardware_id: str) -> None:
        """Note that a device is about to register itself."""
        _write(self._registrations, json.dumps({"hardware_id": hardware_id}).encode() + b"\n")

    def registered(self, registered: "Registered") -> None:
        """Note what a device was told at the end of its registration."""
        _write(self._registrations, json.dumps(asdict(registered)).encode() + b"\n")

    def close(self) -> None:
        for file in (self._run, self._sent, self._acknowledged, self._registrations):
            file.close()

    def _line(self, value: dict[str, Any]) -> None:
        _write(self._run, json.dumps(value).encode() + b"\n")


def _write(file: FileIO, data: bytes) -> None:
    """All of it: a full disk takes a part without an error, which would put all later rows out of place."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


@dataclass(frozen=True, slots=True)
class Registered:
    """A registration that a device was told to be complete; `serial` and `leaf_index` are of its certificate."""

    hardware_id: str
    device_id: str
    serial: str
    leaf_index: int


@dataclass(frozen=True, slots=True)
class Boot:
    device_id: str
    boot_id: str


@dataclass(frozen=True)
class Run:
    """One run as read. `boots[n]` is boot number n; the arrays have the types SENT and ACKNOWLEDGED."""

    name: str
    boots: tuple[Boot, ...]
    sent: npt.NDArray[np.void]
    acknowledged: npt.NDArray[np.void]


def runs(journal: Path) -> Iterator[Run]:
    """The runs under `journal`, by name.

    Raises:
        JournalError: a file holds what no simulator wrote.
    """
    for folder in sorted(journal.iterdir()) if journal.is_dir() else ():
        if (folder / "run.jsonl").is_file():
            # Against the order of writing: a run that goes on meanwhile says nothing here of what is not read yet.
            acknowledged, sent = _rows(folder / "acknowledged", ACKNOWLEDGED), _rows(folder / "sent", SENT)
            boots = _boots(folder / "run.jsonl")
            for name, rows in (("sent", sent), ("acknowledged", acknowledged)):
                if len(rows) and int(rows["boot"].max()) >= len(boots):
                    raise JournalError(f"{folder / name}: names a boot that run.jsonl does not have")
            yield Run(folder.name, boots, sent, acknowledged)


def registrations(journal: Path) -> tuple[set[str], list[Registered]]:
    """Of all runs: the hardware ids that began to register, and what was acknowledged.

    Raises:
        JournalError: a file holds what no simulator wrote.
    """
    begun: set[str] = set()
    done: list[Registered] = []
    for path in sorted(journal.glob(f"*/{REGISTRATIONS}")):
        *lines, _torn = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                value = json.loads(line)
                begun.add(value["hardware_id"])
                if len(value) > 1:
                    done.append(Registered(**value))
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise JournalError(f"{path}:{number}: {error!r}") from None
    return begun, done


def _boots(path: Path) -> tuple[Boot, ...]:
    *lines, _torn = path.read_bytes().split(b"\n")
    boots: list[Boot] = []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
            if number == 1:
                if value["format"] != FORMAT:
                    raise JournalError(f"{path}: is of format {value['format']}, this reader knows {FORMAT}")
            else:
                boots.append(Boot(value["device_id"], value["boot_id"]))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise JournalError(f"{path}:{number}: {error!r}") from None
    return tuple(boots)


def _rows(path: Path, dtype: "np.dtype[np.void]") -> npt.NDArray[np.void]:
    if not path.exists():  # a crash between the files' making
        return np.empty(0, dtype)
    return np.fromfile(path, dtype, count=path.stat().st_size // dtype.itemsize)
