"""Where the default detector keeps what: one row of doubles a series, so that many series are one matrix. Numpy only.

A state is that row as bytes: of one length, whatever was seen. Its first number is the version of the layout.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

VERSION = 1.0
EXPERTS = 5  # ways to foretell: last value and drift, fast level, slow level, time of day, time of week
CHANNELS = 4  # ways to be strange: one value, level, variance, standing still
DAY_BINS, WEEK_BINS, BLOCKS = 48, 168, 24

SCALARS = (
    "version", "rows", "at", "previous", "drift", "fast", "slow", "day_offset", "week_offset", "outliers", "calm", "shift",
    "log_change", "log_change_mean", "log_change_spread", "smallest_change", "same", "same_share", "hush",
    "in_block", "blocks",
)  # fmt: skip
VECTORS = {"errors": EXPERTS, "highest": CHANNELS, "day": DAY_BINS, "week": WEEK_BINS, "peaks": CHANNELS * BLOCKS}


def _places() -> dict[str, slice]:
    places = {name: slice(place, place + 1) for place, name in enumerate(SCALARS)}
    at = len(SCALARS)
    for name, length in VECTORS.items():
        places[name] = slice(at, at + length)
        at += length
    return places


PLACES = _places()
WIDTH = PLACES["peaks"].stop


class Columns:
    """The states of several series: a matrix with a row for each, read and written by the names above."""

    def __init__(self, matrix: Floats) -> None:
        self.matrix = matrix

    def __getitem__(self, name: str) -> Floats:
        """A view: one number a series for a scalar, else one row a series."""
        place = PLACES[name]
        return self.matrix[:, place.start] if place.stop == place.start + 1 else self.matrix[:, place]

    def __setitem__(self, name: str, values: Floats | float) -> None:
        self[name][...] = values

    @property
    def peaks(self) -> Floats:
        """Logarithms of the highest statistics of past blocks of rows, as (series, channel, block).

        NaN where there was none yet.
        """
        return self.matrix[:, PLACES["peaks"]].reshape(len(self.matrix), CHANNELS, BLOCKS)


def fresh(series: int) -> Floats:
    """States of series that were not seen."""
    columns = Columns(np.zeros((series, WIDTH)))
    columns["version"] = VERSION
    columns["hush"] = -9.0
    columns["same_share"] = 0.5
    for name in ("day", "week", "peaks"):
        columns[name] = np.nan
    return columns.matrix


def unpacked(states: list[bytes]) -> Floats:
    """The matrix of states that `packed` made.

    Raises:
        ValueError: a state is not of this layout.
    """
    for number, state in enumerate(states):
        if len(state) != 8 * WIDTH:
            raise ValueError(f"state {number} has {len(state)} bytes, a state of this detector {8 * WIDTH}")
    matrix = np.frombuffer(b"".join(states), dtype="<f8").reshape(len(states), WIDTH).astype(np.float64)
    other = np.flatnonzero(matrix[:, 0] != VERSION)
    if len(other):
        raise ValueError(
            f"state {int(other[0])} is of layout version {matrix[other[0], 0]:g}, this detector's is {VERSION:g}"
        )
    return matrix


def packed(matrix: Floats) -> list[bytes]:
    """One state of 8 * WIDTH bytes a row, the same on every machine."""
    return [row.tobytes() for row in matrix.astype("<f8")]
