"""Which devices there are, which series they play and how fast."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from infra.simulator.device import Device, now_micros
from infra.simulator.faults import Faults
from infra.simulator.series import MICROS, Series

MOST_ROWS = 3  # rows of its series that a device puts into one upload
MOST_SKEW = 86_400 * MICROS
MEAN_ROWS = (1 + MOST_ROWS) / 2
GOLDEN = 0.618033988749895  # spreads any number of first rows evenly over a series


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    `rate`: records/s of telemetry of the whole fleet, each device plays its series as fast as its share asks; 0: as fast
    as the ingress takes them. `speed`: every series plays so many times faster than it was measured; takes the place
    of `rate`. `batch`: most uploads in one telemetry request. `seconds` None: until stopped. Durations are seconds.
    """

    devices: int = 50
    seconds: float | None = None
    rate: float = 300.0
    speed: float | None = None
    seed: int = 0
    faults: Faults = field(default_factory=Faults)
    batch: int = 1
    connections: int = 8
    heartbeat: float = 10.0
    join: float = 0.0  # the devices come in one after the other within so long
    drain: float = 60.0
    timeout: float = 15.0
    patience: float = 30.0  # give up when the ingress never answered for so long from the start


@dataclass(frozen=True, slots=True)
class Member:
    """A device and its pace: how many times faster than the clock its series plays; None: as fast as possible. `phase`
    is a share of an interval that sets devices of the same pace apart."""

    device: Device
    pace: float | None
    phase: float
    origin: int  # when its first row was measured, microseconds

    def due(self, rows: int) -> float:
        """Seconds from the run's start until the device has measured its next `rows` rows."""
        if self.pace is None:
            return 0.0
        spacing = self.device.series.spacing / MICROS
        return ((self.device.due(rows) - self.origin) / MICROS + self.phase * spacing) / self.pace


def fleet(plan: Plan, series: Sequence[Series], run: str, chance: random.Random) -> list[Member]:
    """The devices of a plan. Their ids carry the run's name: a device that comes back in a later run under the same id
    would be one whose clock and readings jump back."""
    members = []
    for i in range(plan.devices):
        played = series[i % len(series)]
        pace = _pace(plan, played)
        first_row = int((i // len(series)) * GOLDEN * len(played)) % len(played)
        skew = chance.randint(-MOST_SKEW, MOST_SKEW) if chance.random() < plan.faults.skew else 0
        device = Device(f"sim-{run}-{i:05d}", played, first_row, _begins(plan, played, pace), skew)
        members.append(Member(device, pace, chance.random(), device.due(1)))
    return members


def _pace(plan: Plan, series: Series) -> float | None:
    if plan.speed is not None:
        return plan.speed
    if plan.rate == 0:
        return None
    uploads_per_second = plan.rate / plan.devices
    return uploads_per_second * MEAN_ROWS * series.spacing / MICROS


def _begins(plan: Plan, series: Series, pace: float | None) -> int:
    """When the first reading was measured: now in real time; else so long ago that a run of `seconds` ends about now,
    but not longer than the series itself."""
    if pace is None:
        return now_micros() - series.period
    if pace <= 1:
        return now_micros()
    ahead = (plan.seconds or 3600.0) * (pace - 1) * MICROS
    return now_micros() - min(int(ahead), series.period)
