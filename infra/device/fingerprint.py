"""The hardware fingerprint of the machine that this runs on (third source document, section 3.1.1).

It identifies, it is no secret: some parts can be read by every user of the machine, and a part that can't be read is told
as missing instead of being made up. A virtual machine or a container has few parts; one is enough.
"""

import os
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Parts = dict[str, str | list[str] | None]
Ask = Callable[[Sequence[str]], str]

COMMAND_SECONDS = 10.0
# Linux: where a serial number of the board may be, best first. Most of DMI is readable by root only.
BOARD_FILES = (
    "sys/class/dmi/id/board_serial",
    "sys/class/dmi/id/product_serial",
    "sys/class/dmi/id/product_uuid",
    "proc/device-tree/serial-number",
    "etc/machine-id",
)
NOT_SAID = frozenset({"", "none", "0", "default string", "to be filled by o.e.m.", "not specified", "system serial number"})
NO_ADDRESS = "00:00:00:00:00:00"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`cpu_id`, `board_serial` and `disk_uuid` are "" where the machine doesn't tell them; MAC addresses are in order."""

    cpu_id: str = ""
    board_serial: str = ""
    mac_addresses: tuple[str, ...] = ()
    disk_uuid: str = ""
    tpm_attestation: str | None = None

    @property
    def missing(self) -> list[str]:
        """Names of the parts that the machine doesn't tell."""
        found = {name: getattr(self, name) for name in ("cpu_id", "board_serial", "mac_addresses", "disk_uuid")}
        return [name for name, part in found.items() if not part] + ([] if self.tpm_attestation else ["tpm_attestation"])

    @property
    def parts(self) -> Parts:
        """As schemas.proofs.fingerprint takes them, and as they are sent."""
        parts: Parts = {
            "cpu_id": self.cpu_id,
            "board_serial": self.board_serial,
            "mac_addresses": list(self.mac_addresses),
            "disk_uuid": self.disk_uuid,
        }
        return parts if self.tpm_attestation is None else parts | {"tpm_attestation": self.tpm_attestation}


class NoFingerprint(Exception):
    """The machine tells nothing of itself: there is nothing to know it by."""


def ask(command: Sequence[str]) -> str:
    """What a command prints; "" if there is no such command or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def read(root: Path = Path("/"), system: str = "", ask: Ask = ask) -> Fingerprint:
    """The fingerprint of this machine: the same at each call, after each restart.

    Args:
        root: where /proc, /sys, /etc and /dev are (Linux).
        system: as platform.system() names it; empty: this one.
        ask: runs a command (macOS, Windows).

    Raises:
        NoFingerprint: not one part can be read.
    """
    readers = {"Linux": lambda: _linux(root), "Darwin": lambda: _macos(ask), "Windows": lambda: _windows(ask)}
    name = system or platform.system()
    found = readers[name]() if name in readers else Fingerprint()
    if not (found.cpu_id or found.board_serial or found.mac_addresses or found.disk_uuid):
        raise NoFingerprint(f"this machine ({name or 'unknown system'}) tells neither processor, board, network nor disk")
    return found


# --- Linux


def _linux(root: Path) -> Fingerprint:
    board = next((text for name in BOARD_FILES if (text := _text(root / name)).lower() not in NOT_SAID), "")
    return Fingerprint(_linux_cpu(root), board, _linux_addresses(root), _linux_disk(root))


def _text(path: Path) -> str:
    """A one-line file's text; "" if it can't be read."""
    try:
        return path.read_text("utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _linux_cpu(root: Path) -> str:
    """The serial number of the chip (ARM boards tell it), else which processor it is: x86 has had no number since 1999."""
    said: dict[str, str] = {}
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        said.setdefault(name.strip(), value.strip())
    if said.get("Serial", "").strip("0"):
        return said["Serial"]
    kind = ("vendor_id", "cpu family", "model", "stepping", "model name")
    arm = ("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision")
    return " ".join(said[name] for name in (*kind, *arm) if said.get(name))


def _linux_addresses(root: Path) -> tuple[str, ...]:
    """Of cards that have a device behind them; without any, of all but the loopback."""
    net = root / "sys/class/net"
    cards = sorted(net.iterdir()) if net.is_dir() else []
    real = [card for card in cards if (card / "device").exists()] or [card for card in cards if card.name != "lo"]
    found = {_text(card / "address").lower() for card in real}
    return tuple(sorted(found - {"", NO_ADDRESS}))


def _linux_disk(root: Path) -> str:
    """The UUID of the file system that / is on, else of the first that /dev/disk/by-uuid names."""
    folder = root / "dev/disk/by-uuid"
    links = {os.path.realpath(link): link.name for link in sorted(folder.iterdir())} if folder.is_dir() else {}
    for line in _text(root / "proc/self/mountinfo").splitlines():
        fields = line.split()  # proc_pid_mountinfo(5): 4 is the mount point; behind " - " type, source, options
        if len(fields) > 4 and fields[4] == "/" and " - " in line:
            source = line.partition(" - ")[2].split()[1]
            if (uuid := links.get(os.path.realpath(root / source.lstrip("/")))) is not None:
                return uuid
    return min(links.values(), default="")


# --- elsewhere, as far as the system's own commands tell


def _macos(ask: Ask) -> Fingerprint:
    board = _first(r'"IOPlatformSerialNumber" = "([^"]+)"', ask(["ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]))
    addresses = re.findall(r"^\s*ether ([0-9a-f:]{17})", ask(["ifconfig"]), re.M)
    disk = _first(r"Volume UUID:\s*(\S+)", ask(["diskutil", "info", "/"]))
    cpu = ask(["sysctl", "-n", "machdep.cpu.brand_string"]).strip()
    return Fingerprint(cpu, board, tuple(sorted(set(addresses) - {NO_ADDRESS})), disk)


def _windows(ask: Ask) -> Fingerprint:
    def of(kind: str, name: str) -> str:
        return ask(["powershell", "-NoProfile", "-Command", f"(Get-CimInstance {kind}).{name}"]).strip()

    board = of("Win32_BaseBoard", "SerialNumber")
    listed = ask(["getmac", "/fo", "csv", "/nh"])
    addresses = {text.replace("-", ":").lower() for text in re.findall(r"(?:[0-9A-F]{2}-){5}[0-9A-F]{2}", listed)}
    disk = _first(r"(\S+)", of("Win32_DiskDrive", "SerialNumber"))
    cpu = _first(r"(\S+)", of("Win32_Processor", "ProcessorId"))
    return Fingerprint(cpu, "" if board.lower() in NOT_SAID else board, tuple(sorted(addresses - {NO_ADDRESS})), disk)


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else ""
