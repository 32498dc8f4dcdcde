"""Detectors by name: the default, a user's own, and what is refused with which words."""

import math
import struct

import pytest

from streams.trends.detection import Verdict
from streams.trends.detector import SeasonalDetector
from streams.trends.plugins import PluginError, load

HERE = __name__


class Freezing:
    """Alarms below a threshold; its state is the count of such rows."""

    def __init__(self, below: float = 0.0) -> None:
        self.below = below

    def start(self) -> bytes:
        return struct.pack("<q", 0)

    def step(self, state: bytes, at: int, value: float) -> tuple[bytes, Verdict]:
        cold = value < self.below
        (count,) = struct.unpack("<q", state)
        verdict = Verdict(float(cold), cold, None, self.below, math.inf, "freezing" if cold else "", 0)
        return struct.pack("<q", count + cold), verdict


class Mute:
    """No detector."""


class Broken(Freezing):
    def step(self, state: bytes, at: int, value: float) -> tuple[bytes, Verdict]:
        raise LookupError("no model")


class Wordy(Freezing):
    def step(self, state: bytes, at: int, value: float) -> tuple[bytes, Verdict]:
        return state, "fine"  # type: ignore[return-value]


class Greedy(Freezing):
    def step(self, state: bytes, at: int, value: float) -> tuple[bytes, Verdict]:
        return bytes(1_000_000), super().step(state, at, value)[1]


class Textual(Freezing):
    def start(self) -> bytes:
        return ""  # type: ignore[return-value]

    def step(self, state: bytes, at: int, value: float) -> tuple[bytes, Verdict]:
        return state, Verdict(0.0, False, None, None, None, "", 0)


def test_the_default_is_the_seasonal_detector_with_options() -> None:
    detector = load(options={"warm_rows": 7})
    assert isinstance(detector, SeasonalDetector)
    assert detector.settings.warm_rows == 7


@pytest.mark.parametrize("name", [f"{HERE}:Freezing", f"{HERE}.Freezing"])
def test_a_users_class_is_loaded_by_its_dotted_name(name: str) -> None:
    detector = load(name, {"below": 4.0})
    _, verdict = detector.step(detector.start(), 1, 3.0)
    assert (verdict.alarm, verdict.reason) == (True, "freezing")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("Freezing", {}, "has the form package.module:Class"),
        ("no.such.module:Freezing", {}, "module no.such.module can't be imported"),
        (f"{HERE}:Melting", {}, "has no class Melting"),
        (f"{HERE}:Freezing", {"above": 1}, "can't be made with options"),
        (f"{HERE}:Mute", {}, "has the methods start"),
        (f"{HERE}:Broken", {}, "fails on its first row: LookupError: no model"),
        (f"{HERE}:Wordy", {}, "gives a str where a Verdict is due"),
        (f"{HERE}:Greedy", {}, "1000000 bytes, at most 65536"),
        (f"{HERE}:Textual", {}, "gives bytes"),
        ("streams.trends.detector:SeasonalDetector", {"fast_rate": 3}, "fast_rate is a weight"),
    ],
)
def test_what_is_no_detector_is_refused(name: str, options: dict[str, object], told: str) -> None:
    with pytest.raises(PluginError, match="detector") as refused:
        load(name, options)
    assert told in str(refused.value)
    assert repr(name) in str(refused.value)
