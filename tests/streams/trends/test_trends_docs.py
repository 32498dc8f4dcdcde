"""The example in docs/trends.md does what the page says."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from streams.trends.plugins import load

PAGE = Path(__file__).resolve().parents[3] / "docs" / "trends.md"


def test_the_example_of_a_detector_plugs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    module = ModuleType("users_detectors")
    exec(compile(example, str(PAGE), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "users_detectors", module)
    detector = load("users_detectors:Freezing", {"below": 4.0})
    _, verdict = detector.step(detector.start(), 1, 3.0)
    assert (verdict.alarm, verdict.reason) == (True, "freezing")
