"""What is known of devices when their records are evaluated: model, state, labels. A fold of registration. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec
import polars as pl

from streams.rules.ports import KEY

STATES = {"DeviceStateChanged": None, "DeviceActivated": "operational", "DeviceReset": "uninitialized"}
"""Record types that tell of a device's state, and which; None: the record says it."""

REGISTERED = ("DeviceRegistered", "SessionOpened")
RECORDS = frozenset((*REGISTERED, "ClaimSpent", *STATES))
"""All types of records of registration that tell something of a device."""

LABELS = ("owner", "hardware_id", "hardware_revision", "firmware_version")
COLUMNS = ("device.model", "device.state", *(f"device.labels.{name}" for name in LABELS))


class Facts(msgspec.Struct, array_like=True):
    """Of one device."""

    model: str | None = None
    state: str | None = None
    labels: dict[str, str] = {}


class _Kept(msgspec.Struct, array_like=True):
    devices: dict[str, Facts]
    hardware: dict[str, str]
    owners: dict[str, str]


class Fleet:
    """All devices that an engine has heard of in registration."""

    def __init__(self) -> None:
        self._devices: dict[str, Facts] = {}
        self._hardware: dict[str, str] = {}
        self._owners: dict[str, str] = {}

    def of(self, device: str) -> Facts:
        return self._devices.get(device) or Facts()

    def fold(self, record: Mapping[str, Any]) -> str | None:
        """A record of fleet.registration.events, with its type in `record`; the device whose facts it changed, if any."""
        kind, hardware = record["record"], record.get("hardware_id")
        device = record.get("device_id") or self._hardware.get(hardware or "")
        if kind in REGISTERED and device is not None:
            return self._registered(device, record)
        if kind == "ClaimSpent":
            self._owners[record["hardware_id"]] = record["owner"]
            return None if device is None else self._labelled(device, "owner", record["owner"])
        if device is not None and kind in STATES:
            known = self.of(device)
            self._devices[device] = Facts(known.model, STATES[kind] or record["state"], known.labels)
            return str(device)
        return None

    def _registered(self, device: str, record: Mapping[str, Any]) -> str:
        hardware = record["hardware_id"]
        found = {"hardware_id": hardware, "owner": self._owners.get(hardware)}
        found |= {name: record[name] for name in ("firmware_version", "hardware_revision")}
        self._hardware[hardware] = device
        labels = {name: value for name, value in found.items() if value is not None}
        self._devices[device] = Facts(record["model"], self.of(device).state, labels)
        return device

    def _labelled(self, device: str, name: str, value: str) -> str:
        known = self.of(device)
        self._devices[device] = Facts(known.model, known.state, {**known.labels, name: value})
        return device

    def columns(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with what is known of each row's device; null where nothing is."""
        names = frame[KEY].unique(maintain_order=True).to_list()
        known = [self.of(name) for name in names]
        table = pl.DataFrame(
            {
                KEY: names,
                "device.model": [facts.model for facts in known],
                "device.state": [facts.state for facts in known],
                **{f"device.labels.{label}": [facts.labels.get(label) for facts in known] for label in LABELS},
            },
            schema={KEY: pl.String(), **dict.fromkeys(COLUMNS, pl.String())},
        )
        return frame.join(table, on=KEY, how="left", maintain_order="left")

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(_Kept(self._devices, self._hardware, self._owners))

    def restore(self, data: bytes) -> None:
        kept = msgspec.msgpack.decode(data, type=_Kept)
        self._devices, self._hardware, self._owners = kept.devices, kept.hardware, kept.owners
