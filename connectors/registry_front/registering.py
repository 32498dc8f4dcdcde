"""Registering and looking up schemas."""

import asyncio
from typing import Any

from connectors.http.request import Fault, Request
from connectors.registry_front.avro_text import same
from connectors.registry_front.bodies import Bodies, GivenSchema
from connectors.registry_front.faults import (
    INCOMPATIBLE,
    INVALID_SCHEMA,
    NOT_PERMITTED,
    SCHEMA_NOT_FOUND,
    SUBJECT_NOT_FOUND,
    refusal,
)
from connectors.registry_front.parameters import flag, subject_of
from connectors.registry_front.registry import AVRO, Registry, known_id, known_schema, native_content

UNRECOGNISED = "Failed to discover artifact type"  # what Apicurio says of most bad schemas


class Registering:
    """The handlers; each returns the JSON document that is answered."""

    def __init__(self, registry: Registry, bodies: Bodies) -> None:
        self._registry, self._backend, self._known, self._bodies = registry, registry.backend, registry.known, bodies
        self._natively = asyncio.Lock()

    async def register(self, request: Request) -> dict[str, int]:
        """Register a schema when it is new; its id. What is known is answered even while the registry behind is away."""
        subject, given = subject_of(request), await self._bodies.schema(request)
        asked = known_id(request, subject, given)
        try:
            schema_id = await self._register(request, subject, given)
        except Fault as fault:
            return {"id": int(self._known.recall(asked, fault))}
        self._known.keep(asked, schema_id)
        return {"id": schema_id}

    async def look_up(self, request: Request) -> dict[str, Any]:
        """The version of a subject that is a schema."""
        subject, given = subject_of(request), await self._bodies.schema(request)
        given = await self._registry.resolved(request, given)
        deleted = flag(request, "deleted")
        found = await self._look_up(request, subject, given, deleted)
        if found is None and not deleted:
            await self._registry.versions(request, subject, deleted=False)  # 40401: all of it is deleted
        if found is None:
            raise refusal(SCHEMA_NOT_FOUND, "Schema not found")
        return found

    async def _look_up(self, request: Request, subject: str, given: GivenSchema, deleted: bool) -> dict[str, Any] | None:
        query = {"deleted": deleted, "normalize": given.kind != AVRO and flag(request, "normalize")}
        reply = await self._backend.ask(request, "POST", ("subjects", subject), query, given.document())
        if reply.code == SCHEMA_NOT_FOUND:
            return None
        found = reply.demand(dict)
        return found if given.kind != AVRO or same(found["schema"], given.text) else None

    async def _register(self, request: Request, subject: str, given: GivenSchema) -> int:
        given = await self._registry.resolved(request, given)
        await self._registry.demand_writable(request, subject)
        if self._backend.native and (given.id or given.version):
            await self._check_numbers(request, subject, given)
        query = {"normalize": given.kind != AVRO and flag(request, "normalize")}
        path = ("subjects", subject, "versions")
        reply = await self._backend.ask(request, "POST", path, query, given.document())
        if reply.status == INCOMPATIBLE:
            raise refusal(reply.code, _incompatible(subject, reply.message))
        if reply.message.startswith(UNRECOGNISED):
            raise refusal(
                INVALID_SCHEMA, f"Invalid schema: it is no schema of the type {given.kind} that the registry knows"
            )
        schema_id = int(reply.demand(dict)["id"])
        if given.kind != AVRO or not self._backend.native or await self._is_under(request, schema_id, given):
            return schema_id
        return await self._register_natively(request, subject, given)

    async def _is_under(self, request: Request, schema_id: int, given: GivenSchema) -> bool:
        """Whether it is this schema that has the id. Apicurio takes schemas for the same that differ in doc or aliases."""
        kept = self._known.find(known_schema(request, schema_id)) or await self._registry.schema(request, schema_id)
        return same(kept["schema"], given.text)

    async def _register_natively(self, request: Request, subject: str, given: GivenSchema) -> int:
        """A new version, under the same rules, of a schema that Apicurio's Confluent API takes for an old one."""
        async with self._natively:  # Apicurio's own API takes the same schema twice
            found = await self._look_up(request, subject, given, deleted=False)
            if found is not None:
                return int(found["id"])
            path = (subject, "versions")
            reply = await self._backend.ask_natively(request, "POST", path, None, native_content(given))
        if isinstance(reply.document, dict) and reply.document.get("name") == "RuleViolationException":
            raise refusal(INCOMPATIBLE, _incompatible(subject, reply.message))
        return int(reply.demand(dict)["contentId"])

    async def _check_numbers(self, request: Request, subject: str, given: GivenSchema) -> None:
        """Refuse an id or version that the schema would not get."""
        found = None
        reply = await self._backend.ask(request, "GET", ("subjects", subject, "versions"), {"deleted": True})
        versions: list[int] = [] if reply.code == SUBJECT_NOT_FOUND else reply.demand(list)
        if versions:
            found = await self._look_up(request, subject, given, deleted=False)
        if given.id and (found is None or found["id"] != given.id):
            raise refusal(NOT_PERMITTED, f"Subject {subject} is not in import mode: ids are given by the registry behind")
        coming = max(versions, default=0) + 1
        if given.version and given.version != (coming if found is None else found["version"]):
            raise refusal(INVALID_SCHEMA, f"Invalid schema: its version can't be {given.version}, the next is {coming}")


def _incompatible(subject: str, message: str) -> str:
    details = message.rpartition("list of diff types: ")[2]
    return f'Schema being registered is incompatible with an earlier schema for subject "{subject}", details: {details}'
