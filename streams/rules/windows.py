"""Functions over windows, in event time, carried from frame to frame.

A *series* is the readings that one expression gives, kept by device in the order of event time, of one time in the order of
the log. A window of a row at time t holds what the series has in (t - span, t] from rows up to this one in the log: no row
sees a later one. Each window is summed by itself, so floats come out the same however rows fall into frames. A window holds
the newest `MOST_READINGS`; only what a later row's window can hold is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

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
    before = [kept.get(device) for device in layout.devices]
    sizes = np.array([0 if readings is None else len(readings.at) for readings in before], np.int64)
    there = [readings for readings in before if readings is not None and len(readings.at)]
    then, held = _joined([one.at for one in there], np.int64), _joined([one.values for one in there], np.float64)
    by_device = np.argsort(layout.codes, kind="stable")
    if _in_order(layout, by_device, then, sizes):
        return _appended(layout, values, valid, by_device, (then, held, sizes))
    count = len(layout.at)
    codes = np.concatenate((np.repeat(np.arange(len(sizes)), sizes), layout.codes))
    at, all_values = np.concatenate((then, layout.at)), np.concatenate((held, values))
    rows = np.concatenate((np.full(len(then), -1, np.int64), np.arange(count)))
    element = np.concatenate((np.ones(len(then), bool), valid))
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


def _joined(parts: Sequence[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, kind)


def _in_order(layout: Layout, by_device: Ints, then: Ints, sizes: Ints) -> bool:
    """Whether each device's rows come one after the other in time, and after what is kept of it: nearly always."""
    of, at = layout.codes[by_device], layout.at[by_device]
    first = np.append(True, of[1:] != of[:-1])[: len(of)]
    newest = np.full(len(sizes), -(2**62), np.int64)
    newest[sizes > 0] = then[np.cumsum(sizes)[sizes > 0] - 1]
    before = np.where(first, newest[of], np.append(0, at[:-1])[: len(at)])
    return bool((before <= at).all())


def _appended(layout: Layout, values: Floats, valid: Bools, by_device: Ints, known: tuple[Ints, Floats, Ints]) -> _Sorted:
    """As `_sorted`, where each device's rows stand behind what is kept of it: sorting all of that again would cost as much
    as the windows are long. `known`: times and values, device by device, and how many each has."""
    then, held, sizes = known
    of, there = layout.codes[by_device], valid[by_device]
    more = np.bincount(of[there], minlength=len(sizes))
    starts = np.cumsum(sizes + more) - (sizes + more)
    kept_at = np.arange(len(then)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
    counted = np.cumsum(there) - (np.cumsum(more) - more)[of]  # of the device's readings, up to each row
    ends = starts[of] + sizes[of] + counted
    total = len(then) + int(more.sum())
    at, all_values, rows = np.empty(total, np.int64), np.empty(total), np.full(total, -1, np.int64)
    at[kept_at], all_values[kept_at] = then, held
    mine, added = ends[there] - 1, by_device[there]
    at[mine], all_values[mine], rows[mine] = layout.at[added], values[added], added
    codes = np.repeat(np.arange(len(sizes)), sizes + more)
    return _Sorted(codes, at, all_values, rows, by_device, ends, np.zeros(len(by_device), bool))


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
