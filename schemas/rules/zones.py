"""Time zones by their IANA names, of the package tzdata alone: what a machine brings along differs from machine to machine,
and what an engine says must not."""

from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo


class NoZone(ValueError):
    """There is no time zone of that name."""


@cache
def names() -> frozenset[str]:
    """All names, such as Europe/Berlin."""
    return frozenset(files("tzdata").joinpath("zones").read_text("ascii").split())


@cache
def zone(name: str) -> ZoneInfo:
    """A zone by its name, upper and lower case told apart.

    Raises:
        NoZone: there is none.
    """
    if name not in names():
        near = get_close_matches(name, names(), 1)
        meant = f"; is {near[0]} meant?" if near else ", such as Europe/Berlin"
        raise NoZone(f"zone: {name[:64]!r} is no IANA time zone{meant}")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)
