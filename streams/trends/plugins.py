"""Detectors named in configuration, as `package.module:Class` or `package.module.Class`. Standard library only."""

import importlib
from collections.abc import Mapping

from streams.trends.detection import Detector

DEFAULT = "streams.trends.detector:SeasonalDetector"
MOST_STATE = 64 * 1024  # bytes a series


class PluginError(Exception):
    """A detector that was named can't be used; the text says which and why."""


def load(name: str = DEFAULT, options: Mapping[str, object] | None = None) -> Detector:
    """The detector of that name, made with `options` as keyword arguments and tried on one row.

    Raises:
        PluginError: no such module or class, it can't be made with those options, or it is not a detector.
    """
    module_name, _, class_name = name.rpartition(":" if ":" in name else ".")
    if not module_name or not class_name:
        raise PluginError(f"detector {name!r}: a name has the form package.module:Class")
    try:
        module = importlib.import_module(module_name)
    except ImportError as failure:
        raise PluginError(f"detector {name!r}: module {module_name} can't be imported: {failure}") from failure
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise PluginError(f"detector {name!r}: module {module_name} has no class {class_name}")
    try:
        made = found(**dict(options or {}))
    except (TypeError, ValueError) as failure:
        raise PluginError(f"detector {name!r}: can't be made with options {dict(options or {})}: {failure}") from failure
    return _tried(name, made)


def _tried(name: str, made: object) -> Detector:
    """Try one row, so that a detector of a wrong form is refused at the start and not at the first record."""
    start, step = getattr(made, "start", None), getattr(made, "step", None)
    if not callable(start) or not callable(step):
        raise PluginError(f"detector {name!r}: a detector has the methods start() and step(state, at, value)")
    try:
        state = start()
        after = step(state, 1_700_000_000_000_000, 1.0)
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as failure:
        raise PluginError(f"detector {name!r}: fails on its first row: {type(failure).__name__}: {failure}") from failure
    if not isinstance(state, bytes) or not (isinstance(after, tuple) and len(after) == 2 and isinstance(after[0], bytes)):
        raise PluginError(f"detector {name!r}: start() gives bytes, step() gives bytes and a verdict")
    if not hasattr(after[1], "score") or not hasattr(after[1], "alarm"):
        raise PluginError(f"detector {name!r}: step() gives a {type(after[1]).__name__} where a Verdict is due")
    if len(after[0]) > MOST_STATE:
        raise PluginError(f"detector {name!r}: its state has {len(after[0])} bytes, at most {MOST_STATE} are kept")
    return made  # type: ignore[return-value]  # its form was just tried
