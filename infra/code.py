"""Which program this is, for what it writes to say what made it."""

from importlib.metadata import PackageNotFoundError, version


def running() -> str:
    """The version of the installed program."""
    try:
        return f"fleetlog {version('fleetlog')}"
    except PackageNotFoundError:  # run from its sources
        return "fleetlog, not installed"
