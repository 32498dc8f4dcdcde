"""Registration put together from its ports."""

from collections.abc import Mapping
from typing import NamedTuple

from connectors.http.body import BodyReader
from connectors.http.request import Route
from connectors.ingress.access import Access
from connectors.ingress.options import Producer
from connectors.ingress.schema_ids import SchemaIds
from connectors.ingress.security_events import Watch
from connectors.pages import PageReader
from connectors.registration.activations import Activations
from connectors.registration.answers import Answers
from connectors.registration.asked import TOPICS
from connectors.registration.certificates import Certificates
from connectors.registration.claims import Claims
from connectors.registration.commands import Commands, codecs
from connectors.registration.configuration import Configurations
from connectors.registration.desk import Desk
from connectors.registration.devices import Devices
from connectors.registration.options import RegistrationOptions, RegistrationPorts
from connectors.registration.pre_registrations import PreRegistrations
from connectors.registration.reading import Reader
from connectors.registration.routes import registration_routes
from connectors.registration.secrets import Secrets
from connectors.registration.sessions import Sessions
from connectors.signing_keys import Signer
from schemas.contract import Contract


class Shared(NamedTuple):
    """What the ingress shares with it."""

    bodies: BodyReader
    producer: Producer
    pages: PageReader
    signer: Signer
    watch: Watch


class Registration:
    """All its parts. `routes` are its operations; `open` is called when its schemas are registered."""

    def __init__(
        self,
        options: RegistrationOptions,
        ports: RegistrationPorts,
        contract: Contract,
        access: Access,
        shared: Shared,
    ) -> None:
        self._contract = contract
        self.answers = Answers(shared.pages, options.most_waiting)
        self.commands = Commands(contract, shared.producer, ports.tail, self.answers)
        secrets = Secrets(options.pepper)
        configurations = Configurations(
            options.models, options.base_url, shared.signer, secrets.derived("device configurations")
        )
        desk = Desk(Reader(shared.bodies), self.commands, access, ports.lookups, secrets, configurations, shared.watch)
        self.activations = Activations(self.commands, ports.lookups)
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
        for topic in TOPICS:
            declared = self._contract.topics[topic]
            for record in declared.records:
                found[declared.subject(record)] = schema_ids.of(declared, record)
        return found

    def open(self, ids: Mapping[str, int], schema_ids: SchemaIds, seconds: float) -> None:
        """Requests may come; each waits so many seconds for its answer."""
        self.commands.open(codecs(self._contract, ids, schema_ids.schema), seconds)
