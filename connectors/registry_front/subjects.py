"""Subjects and their versions: listing, reading, deleting."""

from typing import Any

from connectors.http.request import Request
from connectors.registry_front.faults import SCHEMA_NOT_FOUND, refusal
from connectors.registry_front.parameters import LATEST, flag, number, subject_of, subject_prefix, version_of
from connectors.registry_front.registry import Registry
from connectors.registry_front.served import Bare

ALL = 2**31


class Subjects:
    """The handlers; each returns the JSON document that is answered."""

    def __init__(self, registry: Registry) -> None:
        self._registry, self._backend = registry, registry.backend

    async def listed(self, request: Request) -> list[str]:
        """Subjects, sorted."""
        deleted, only = flag(request, "deleted"), flag(request, "deletedOnly")
        first, most = number(request, "offset", 0), number(request, "limit", ALL)
        found = await self._registry.subjects(request, subject_prefix(request), deleted, only)
        return found[first : first + most]

    async def versions(self, request: Request) -> list[int]:
        """Versions of a subject, ascending."""
        deleted, only = flag(request, "deleted"), flag(request, "deletedOnly")
        first, most = number(request, "offset", 0), number(request, "limit", ALL)
        found = await self._registry.versions(request, subject_of(request), deleted, only)
        return found[first : first + most]

    async def version(self, request: Request) -> dict[str, Any]:
        """One version."""
        return await self._version(request)

    async def bare(self, request: Request) -> Bare:
        """The schema of a version, alone."""
        return Bare((await self._version(request))["schema"])

    async def latest_with_metadata(self, request: Request) -> dict[str, Any]:
        """The latest version; none has metadata."""
        subject = subject_of(request)
        if b"key=" in request.raw_query:  # which may be given more than once
            raise refusal(SCHEMA_NOT_FOUND, f"Schema not found: no version of {subject} has metadata")
        return await self._registry.version(request, subject, LATEST, flag(request, "deleted"))

    async def referring(self, request: Request) -> list[int]:
        """Ids of the schemas that refer to a version."""
        path = ("subjects", subject_of(request), "versions", version_of(request), "referencedby")
        found: list[int] = (await self._backend.ask(request, "GET", path)).demand(list)
        return found

    async def delete(self, request: Request) -> list[int]:
        """Delete a subject, softly or for good; the versions that were."""
        subject, permanent = subject_of(request), flag(request, "permanent")
        await self._registry.demand_writable(request, subject)
        before = await self._backend.ask(request, "GET", ("subjects", subject, "versions"), {"deleted": permanent})
        reply = await self._backend.ask(request, "DELETE", ("subjects", subject), {"permanent": permanent})
        told: list[int] = reply.demand(list)
        return sorted(before.document) if before.well else sorted(told)  # Apicurio names those deleted before, too

    async def delete_version(self, request: Request) -> int:
        """Delete a version, softly or for good; its number."""
        subject, version = subject_of(request), version_of(request)
        await self._registry.demand_writable(request, subject)
        path = ("subjects", subject, "versions", version)
        return (await self._backend.ask(request, "DELETE", path, {"permanent": flag(request, "permanent")})).demand(int)

    async def _version(self, request: Request) -> dict[str, Any]:
        subject, version = subject_of(request), version_of(request)
        return await self._registry.version(request, subject, version, flag(request, "deleted"))
