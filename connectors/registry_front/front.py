"""The front of a schema registry, put together: the address and the API that clients of Confluent's registry expect, before
a registry that departs from it. Storage, ids and verdicts are those of the registry behind."""

from functools import cached_property

from connectors.http.app import HttpApp
from connectors.http.body import BodyReader
from connectors.http.request import Answer, Request, StreamedAnswer
from connectors.registry_front.backend import Backend
from connectors.registry_front.bodies import Bodies
from connectors.registry_front.compatibility import Compatibility
from connectors.registry_front.faults import registry_error
from connectors.registry_front.known import Known
from connectors.registry_front.levels import Levels
from connectors.registry_front.metrics import FrontMetrics
from connectors.registry_front.openapi import document
from connectors.registry_front.operations import Operations
from connectors.registry_front.options import FrontOptions
from connectors.registry_front.registering import Registering
from connectors.registry_front.registry import Registry
from connectors.registry_front.routes import level_routes, operation_routes, schema_routes, subject_routes
from connectors.registry_front.schemas import Schemas
from connectors.registry_front.subjects import Subjects

ALIAS = b"/apis/ccompat/v7"
"""The path of Apicurio's Confluent API, which was the registry's address before it had a front."""


class Front:
    """All parts of one front process. `answer` answers its requests."""

    def __init__(self, options: FrontOptions) -> None:
        self.backend = Backend(
            options.url, options.native_url, options.ready_url, options.request_deadline, options.max_answer_bytes
        )
        self.known = known = Known(options.known_schemas, options.known_bytes)
        reader = BodyReader(options)
        bodies, registry = Bodies(options, reader), Registry(self.backend, known)
        schemas = Schemas(registry, options.most_listed)
        self.metrics = FrontMetrics()
        self.metrics.gauge("fleetlog_registry_backend_up", "1 while the registry behind answers", self._up)
        self.metrics.gauge("fleetlog_registry_known_answers", "Answers kept for when it is away", lambda: len(known))
        self.metrics.gauge("fleetlog_registry_recalled_answers", "Answers given while it was away", lambda: known.recalled)
        self.routes = [
            *subject_routes(Subjects(registry), Registering(registry, bodies)),
            *schema_routes(schemas),
            *level_routes(Levels(registry, bodies), Compatibility(registry, bodies)),
            *operation_routes(Operations(self.backend.demand_ready, self.metrics, lambda: self._document)),
        ]
        self._app = HttpApp(
            "registry's front", self.routes, lambda request: "", reader, self.metrics.answered, registry_error
        )

    async def answer(self, request: Request) -> Answer | StreamedAnswer:
        """The answer to a request, whatever it is."""
        path = request.raw_path
        if path == ALIAS or path.startswith(ALIAS + b"/"):
            path = path[len(ALIAS) :] or b"/"
        request.raw_path = path.removesuffix(b"/") or b"/"
        return await self._app.answer(request)

    async def close(self) -> None:
        await self.backend.close()

    @cached_property
    def _document(self) -> bytes:
        return document(self.routes)

    def _up(self) -> float:
        return 0.0 if self.backend.away else 1.0
