"""Every view of the fleet. Names are unique and never change: positions, tables and consumer groups carry them."""

from projections import device_state
from projections.alerts import ALERTS
from projections.certificate_log import CERTIFICATE_LOG
from projections.certificates import CERTIFICATES
from projections.device_events import DEVICE_EVENTS
from projections.frames import device_state as device_state_frames
from projections.heartbeats import HEARTBEATS
from projections.incidents import INCIDENTS
from projections.projection import KeyedProjection, Projection
from projections.registration_steps import REGISTRATION_STEPS
from projections.registrations import REGISTRATIONS
from projections.security_events import SECURITY_EVENTS
from projections.telemetry import TELEMETRY
from projections.trends import TRENDS

DEVICE_STATE = KeyedProjection(
    "device_state",
    device_state.TOPICS,
    device_state_frames.summarize,
    device_state_frames.keyed,
    device_state.each,
    {f"count.{name}": topic for topic, name in device_state.COUNTERS.items()},
    {device_state.REGISTRATIONS: frozenset({device_state.REGISTERED})},
)

OF_UPLOADS: tuple[Projection, ...] = (DEVICE_STATE, TELEMETRY, HEARTBEATS, DEVICE_EVENTS)
"""Views of nothing but what devices upload."""

CATALOGUE: tuple[Projection, ...] = (
    *OF_UPLOADS,
    REGISTRATIONS,
    REGISTRATION_STEPS,
    CERTIFICATES,
    CERTIFICATE_LOG,
    SECURITY_EVENTS,
    ALERTS,
    INCIDENTS,
    TRENDS,
)


class UnknownView(KeyError):
    """No view has this name; the message lists those there are."""

    def __str__(self) -> str:
        return f"no view is named {self.args[0]!r}; there are {', '.join(p.name for p in CATALOGUE)}"


def find(name: str) -> Projection:
    """The projection of a name.

    Raises:
        UnknownView: there is none.
    """
    for projection in CATALOGUE:
        if projection.name == name:
            return projection
    raise UnknownView(name)
