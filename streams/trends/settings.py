"""Settings of the default detector. They were chosen once, on generated series of many kinds; no series needs its own.

Standard library only.
"""

from dataclasses import dataclass

ALARM_SCORE = 0.5


@dataclass(frozen=True, slots=True)
class Settings:
    """Rates are the weight of a new row in an exponentially weighted mean; rows count from the first of a series.

    Raises:
        ValueError: on making, where a setting is out of its range.
    """

    warm_rows: int = 40  # before them nothing is judged
    block_rows: int = 150  # the highest statistic of each such block tells what is usual for the series
    hush_rows: int = 150  # after an alarm, lesser strangeness is kept quiet, less so with each row
    hush_margin: float = 1.0
    alarm_surprise: float = 0.1  # spreads of the usual block peaks by which a statistic must pass their mean
    error_rate: float = 0.01
    drift_rate: float = 0.05
    fast_rate: float = 0.4
    slow_rate: float = 0.02
    day_rate: float = 0.35
    week_rate: float = 0.5
    offset_rate: float = 0.05
    shift_rate: float = 0.12
    variance_rate: float = 0.03
    good_enough: float = 1.3  # a way to foretell whose error is within this factor of the best one's has a say
    outlier: float = 4.0  # errors beyond this many spreads are clipped before they are learned
    usual_count: float = 8.0  # how many blocks the assumed peaks below weigh
    usual_logs: tuple[float, float, float, float] = (1.35, 0.6, 0.9, 2.3)
    usual_spread: float = 0.35
    least_spread: float = 0.1
    highest_kept: float = 30.0
    bias: tuple[float, float, float, float] = (0.0, 0.2, -0.3, -1.0)  # added to the surprise of each channel

    def __post_init__(self) -> None:
        for name in (
            "error_rate",
            "drift_rate",
            "fast_rate",
            "slow_rate",
            "day_rate",
            "week_rate",
            "shift_rate",
            "variance_rate",
        ):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is a weight between 0 and 1, not {getattr(self, name)}")
        for name in ("warm_rows", "block_rows", "hush_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a count of rows, not {getattr(self, name)}")
