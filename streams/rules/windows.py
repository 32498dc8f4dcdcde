"""Functions over windows, in event time, carried from frame to frame.

A *series* is the readings that one expression gives, kept by device in the order of event time, of one time in the order of
the log. A window of a row at time t holds what the series has in (t - span, t] from rows up to this one in the log: no row
sees a later one. Each window is summed by itself, so floats come out the same however rows fall into frames. A window holds
the newest `MOST_READINGS`; only what a later row's window can hold is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

MOST_READINGS = 10_000
"""Readings of one device that a window holds at most: the newest."""
MOST_GATHERED = 4_000_000
"""Readings that are looked at in one piece for rows before late ones."""
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Layout(NamedTuple):
    """The rows of a frame: the devices in it, and of each row its device (a place in `devices`) and its event time and
    received_at, in microseconds."""

    devices: Sequence[str]
    codes: Ints
    at: Ints
    received: Ints


class Readings(NamedTuple):
    """What is kept of one device's series; `seen` is the newest received_at of any reading so far."""

    at: Ints
    values: Floats
    seen: int


class Asked(NamedTuple):
    """One function over one window."""

    function: str
    span: int


class _Sorted(NamedTuple):
    """A series beside the rows of a frame: its elements by device and time, each with its row (-1: from before), and for
    each row, by device and time too, where its elements end. `disturbed`: a row after it in the log is before it in time."""

    codes: Ints
    at: Ints
    values: Floats
    rows: Ints
    asking: Ints
    ends: Ints
    disturbed: Bools


Kept = dict[str, Readings]


def compute(
    kept: Mapping[str, Readings], layout: Layout, values: Floats, valid: Bools, asked: Iterable[Asked]
) -> tuple[dict[Asked, tuple[NDArray[Any], Bools]], _Sorted]:
    """What the functions give of each row, and where they give anything; `values` are the rows' readings where `valid`."""
    series = _sorted(kept, layout, values, valid)
    found: dict[Asked, tuple[NDArray[Any], Bools]] = {}
    starts: dict[int, Ints] = {}
    for each in asked:
        if each.span not in starts:
            since = layout.at[series.asking] - each.span
            starts[each.span] = _starts(series, layout.codes[series.asking], since, len(layout.devices))
        found[each] = _aggregated(each.function, series, starts[each.span], len(layout.at))
    return found, series


def keep(kept: Kept, layout: Layout, series: _Sorted, valid: Bools, horizon: int) -> None:
    """Take a frame's readings into what is carried, and let go what no later window of `horizon` or less can hold."""
    bounds = np.searchsorted(series.codes, np.arange(len(layout.devices) + 1))
    newest = np.full(len(layout.devices), -1, np.int64)
    np.maximum.at(newest, layout.codes[valid], layout.received[valid])
    touched = np.flatnonzero(newest >= 0)
    ends = bounds[touched + 1]
    starts = np.maximum(_starts(series, touched, series.at[ends - 1] - horizon, len(newest)), ends - MOST_READINGS)
    for code, seen, first, end in zip(*(each.tolist() for each in (touched, newest[touched], starts, ends)), strict=True):
        device = layout.devices[code]
        before = kept.get(device)
        seen = seen if before is None else max(seen, before.seen)
        # Copies: a slice would keep the whole frame's readings in memory.
        kept[device] = Readings(series.at[first:end].copy(), series.values[first:end].copy(), seen)


def _sorted(kept: Mapping[str, Readings], layout: Layout, values: Floats, valid: Bools) -> _Sorted:
    count = len(layout.at)
    before = [(code, kept[device]) for code, device in enumerate(layout.devices) if device in kept]
    sizes = [len(readings.at) for _, readings in before]
    codes = np.concatenate((np.repeat(np.array([code for code, _ in before], np.int64), sizes), layout.codes))
    at = np.concatenate((*(readings.at for _, readings in before), layout.at))
    all_values = np.concatenate((*(readings.values for _, readings in before), values))
    rows = np.concatenate((np.full(sum(sizes), -1, np.int64), np.arange(count)))
    element = np.concatenate((np.ones(sum(sizes), bool), valid))
    order = np.lexsort((at, codes))  # stable: of one time what came first stays first
    codes, at, all_values, rows, element = codes[order], at[order], all_values[order], rows[order], element[order]
    latest = np.maximum.accumulate(codes * (count + 1) + rows + 1) % (count + 1)
    from_frame = rows >= 0
    return _Sorted(
        codes[element],
        at[element],
        all_values[element],
        rows[element],
        rows[from_frame],
        np.cumsum(element)[from_frame],
        (latest > rows + 1)[from_frame],
    )


def _starts(series: _Sorted, codes: Ints, since: Ints, devices: int) -> Ints:
    """Where the elements of devices (places, of so many) begin that are after a time."""
    if not len(series.at) or not len(since):
        return np.zeros(len(since), np.int64)
    base = min(int(since.min()), int(series.at.min()))
    width = max(int(since.max()), int(series.at.max())) - base + 1
    if width * devices < 2**62:
        keys, wanted = series.codes * width + (series.at - base), codes * width + (since - base)
    else:  # times that lie too far apart for one number with the device: their ranks do not
        times = np.unique(np.concatenate((series.at, since)))
        keys = series.codes * len(times) + np.searchsorted(times, series.at)
        wanted = codes * len(times) + np.searchsorted(times, since)
    return np.searchsorted(keys, wanted, "right").astype(np.int64)


