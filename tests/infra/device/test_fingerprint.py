"""The fingerprint: read from made-up machines, and from this one."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.device import fingerprint
from infra.device.fingerprint import Fingerprint, NoFingerprint
from schemas import proofs

PI = {
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\n\nHardware\t: BCM2835\nSerial\t\t: 10000000abcdef01\n",
    "proc/device-tree/serial-number": "10000000abcdef01\0",
    "sys/class/net/eth0/address": "DC:A6:32:00:00:01\n",
    "sys/class/net/eth0/device/uevent": "",
    "sys/class/net/docker0/address": "02:42:00:00:00:01\n",
    "sys/class/net/lo/address": "00:00:00:00:00:00\n",
    "proc/self/mountinfo": "22 1 179:2 / / rw,noatime - ext4 /dev/mmcblk0p2 rw\n",
    "dev/mmcblk0p1": "",
    "dev/mmcblk0p2": "",
}


def machine(root: Path, files: dict[str, str], links: dict[str, str] | None = None) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name, target in (links or {}).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(root / target)
    return root


def test_a_board_with_everything(tmp_path: Path) -> None:
    links = {"dev/disk/by-uuid/AAAA-BBBB": "dev/mmcblk0p1", "dev/disk/by-uuid/0f0f-1234": "dev/mmcblk0p2"}
    found = fingerprint.read(machine(tmp_path, PI, links), "Linux")
    assert found == Fingerprint("10000000abcdef01", "10000000abcdef01", ("dc:a6:32:00:00:01",), "0f0f-1234")
    assert found.missing == ["tpm_attestation"]


def test_a_container_tells_little_and_says_so(tmp_path: Path) -> None:
    cpu = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t: 17\nmodel name\t: AMD EPYC\n"
    files = {
        "proc/cpuinfo": cpu,
        "sys/class/dmi/id/board_serial": "None\n",
        "sys/class/net/veth1/address": "02:42:ac:00:00:02\n",
    }
    found = fingerprint.read(machine(tmp_path, files | {"etc/machine-id": "0123abcd\n"}), "Linux")
    assert found == Fingerprint("AuthenticAMD 25 17 AMD EPYC", "0123abcd", ("02:42:ac:00:00:02",), "")
    assert found.missing == ["disk_uuid", "tpm_attestation"]


def test_a_machine_that_tells_nothing_has_none(tmp_path: Path) -> None:
    for system in ("Linux", "Plan9"):
        with pytest.raises(NoFingerprint):
            fingerprint.read(tmp_path, system)


def test_a_mac_and_a_windows_machine() -> None:
    said = {
        "ioreg": '    "IOPlatformSerialNumber" = "C02XYZ"\n',
        "ifconfig": "en0: flags=8863\n\tether a4:83:e7:00:00:01\nlo0:\n",
        "diskutil": "   Volume UUID:    11111111-2222-3333-4444-555555555555\n",
        "sysctl": "Apple M2\n",
    }
    found = fingerprint.read(system="Darwin", ask=lambda command: said[command[0]])
    assert found == Fingerprint("Apple M2", "C02XYZ", ("a4:83:e7:00:00:01",), "11111111-2222-3333-4444-555555555555")

    def windows(command: Sequence[str]) -> str:
        if command[0] == "getmac":
            return '"00-15-5D-00-00-01","\\Device\\Tcpip_{1}"\n'
        kinds = {"Win32_BaseBoard": "Default string", "Win32_DiskDrive": " S3Z8 ", "Win32_Processor": "178BFBFF00A20F10"}
        return next(text for kind, text in kinds.items() if kind in command[-1])

    found = fingerprint.read(system="Windows", ask=windows)
    assert found == Fingerprint("178BFBFF00A20F10", "", ("00:15:5d:00:00:01",), "S3Z8")


def test_a_command_that_is_not_there_says_nothing() -> None:
    assert fingerprint.ask(["no-such-command-of-any-system"]) == ""
    assert fingerprint.ask(["false"]) == ""


def test_this_machine_is_the_same_each_time() -> None:
    first, second = fingerprint.read(), fingerprint.read()
    assert first == second
    assert len(proofs.fingerprint(first.parts, "SN")) == 32
