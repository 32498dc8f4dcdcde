"""The certificate that each device has now, as the ledger says: by it rules are asked again as its end comes nearer."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from streams.rules.intake import Intake
from streams.rules.ports import Place

SERIAL, END = "serial", "not_after"


class Held(msgspec.Struct, array_like=True, frozen=True):
    """A certificate in force: its record, its end (microseconds since 1970 UTC), and the record's plain fields."""

    place: Place
    serial: str
    end: int
    fields: dict[str, Any]


class Change(NamedTuple):
    """From the cut of that index on."""

    cut: int
    held: Held | None


class Certificates:
    """Of the devices that are at home here."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        """As they were before the run in hand."""
        self._changes: dict[str, list[Change]] = {}

    def take(self, intake: Intake) -> npt.NDArray[np.bool_]:
        """The certificates' rows of a run. Which of them are about what a device has now: the end of a certificate that was
        replaced already says nothing of the device."""
        about = np.zeros(len(intake), np.bool_)
        for row in range(len(intake)):
            fields = intake.fields(row)
            key, serial, end = fields["_key"], fields.get(SERIAL), fields.get(END)
            before = changes[-1].held if (changes := self._changes.setdefault(key, [])) else self.held.get(key)
            if end is None:
                about[row] = before is None or before.serial == serial
                change = None if about[row] else before
            else:
                about[row] = True
                change = Held(intake.place(row), str(serial), end, _plain(fields, intake.frame.schema))
            changes.append(Change(int(intake.cuts[row]), change))
        return about

    def at(self, key: str, cut: int) -> Held | None:
        """What a device had after a cut of the run."""
        changes = [change for change in self._changes.get(key, ()) if change.cut <= cut]
        return changes[-1].held if changes else self.held.get(key)

    def settle(self) -> None:
        """The run is over."""
        for key, changes in self._changes.items():
            if (held := changes[-1].held) is None:
                self.held.pop(key, None)
            else:
                self.held[key] = held
        self._changes = {}

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(dict(sorted(self.held.items())))

    def restore(self, data: bytes) -> None:
        self.held, self._changes = msgspec.msgpack.decode(data, type=dict[str, Held]), {}


def _plain(fields: Mapping[str, Any], schema: Mapping[str, pl.DataType]) -> dict[str, Any]:
    """Texts, numbers and times; what a device's registration says comes anew whenever it is asked for."""
    return {
        name: value
        for name, value in fields.items()
        if value is not None
        and not name.startswith(("_", "device."))
        and not isinstance(schema[name], pl.Binary | pl.List | pl.Array)
    }
