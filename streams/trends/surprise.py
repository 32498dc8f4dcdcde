"""How strange a row is: four statistics, each measured by what this series has shown before. Numpy only, by row.

The highest value of each statistic in every block of rows is kept. A statistic is surprising by how far it passes the
usual peak, in spreads of the peaks (of their logarithms). So a series that bursts often must burst harder, and a quiet
one need not.
"""

import numpy as np

from streams.trends.foretelling import SPREAD, Foretold
from streams.trends.settings import Settings
from streams.trends.state import BLOCKS, Columns, Floats

QUIET = -9.0


def statistics(state: Columns, told: Foretold, settings: Settings) -> tuple[Floats, Floats]:
    """(series, channel) statistics of the rows, and (series, channel) signs. Moves the sums that they are made from.

    Channels: distance of the value; smoothed distance from the slow ways; change of the size of changes; length of
    standing still.
    """
    rows = np.arange(len(told.away))
    slow = told.scales[:, 2:].argmin(axis=1)
    beside = told.errors[rows, 2 + slow] / (SPREAD * told.scales[rows, 2 + slow])
    shift = state["shift"] + settings.shift_rate * (np.clip(beside, -6, 6) - state["shift"])
    log_change = np.log(np.abs(told.change) + 0.3 * told.floor + 1e-12)
    moved = state["log_change"] + settings.variance_rate * (log_change - state["log_change"])
    smooth = np.where(state["rows"] < 5, log_change, moved)
    away = smooth - state["log_change_mean"]
    spread = np.maximum(state["log_change_spread"], 0.15)
    still = told.change == 0
    same = np.where(still, state["same"] + 1, 0.0)
    run = same * -np.log(state["same_share"])
    _learn(state, away, spread)
    state["shift"], state["log_change"], state["same"] = shift, smooth, same
    share = state["same_share"] + np.maximum(0.01, 0.5 / (state["rows"] + 2)) * (still - state["same_share"])
    state["same_share"] = np.clip(share, 0.002, 0.998)
    channels = np.stack([told.away, np.abs(shift), np.abs(away) / spread, run], axis=1)
    signs = np.stack([np.sign(told.errors[rows, told.scales.argmin(axis=1)]), np.sign(shift), np.sign(away), same], axis=1)
    return channels, signs


def _learn(state: Columns, away: Floats, spread: Floats) -> None:
    young = state["rows"] < 20
    size = np.clip(np.abs(away) * SPREAD, 0, 4 * spread)
    limit = np.where(young, np.inf, 3 * spread)
    state["log_change_mean"] += np.maximum(1 / (state["rows"] + 1), 0.005) * np.clip(away, -limit, limit)
    state["log_change_spread"] = np.where(
        young, 0.5, state["log_change_spread"] + 0.01 * (size - state["log_change_spread"])
    )


def usual_peaks(state: Columns, settings: Settings) -> tuple[Floats, Floats]:
    """(series, channel): mean and spread of the logarithms of past peaks, with the assumed ones among them."""
    known = ~np.isnan(state.peaks)
    count = known.sum(axis=2) + settings.usual_count
    usual = np.array(settings.usual_logs)
    mean = (np.where(known, state.peaks, 0.0).sum(axis=2) + settings.usual_count * usual) / count
    squares = np.where(known, (state.peaks - mean[:, :, None]) ** 2, 0.0).sum(axis=2)
    variance = (squares + settings.usual_count * settings.usual_spread**2) / count
    return mean, np.maximum(np.sqrt(variance), settings.least_spread)


def keep_peaks(state: Columns, channels: Floats, settings: Settings) -> None:
    """Take the statistics into the current block; at its end its peaks replace those of the oldest block."""
    highest = np.maximum(state["highest"], channels)
    count = state["in_block"] + 1
    full = np.flatnonzero(count >= settings.block_rows)
    if len(full):
        slots = (state["blocks"][full] % BLOCKS).astype(np.int64)
        state.peaks[full, :, slots] = np.log(np.minimum(highest[full], settings.highest_kept) + 1e-3)
        state["blocks"][full] += 1
        highest[full], count[full] = 0.0, 0.0
    state["highest"], state["in_block"] = highest, count


def hushed(state: Columns, surprise: Floats, settings: Settings) -> Floats:
    """Surprise, made small where an alarm of like strength came shortly before.

    One episode is told once, unless it grows.
    """
    told = surprise > state["hush"] + settings.hush_margin
    quieted = np.where(told, surprise, np.minimum(surprise, 0.0) - 1.0)
    faded = state["hush"] - 3.0 / settings.hush_rows
    state["hush"] = np.maximum(np.where(quieted > 0, np.maximum(surprise, state["hush"]), faded), QUIET)
    return quieted
