"""What an ingress is connected to."""

from collections.abc import Callable
from dataclasses import dataclass, field

from connectors.alerting.port import AlertingDesk
from connectors.as_of import AsOfReader
from connectors.cluster import Cluster
from connectors.ingress.guard_options import Guards, in_memory
from connectors.ingress.options import Producer
from connectors.pages import PageReader
from connectors.ports import LogReader, SchemaRegistry
from connectors.registration.options import RegistrationPorts
from connectors.traces import Tracer


@dataclass(frozen=True, slots=True)
class Outside:
    """The ports of one ingress. `make_reader` opens the log, for the recovery at the start, `make_tracer` the marks of
    requests in it, for those that a crash interrupted; `guards`: what the gates of the listeners ask; without
    `registration` (here and in the options) there are none of its operations; the same of `as_of` and `alerting`."""

    producer: Producer
    registry: SchemaRegistry
    cluster: Cluster
    make_reader: Callable[[], LogReader]
    pages: PageReader
    make_tracer: Callable[[], Tracer]
    guards: Guards = field(default_factory=in_memory)
    registration: RegistrationPorts | None = None
    as_of: AsOfReader | None = None
    alerting: AlertingDesk | None = None
