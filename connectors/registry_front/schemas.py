"""Schemas by id, the list of all, and their types."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from connectors.http.request import Fault, Request
from connectors.registry_front.bodies import TYPES
from connectors.registry_front.faults import SCHEMA_NOT_FOUND, SUBJECT_NOT_FOUND, VERSION_NOT_FOUND, refusal
from connectors.registry_front.parameters import LATEST, flag, id_of, number, subject_prefix
from connectors.registry_front.registry import Registry, known_schema
from connectors.registry_front.served import Bare

LISTS_AT_ONCE = 1  # a list asks for each schema: others must get a word in
AT_ONCE = 8  # questions to the registry behind for one list
_GONE = (str(SUBJECT_NOT_FOUND), str(VERSION_NOT_FOUND))


class Schemas:
    """The handlers; each returns the JSON document that is answered. `most_listed`: schemas in one list."""

    def __init__(self, registry: Registry, most_listed: int) -> None:
        self._registry, self._most_listed = registry, most_listed
        self._lists = asyncio.Semaphore(LISTS_AT_ONCE)

    async def by_id(self, request: Request) -> dict[str, Any]:
        """The schema under an id."""
        return await self._schema(request)

    async def bare(self, request: Request) -> Bare:
        """The schema under an id, alone."""
        return Bare((await self._schema(request))["schema"])

    async def subjects(self, request: Request) -> list[str]:
        """The subjects that have the schema of an id."""
        return sorted({str(pair["subject"]) for pair in await self._versions(request)})

    async def versions(self, request: Request) -> list[dict[str, Any]]:
        """The versions that have the schema of an id."""
        return await self._versions(request)

    async def by_guid(self, request: Request) -> Any:
        """None: schemas have no GUIDs here."""
        raise refusal(SCHEMA_NOT_FOUND, f"Schema {request.arguments[0][:100]} not found: schemas have ids only")

    async def types(self, request: Request) -> list[str]:
        """What a schema may be."""
        return list(TYPES)

    async def listed(self, request: Request) -> list[dict[str, Any]]:
        """Schemas of all subjects, or those that begin so, by subject and version; most_listed of them at most."""
        first = number(request, "offset", 0)
        most = min(number(request, "limit", self._most_listed), self._most_listed)
        found: list[dict[str, Any]] = []
        async with self._lists:
            async for schemas in self._by_subject(request):
                found += schemas
                if len(found) >= first + most:
                    break
        return found[first : first + most]

    async def _by_subject(self, request: Request) -> AsyncIterator[list[dict[str, Any]]]:
        deleted = flag(request, "deleted")
        names = await self._registry.subjects(request, subject_prefix(request), deleted)
        for start in range(0, len(names), AT_ONCE):
            for schemas in await asyncio.gather(*(self._of(request, name) for name in names[start : start + AT_ONCE])):
                yield schemas

    async def _of(self, request: Request, subject: str) -> list[dict[str, Any]]:
        deleted = flag(request, "deleted")
        try:
            if flag(request, "latestOnly"):
                return [await self._registry.version(request, subject, LATEST, deleted)]
            numbers = await self._registry.versions(request, subject, deleted)
            return [await self._registry.version(request, subject, str(one), deleted) for one in numbers]
        except Fault as fault:
            if fault.code in _GONE:  # deleted since it was listed
                return []
            raise

    async def _schema(self, request: Request) -> dict[str, Any]:
        schema_id = id_of(request)
        try:
            return await self._registry.schema(request, schema_id)
        except Fault as fault:
            return dict(self._registry.known.recall(known_schema(request, schema_id), fault))

    async def _versions(self, request: Request) -> list[dict[str, Any]]:
        schema_id, subject = id_of(request), request.query("subject")
        path = ("schemas", "ids", str(schema_id), "versions")
        found = (await self._registry.backend.ask(request, "GET", path, {"deleted": flag(request, "deleted")})).demand(list)
        wanted = [dict(pair) for pair in found if not subject or pair["subject"] == subject]
        return sorted(wanted, key=lambda pair: (pair["subject"], pair["version"]))
