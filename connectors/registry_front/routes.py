"""The table of the front's routes."""

from connectors.http.request import Route
from connectors.registry_front.compatibility import Compatibility
from connectors.registry_front.faults import registry_error
from connectors.registry_front.levels import Levels
from connectors.registry_front.openapi import FLAG, NUMBER, NUMBERS, TEXT, TEXTS, Schema, operation, page, ref
from connectors.registry_front.operations import Operations
from connectors.registry_front.registering import Registering
from connectors.registry_front.schemas import Schemas
from connectors.registry_front.served import Documenting, served
from connectors.registry_front.subjects import Subjects

DELETED = {"deleted": FLAG}
PART = {"offset": NUMBER, "limit": NUMBER}
LISTED = {**DELETED, "deletedOnly": FLAG, **PART}
PREFIX = {"subjectPrefix": TEXT}
PERMANENT = {"permanent": FLAG}
NORMALIZE = {"normalize": FLAG}
TESTED = {**NORMALIZE, "verbose": FLAG}
ANY: Schema = {}


def _route(
    method: str, path: str, handler: Documenting, told: tuple[str, Schema], query: dict[str, Schema], body: str = ""
) -> Route:
    """`told`: what the operation does, and what it answers."""
    name = "_".join(part for part in handler.__qualname__.lower().split(".") if part)
    describe = operation(path, name, told[0], told[1], query, body)
    return Route(method, path, served(handler), registry_error, describe, public=True)


def subject_routes(subjects: Subjects, registering: Registering) -> list[Route]:
    """Subjects and versions."""
    one, versions = "/subjects/{subject}", "/subjects/{subject}/versions"
    version = versions + "/{version}"
    return [
        _route("GET", "/subjects", subjects.listed, ("List subjects", TEXTS), {**PREFIX, **LISTED}),
        _route("POST", one, registering.look_up, ("Find a schema", ref("Version")), {**NORMALIZE, **DELETED}, "GivenSchema"),
        _route("DELETE", one, subjects.delete, ("Delete a subject", NUMBERS), PERMANENT),
        _route("GET", versions, subjects.versions, ("List versions", NUMBERS), LISTED),
        _route("POST", versions, registering.register, ("Register a schema", ref("SchemaId")), NORMALIZE, "GivenSchema"),
        _route("GET", version, subjects.version, ("A version", ref("Version")), DELETED),
        _route("DELETE", version, subjects.delete_version, ("Delete a version", NUMBER), PERMANENT),
        _route("GET", version + "/schema", subjects.bare, ("A version's schema alone", ANY), DELETED),
        _route("GET", version + "/referencedby", subjects.referring, ("Ids of schemas that refer to it", NUMBERS), {}),
        _route(
            "GET",
            one + "/metadata",
            subjects.latest_with_metadata,
            ("The latest version with metadata", ref("Version")),
            {"key": TEXT, "value": TEXT, **DELETED},
        ),
    ]


def schema_routes(schemas: Schemas) -> list[Route]:
    """Schemas by id."""
    one, of = "/schemas/ids/{id}", {"subject": TEXT}
    pairs: Schema = {"type": "array", "items": ref("SubjectVersion")}
    every: Schema = {"type": "array", "items": ref("Version")}
    return [
        _route(
            "GET", "/schemas", schemas.listed, ("List schemas", every), {**PREFIX, **DELETED, **PART, "latestOnly": FLAG}
        ),
        _route("GET", "/schemas/types", schemas.types, ("What a schema may be", TEXTS), {}),
        _route("GET", one, schemas.by_id, ("A schema", ref("SchemaOfId")), of),
        _route("GET", one + "/schema", schemas.bare, ("A schema alone", ANY), of),
        _route("GET", one + "/subjects", schemas.subjects, ("Subjects that have it", TEXTS), {**of, **DELETED}),
        _route("GET", one + "/versions", schemas.versions, ("Versions that have it", pairs), {**of, **DELETED}),
        _route("GET", "/schemas/guids/{guid}", schemas.by_guid, ("None: there are no GUIDs", ref("SchemaOfId")), {}),
    ]


def level_routes(levels: Levels, compatibility: Compatibility) -> list[Route]:
    """Levels, modes, tests."""
    config, mode, test = "/config/{subject}", "/mode/{subject}", "/compatibility/subjects/{subject}/versions"
    level, set_level, verdict = ref("Level"), ref("SetLevel"), ref("Verdict")
    return [
        _route("GET", "/config", levels.global_level, ("The global level", level), {}),
        _route("PUT", "/config", levels.set_global_level, ("Set the global level", set_level), {}, "SetLevel"),
        _route("DELETE", "/config", levels.delete_global_level, ("Back to BACKWARD", level), {}),
        _route("GET", config, levels.level, ("A subject's level", level), {"defaultToGlobal": FLAG}),
        _route("PUT", config, levels.set_level, ("Set a subject's level", set_level), {}, "SetLevel"),
        _route("DELETE", config, levels.delete_level, ("Back to the global level", level), {}),
        _route("GET", "/mode", levels.global_mode, ("The global mode", ref("Mode")), {}),
        _route("PUT", "/mode", levels.set_global_mode, ("Set the global mode", ref("Mode")), {"force": FLAG}, "Mode"),
        _route("GET", mode, levels.mode, ("A subject's mode", ref("Mode")), {"defaultToGlobal": FLAG}),
        _route("PUT", mode, levels.set_mode, ("Set a subject's mode", ref("Mode")), {"force": FLAG}, "Mode"),
        _route("DELETE", mode, levels.delete_mode, ("Back to the global mode", ref("Mode")), {}),
        _route("POST", test, compatibility.with_subject, ("Could it be registered?", verdict), TESTED, "GivenSchema"),
        _route(
            "POST",
            test + "/{version}",
            compatibility.with_version,
            ("Is it compatible with a version?", verdict),
            TESTED,
            "GivenSchema",
        ),
    ]


def operation_routes(operations: Operations) -> list[Route]:
    """What the service says of itself."""
    health = {"application/json": {"schema": ref("Health")}}
    ready = {"200": {"description": "It does.", "content": health}, "503": {"description": "Not now.", "content": health}}
    done = {"200": {"description": "Done."}}
    pages = (
        ("/health", operations.ready, "Whether the registry behind answers", ready),
        ("/health/ready", operations.ready, "Whether the registry behind answers", ready),
        ("/health/live", operations.live, "Whether the process runs", {"200": ready["200"]}),
        ("/metrics", operations.metrics, "Metrics for Prometheus", done),
        ("/openapi.json", operations.openapi, "This document", done),
    )
    table = [
        _route("GET", "/", operations.root, ("Nothing", {"type": "object"}), {}),
        _route("GET", "/contexts", operations.contexts, ("The contexts: the default one", TEXTS), {}),
        _route("GET", "/v1/metadata/id", operations.cluster, ("The cluster", {"type": "object"}), {}),
        _route("GET", "/v1/metadata/version", operations.version, ("The version", {"type": "object"}), {}),
    ]
    for path, handler, summary, responses in pages:
        describe = page(path.strip("/").replace("/", "_").replace(".", "_"), summary, responses)
        table.append(Route("GET", path, handler, registry_error, describe, public=True))
    return table
