"""What an ingress is connected to."""

from collections.abc import Callable
from dataclasses import dataclass

from connectors.cluster import Cluster
from connectors.ingress.options import Producer
from connectors.pages import PageReader
from connectors.ports import LogReader, SchemaRegistry


@dataclass(frozen=True, slots=True)
class Outside:
    """The ports of one ingress. `make_reader` opens the log, for the recovery at the start."""

    producer: Producer
    registry: SchemaRegistry
    cluster: Cluster
    make_reader: Callable[[], LogReader]
    pages: PageReader
