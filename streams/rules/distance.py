"""How far two places are from each other."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

RADIUS = 6_371_008.8
"""Metres: the mean radius of the Earth (IUGG)."""


def metres(
    latitude: NDArray[np.float64], longitude: NDArray[np.float64], to: NDArray[np.float64], to_east: NDArray[np.float64]
) -> pl.Series:
    """The way over a sphere between places given in degrees north and east; null where one of them is not known. A sphere
    differs from the Earth by up to half a percent."""
    north, east, to_north, to_far = (np.radians(each) for each in (latitude, longitude, to, to_east))
    half = np.sin((to_north - north) / 2) ** 2 + np.cos(north) * np.cos(to_north) * np.sin((to_far - east) / 2) ** 2
    found = 2 * RADIUS * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))
    return pl.Series(found).fill_nan(None)
