"""What is found, and done, about documents that are not what the log implies, as the avsc of the same name declare it."""

from schemas.messages import Event

DRIFT_TOPIC = "fleet.drift"


class Drift(Event, frozen=True, kw_only=True):
    """About one document of a view."""

    view: str
    version: int
    key: str


class DriftFound(Drift, frozen=True, kw_only=True):
    """It is not what the log implies."""

    fault: str
    found_sha256: str | None
    expected_sha256: str | None


class DriftHealed(Drift, frozen=True, kw_only=True):
    """It was made again from the log."""

    sha256: str | None
