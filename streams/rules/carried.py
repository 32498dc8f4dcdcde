"""What the rules of one input carry from frame to frame of their windows, and how it is kept in a snapshot."""

from collections.abc import Iterable

import msgspec
import numpy as np

from streams.rules.windows import Kept, Readings


class _Stored(msgspec.Struct, array_like=True):
    at: bytes
    values: bytes
    seen: int


class _All(msgspec.Struct, array_like=True):
    series: dict[str, dict[str, _Stored]]
    newest: dict[str, dict[str, int]]


class Windows:
    """All that the rules of one input carry from frame to frame, in one partition: series by their names, and for each set
    of columns the newest event time of each device."""

    def __init__(self) -> None:
        self.series: dict[str, Kept] = {}
        self.newest: dict[str, dict[str, int]] = {}

    def encoded(self) -> bytes:
        """Equal states give equal bytes."""
        series = {
            name: {
                device: _Stored(each.at.astype("<i8").tobytes(), each.values.astype("<f8").tobytes(), each.seen)
                for device, each in kept.items()
            }
            for name, kept in self.series.items()
        }
        return msgspec.msgpack.encode(_All(series, self.newest), order="deterministic")

    @classmethod
    def decoded(cls, data: bytes) -> "Windows":
        """
        Raises:
            msgspec.DecodeError: these are no bytes of `encoded`.
        """
        stored, made = msgspec.msgpack.decode(data, type=_All), cls()
        made.newest = stored.newest
        made.series = {
            name: {
                device: Readings(
                    np.frombuffer(each.at, "<i8").astype(np.int64),
                    np.frombuffer(each.values, "<f8").astype(np.float64),
                    each.seen,
                )
                for device, each in kept.items()
            }
            for name, kept in stored.series.items()
        }
        return made

    def forget(self, series: Iterable[str], newest: Iterable[str]) -> None:
        """Let go of all but these."""
        self.series = {name: self.series[name] for name in series if name in self.series}
        self.newest = {name: self.newest[name] for name in newest if name in self.newest}
