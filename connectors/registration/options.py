"""What registration is told from outside, and what it needs of it beside what the ingress has."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.event_tail import EventTail
from connectors.registration.configuration import Sections
from connectors.registration.lookups import Lookups

MOST_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class RegistrationOptions:
    """What registration is told from outside.

    Attributes:
        pepper: 32 secret bytes of the server; the same for all its ingresses.
        base_url: where devices reach the data listener.
        models: configurations of devices, by model; "" for all others.
        most_waiting: requests that may wait for their answers at a time.
    """

    pepper: bytes
    base_url: str
    models: Mapping[str, Sections] = field(default_factory=dict)
    most_waiting: int = 2_000
    most_rows: int = MOST_ROWS


@dataclass(frozen=True, slots=True)
class RegistrationPorts:
    """The ports."""

    tail: EventTail
    lookups: Lookups
