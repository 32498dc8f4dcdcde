"""What the handlers share: questions about one subject, put to the registry behind."""

from typing import Any

from connectors.http.request import Request
from connectors.registry_front.backend import Backend
from connectors.registry_front.bodies import NEWEST, GivenSchema, Reference
from connectors.registry_front.faults import (
    INVALID_SCHEMA,
    NOT_PERMITTED,
    SCHEMA_NOT_FOUND,
    SUBJECT_NOT_FOUND,
    VERSION_NOT_FOUND,
    refusal,
)
from connectors.registry_front.known import Known
from connectors.registry_front.parameters import LATEST, is_subject

AVRO = "AVRO"
READONLY = "READONLY"


class Registry:
    """The registry behind, mended. Documents are as in Confluent's API; `deleted` is whether softly deleted ones count."""

    def __init__(self, backend: Backend, known: Known) -> None:
        self.backend, self.known = backend, known

    async def subjects(self, request: Request, prefix: str, deleted: bool, only_deleted: bool = False) -> list[str]:
        """Names, sorted. Apicurio ignores a prefix, so all are fetched and chosen here; names that can't be asked for (see
        is_subject) are left out."""
        query = {"deleted": deleted, "deletedOnly": only_deleted, "subjectPrefix": prefix or None}
        found: list[str] = (await self.backend.ask(request, "GET", ("subjects",), query)).demand(list)
        return sorted(name for name in found if name.startswith(prefix) and is_subject(name))

    async def versions(self, request: Request, subject: str, deleted: bool, only_deleted: bool = False) -> list[int]:
        """Numbers, ascending. Raises Fault 40401."""
        query = {"deleted": deleted, "deletedOnly": only_deleted}
        found: list[int] = (await self.backend.ask(request, "GET", ("subjects", subject, "versions"), query)).demand(list)
        return sorted(found)

    async def version(self, request: Request, subject: str, version: str, deleted: bool) -> dict[str, Any]:
        """A version: subject, version, id, schema and, where it has them, schemaType and references.

        Raises:
            Fault: 40401, 40402 there is none.
        """
        path = ("subjects", subject, "versions", version)
        reply = await self.backend.ask(request, "GET", path, {"deleted": deleted})
        if reply.code == SUBJECT_NOT_FOUND and deleted and self.backend.native:
            return await self._deleted_version(request, subject, version)
        return reply.demand(dict)

    async def schema(self, request: Request, schema_id: int) -> dict[str, Any]:
        """What is under an id; from memory while the registry behind is away.

        Raises:
            Fault: 40403 nothing is; 503 it is away and the schema is not known.
        """
        reply = await self.backend.ask(request, "GET", ("schemas", "ids", str(schema_id)))
        asked = known_schema(request, schema_id)
        if reply.code == SCHEMA_NOT_FOUND:
            self.known.forget(asked)
        document = reply.demand(dict)
        self.known.keep(asked, document)
        return document

    async def demand_writable(self, request: Request, subject: str) -> None:
        """Apicurio keeps a mode, but does not heed it.

        Raises:
            Fault: 42205 the subject is in read-only mode.
        """
        if not self.backend.native:
            return
        reply = await self.backend.ask(request, "GET", ("mode", subject))
        if reply.well and reply.document.get("mode") == READONLY:
            raise refusal(NOT_PERMITTED, f"Subject {subject} is in read-only mode")

    async def resolved(self, request: Request, given: GivenSchema) -> GivenSchema:
        """The schema with "the latest version" in its references made a number.

        Raises:
            Fault: 42201 a reference leads nowhere.
        """
        if all(reference.version != NEWEST for reference in given.references):
            return given
        found = []
        for one in given.references:
            version = one.version
            if version == NEWEST:
                reply = await self.backend.ask(request, "GET", ("subjects", one.subject, "versions", LATEST))
                if not reply.well:
                    raise refusal(INVALID_SCHEMA, f"Invalid schema: no latest version of {one.subject} is to be referred to")
                version = int(reply.document["version"])
            found.append(Reference(one.name, one.subject, version))
        return GivenSchema(given.text, given.kind, tuple(found), given.id, given.version)

    async def _deleted_version(self, request: Request, subject: str, version: str) -> dict[str, Any]:
        """A version of a subject that has none but deleted ones, which Apicurio's Confluent API does not show."""
        numbers = await self.versions(request, subject, deleted=True)
        number = numbers[-1] if version == LATEST else int(version)
        if number not in numbers:
            raise refusal(VERSION_NOT_FOUND, f"Version {number} not found.")
        found = (await self.backend.ask_natively(request, "GET", (subject, "versions", str(number)))).demand(dict)
        schema_id = int(found["contentId"])
        return {"subject": subject, "version": number, "id": schema_id, **await self.schema(request, schema_id)}


def native_content(given: GivenSchema) -> dict[str, Any]:
    """A schema as Apicurio's own API takes it."""
    content_type = "application/x-protobuf" if given.kind == "PROTOBUF" else "application/json"
    references = [
        {"groupId": "default", "artifactId": one.subject, "version": str(one.version), "name": one.name}
        for one in given.references
    ]
    return {"content": {"content": given.text, "contentType": content_type, "references": references}}


def known_schema(request: Request, schema_id: int) -> tuple[object, ...]:
    """Under what an id's schema is known: to whom it was shown, if the registry behind asks who it is."""
    return ("id", request.headers.get(b"authorization"), schema_id)


def known_id(request: Request, subject: str, given: GivenSchema) -> tuple[object, ...]:
    """Under what a registered schema's id is known."""
    return ("schema", request.headers.get(b"authorization"), subject, given.kind, given.text, given.references)