def _aggregated(function: str, series: _Sorted, starts: Ints, count: int) -> tuple[NDArray[Any], Bools]:
    found = np.zeros(count, np.int64 if function == "count" else np.float64)
    there = np.zeros(count, bool)
    calm = ~series.disturbed
    rows = series.asking[calm]
    found[rows], there[rows] = _over(function, series.at, series.values, starts[calm], series.ends[calm])
    for piece in _pieces(series, starts):
        at, values, begins, ends = _gathered(series, starts, piece)
        rows = series.asking[piece]
        found[rows], there[rows] = _over(function, at, values, begins, ends)
    return found, there


def _pieces(series: _Sorted, starts: Ints) -> list[Ints]:
    """The disturbed rows, in pieces whose windows are together not too many readings."""
    disturbed = np.flatnonzero(series.disturbed)
    if not len(disturbed):
        return []
    total = np.cumsum(series.ends[disturbed] - starts[disturbed])
    return [piece for piece in np.split(disturbed, np.flatnonzero(np.diff(total // MOST_GATHERED)) + 1) if len(piece)]


def _gathered(series: _Sorted, starts: Ints, piece: Ints) -> tuple[Ints, Floats, Ints, Ints]:
    """The windows of rows one after another, without what came after the row in the log."""
    sizes = np.maximum(series.ends[piece] - starts[piece], 0)
    owner = np.repeat(np.arange(len(piece)), sizes)
    first = np.cumsum(sizes) - sizes
    places = np.arange(int(sizes.sum())) - first[owner] + starts[piece][owner]
    stays = series.rows[places] <= series.asking[piece][owner]
    places, owner = places[stays], owner[stays]
    ends = np.cumsum(np.bincount(owner, minlength=len(piece)))
    return series.at[places], series.values[places], np.concatenate((np.zeros(1, np.int64), ends[:-1])), ends


def _over(function: str, at: Ints, values: Floats, starts: Ints, ends: Ints) -> tuple[NDArray[Any], Bools]:
    starts = np.maximum(starts, ends - MOST_READINGS)
    sizes = ends - starts
    if function == "count":
        return sizes, np.ones(len(sizes), bool)
    there = sizes > (1 if function in ("delta", "rate") else 0)
    if not len(values):
        return np.zeros(len(sizes)), there
    last, first = np.maximum(ends - 1, 0), np.minimum(starts, len(values) - 1)
    if function == "last":
        return values[last], there
    if function in ("delta", "rate"):
        change, seconds = values[last] - values[first], (at[last] - at[first]) / 1e6
        if function == "delta":
            return change, there
        there &= seconds > 0
        return np.divide(change, seconds, out=np.zeros(len(change)), where=there), there
    reduced = _reduced({"min": np.minimum, "max": np.maximum}.get(function, np.add), values, starts, ends)
    return (reduced / np.maximum(sizes, 1) if function == "avg" else reduced), there


def _reduced(function: np.ufunc, values: Floats, starts: Ints, ends: Ints) -> Floats:
    """Each range reduced by itself, from its own elements alone."""
    places = np.empty(2 * len(starts), np.int64)
    places[0::2], places[1::2] = starts, ends
    with np.errstate(invalid="ignore", over="ignore"):
        found: Floats = function.reduceat(np.append(values, 0.0), places)[::2]
    return found


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


def layout(keys: pl.Series, at: pl.Series, received: pl.Series) -> Layout:
    """The layout of a frame's rows."""
    devices = keys.unique(maintain_order=True)
    codes = keys.replace_strict(devices, pl.Series(range(len(devices)), dtype=pl.Int64), return_dtype=pl.Int64)
    return Layout(devices.to_list(), codes.to_numpy(), at.to_numpy(), received.to_numpy())


def late(newest: dict[str, int], layout: Layout, relevant: Bools, update: bool = True) -> Bools:
    """Which rows are before a relevant one that was there first; `newest` learns of the relevant ones."""
    before = np.array([newest.get(device, -(2**62)) for device in layout.devices], np.int64)
    order = np.argsort(layout.codes, kind="stable")
    order = order[relevant[order]]
    codes, at = layout.codes[order], layout.at[order]
    # Ranks, so that device and time fit one number; each device's running maximum is its own.
    times = np.unique(np.concatenate((at, before)))
    running = np.maximum.accumulate(
        np.concatenate(
            (
                [0],
                np.maximum(
                    codes * len(times) + np.searchsorted(times, at),
                    codes * len(times) + np.searchsorted(times, before)[codes],
                ),
            )
        )
    )[1:]
    highest = times[running % len(times)] if len(order) else at
    found = np.zeros(len(layout.codes), bool)
    found[order] = at < highest
    if update and len(order):
        ends = np.flatnonzero(np.append(codes[1:] != codes[:-1], True))
        newest.update((layout.devices[codes[end]], int(highest[end])) for end in ends)
    return found
