"""Labelled series of many kinds, made from a seed.

For choosing and for judging detectors, on kinds and seeds of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
START = 1_700_006_400_000_000  # a midnight (UTC), epoch microseconds
MINUTE = 60_000_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """One series: row times (epoch microseconds), values, and windows around its anomalies as (first, last) row."""

    name: str
    at: npt.NDArray[np.int64]
    values: Floats
    windows: tuple[tuple[int, int], ...]


def noise(rng: Rng, n: int, memory: float = 0.5) -> Floats:
    """Unit-variance noise with the given correlation from row to row."""
    steps = rng.normal(size=n) * np.sqrt(1 - memory**2)
    out = np.empty(n)
    level = rng.normal()
    for i in range(n):
        level = memory * level + steps[i]
        out[i] = level
    return out


def day(t: Floats, rng: Rng) -> Floats:
    """A daily course with two harmonics, about -1 to 1; `t` in days."""
    a, b = rng.uniform(0, 6.28, 2)
    return np.sin(6.2832 * t + a) + 0.4 * np.sin(12.566 * t + b)


def bursts(rng: Rng, n: int, every: float, height: float) -> Floats:
    out = np.zeros(n)
    for start in np.flatnonzero(rng.random(n) < 1 / every):
        out[start : start + rng.integers(1, 4)] += height * rng.uniform(0.4, 1.0)
    return out


def daily(t: Floats, rng: Rng) -> Floats:
    return 50 + 10 * day(t, rng) + rng.uniform(0.5, 3) * noise(rng, len(t))


def weekly(t: Floats, rng: Rng) -> Floats:
    weekend = 1 - 0.35 * ((t % 7) >= 5)
    return 1000 * (1.6 + day(t, rng)) * weekend * np.exp(0.05 * noise(rng, len(t), 0.7))


def cpu(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    return np.clip(
        rng.uniform(2, 50) + rng.uniform(0.3, 2) * noise(rng, n, 0.3) + bursts(rng, n, 150, rng.uniform(2, 10)), 0, 100
    )


def network(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    batch = ((t * 24) % rng.choice([1, 3, 6, 24])) < 0.1
    return 1e5 * np.exp(0.6 * noise(rng, n, 0.2)) + 2e6 * batch * rng.uniform(0.8, 1.2, n) + bursts(rng, n, 300, 3e6)


def latency(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    return 40 + 3 * np.exp(0.8 * noise(rng, n, 0.4)) + bursts(rng, n, 200, 30) + 2 * day(t, rng)


def room(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    return 70 + np.cumsum(rng.normal(size=n)) * 0.05 + 2 * day(t, rng) + 0.4 * noise(rng, n)


def machine(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    return 90 + 6 * noise(rng, n, 0.995) + 0.8 * noise(rng, n, 0.2) + 2 * day(t, rng)


def speed(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    rush = np.exp(-(((t % 1) * 24 - 8.5) ** 2) / 2) + np.exp(-(((t % 1) * 24 - 17.5) ** 2) / 3)
    return np.clip(
        70 - 25 * rush * rng.uniform(0.5, 1.2, n) + 4 * noise(rng, n, 0.3) - bursts(rng, n, 120, 30), 5, 90
    ).round()


def occupancy(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    busy = np.clip(day(t, rng) + 0.5, 0, None)
    return np.clip(8 * busy * np.exp(0.5 * noise(rng, n, 0.3)) + bursts(rng, n, 150, 10), 0, 100).round(2)


def tweets(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    rate = rng.choice([2, 15, 60]) * (1.5 + day(t, rng)).clip(0.2) * np.exp(0.4 * noise(rng, n, 0.6))
    return rng.poisson(rate).astype(float) + bursts(rng, n, 250, 5 * rate.mean()).round()


def counter(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    grown = np.cumsum(rng.uniform(0.5, 1.5, n))
    return grown % rng.uniform(200, 600)


def plateaus(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    busy = ((t % 1) > 0.375) & ((t % 1) < 0.75)
    return 20 + 60 * busy + rng.uniform(0.01, 4) * noise(rng, n, 0.1)


def price(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    return rng.uniform(0.1, 2) * np.exp(0.4 * noise(rng, n, 0.4)) * (1 + 0.2 * day(t, rng)) + bursts(rng, n, 200, 1.0)


def levels(t: Floats, rng: Rng) -> Floats:
    n = len(t)
    return rng.integers(0, 4, n).astype(float) * (rng.random(n) < 0.1) + rng.uniform(5, 10)


Bend = Callable[[Floats, int, int, float, Rng], None]


def spike(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    x[at : at + rng.integers(1, 6)] += size * rng.uniform(0.8, 1.6)


def dip(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    x[at : at + rng.integers(2, 20)] -= size * rng.uniform(0.7, 1.2)


def shift(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    x[at:] += size * rng.uniform(0.5, 1.0) * rng.choice([-1, 1])


def stay(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    x[at : at + length] += size * rng.uniform(0.5, 1.0) * rng.choice([-1, 1])


def flat(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    x[at : at + length] = x[at]


def shaky(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    part = x[at : at + length]
    part += rng.normal(size=len(part)) * size * 0.6


def ramp(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    part = x[at : at + length]
    part += np.linspace(0, 1.3 * size, len(part)) * rng.choice([-1, 1])


def out(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    x[at : at + length // 2] = 0.0


def cluster(x: Floats, at: int, length: int, size: float, rng: Rng) -> None:
    for offset in range(0, length, max(2, length // 12)):
        x[at + offset : at + offset + 2] += size * rng.uniform(0.5, 1.0)


KINDS = (daily, weekly, cpu, network, latency, room, machine, speed, occupancy, tweets, counter, plateaus, price, levels)
BENDS: tuple[Bend, ...] = (spike, dip, shift, stay, flat, shaky, ramp, out, cluster)
FOR_CHOOSING = (daily, cpu, network, machine, occupancy, tweets, counter)
HELD_OUT = (weekly, latency, room, speed, plateaus, price, levels)


def labelled(kind: Callable[[Floats, Rng], Floats], seed: int) -> Labelled:
    """A series of 1,500 to 4,500 rows with one to four anomalies.

    Its windows cover a tenth of it, each centred on an onset.
    """
    rng = np.random.default_rng([seed, *kind.__name__.encode()])
    n = int(rng.integers(1500, 4500))
    step = int(rng.choice([5, 5, 5, 10, 30, 60]))
    if kind in (daily, weekly, plateaus) and step == 5:
        n = 4032
    gaps = np.full(n, step * MINUTE)
    gaps[rng.random(n) < 0.002] *= int(rng.integers(2, 30))
    at = START + np.cumsum(gaps)
    values = kind((at - START) / (1440 * MINUTE), rng)
    size = 1.2 * float(np.quantile(values, 0.995) - np.quantile(values, 0.05)) + 1e-3
    count = int(rng.integers(1, 5))
    half = int(0.05 * n / count)
    slots = np.linspace(0.2 * n + half, n - 2 * half - 2, 2 * count + 1).astype(int)
    starts = sorted(rng.choice(slots, count, replace=False))
    windows = []
    for start in starts:
        bend = BENDS[int(rng.integers(len(BENDS)))]
        bend(values, int(start), int(rng.integers(half // 2, half + 2)), size, rng)
        windows.append((int(start) - half, int(start) + half))
    kept = [w for i, w in enumerate(windows) if i == 0 or w[0] > windows[i - 1][1]]
    return Labelled(f"{kind.__name__}/{seed}", at, values, tuple(kept))
