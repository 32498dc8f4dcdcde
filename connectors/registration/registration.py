"""Registration put together from its ports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.event_tail import EventTail
from connectors.http.body import BodyReader
from connectors.http.request import Route
from connectors.ingress.access import Access
from connectors.ingress.options import Producer
from connectors.ingress.schema_ids import SchemaIds
from connectors.pages import PageReader
from connectors.registration.answers import Answers
from connectors.registration.asked import MESSAGES
from connectors.registration.certificates import Certificates
from connectors.registration.claims import Claims
from connectors.registration.commands import Commands, codecs
from connectors.registration.configuration import Configurations, Sections, Signer
from connectors.registration.desk import Desk
from connectors.registration.devices import Devices
from connectors.registration.lookups import Lookups
from connectors.registration.pre_registrations import MOST_ROWS, PreRegistrations
from connectors.registration.reading import Reader
from connectors.registration.routes import registration_routes
from connectors.registration.secrets import Secrets
from connectors.registration.sessions import Sessions
from schemas.contract import Contract


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
    """What registration needs of the outside beside what the ingress has."""

    tail: EventTail
    lookups: Lookups
    signer: Signer


class Registration:
    """All its parts. `routes` are its operations; `open` is called when its schemas are registered."""

    def __init__(
        self,
        options: RegistrationOptions,
        ports: RegistrationPorts,
        contract: Contract,
        access: Access,
        bodies: BodyReader,
        log: tuple[Producer, PageReader],
    ) -> None:
        producer, pages = log
        self._contract = contract
        self.answers = Answers(pages, options.most_waiting)
        self.commands = Commands(contract, producer, ports.tail, self.answers)
        secrets = Secrets(options.pepper)
        configurations = Configurations(
            options.models, options.base_url, ports.signer, secrets.derived("device configurations")
        )
        desk = Desk(Reader(bodies), self.commands, access, ports.lookups, secrets, configurations)
        sessions = Sessions(desk)
        self.routes: list[Route] = registration_routes(
            Claims(desk), sessions, Devices(desk, sessions), PreRegistrations(desk, options.most_rows), Certificates(desk)
        )

    def registered(self, schema_ids: SchemaIds) -> dict[str, int]:
        """The ids of the schemas of all messages, by subject; registers those that are new.

        Raises:
            Away, SchemaRefused: as SchemaIds.
        """
        found = {}
        for topic in MESSAGES:
            declared = self._contract.topics[topic]
            for record in declared.records:
                found[declared.subject(record)] = schema_ids.of(declared, record)
        return found

    def open(self, ids: Mapping[str, int], schema_ids: SchemaIds, seconds: float) -> None:
        """Requests may come; each waits so many seconds for its answer."""
        self.commands.open(codecs(self._contract, ids, schema_ids.schema), seconds)
