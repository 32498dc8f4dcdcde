"""Compatibility levels and modes, global and of a subject."""

from typing import Any

from connectors.http.request import Request
from connectors.registry_front.bodies import Bodies
from connectors.registry_front.faults import INVALID_SUBJECT, NO_LEVEL_OF_ITS_OWN, refusal
from connectors.registry_front.parameters import flag, subject_of
from connectors.registry_front.registry import Registry

MOST_LETTERS_WITH_MODE = 225  # what Apicurio can keep


class Levels:
    """The handlers; each returns the JSON document that is answered."""

    def __init__(self, registry: Registry, bodies: Bodies) -> None:
        self._registry, self._backend, self._bodies = registry, registry.backend, bodies

    async def global_level(self, request: Request) -> Any:
        return (await self._backend.ask(request, "GET", ("config",))).demand(dict)

    async def set_global_level(self, request: Request) -> Any:
        level = {"compatibility": await self._bodies.level(request)}
        (await self._backend.ask(request, "PUT", ("config",), None, level)).demand(dict)
        return level

    async def delete_global_level(self, request: Request) -> Any:
        """Back to BACKWARD; the level that was."""
        return (await self._backend.ask(request, "DELETE", ("config",))).demand(dict)

    async def level(self, request: Request) -> Any:
        """The level of a subject; the global one, if it has none and that is asked for."""
        subject, or_global = subject_of(request), flag(request, "defaultToGlobal")
        if not self._backend.native:
            return (await self._backend.ask(request, "GET", ("config", subject), {"defaultToGlobal": or_global})).demand(
                dict
            )
        own = await self._own_level(request, subject)
        if own is not None:
            return {"compatibilityLevel": own}
        if or_global:
            return await self.global_level(request)
        raise _none(subject)

    async def set_level(self, request: Request) -> Any:
        subject, level = subject_of(request), {"compatibility": await self._bodies.level(request)}
        await self._registry.demand_writable(request, subject)
        (await self._backend.ask(request, "PUT", ("config", subject), None, level)).demand(dict)
        return level

    async def delete_level(self, request: Request) -> Any:
        """The global level holds again; the level that was. (Apicurio's Confluent API would set NONE in its place.)"""
        subject = subject_of(request)
        await self._registry.demand_writable(request, subject)
        if not self._backend.native:
            return (await self._backend.ask(request, "DELETE", ("config", subject))).demand(dict)
        own = await self._own_level(request, subject)
        if own is None:
            raise _none(subject)
        reply = await self._backend.ask_natively(request, "DELETE", (subject, "rules", "COMPATIBILITY"))
        if not reply.well and reply.status != 404:  # 404: deleted by another since it was asked for
            raise reply.fault()
        return {"compatibilityLevel": own}

    async def global_mode(self, request: Request) -> Any:
        return (await self._backend.ask(request, "GET", ("mode",))).demand(dict)

    async def set_global_mode(self, request: Request) -> Any:
        mode = {"mode": await self._bodies.mode(request)}
        return (await self._backend.ask(request, "PUT", ("mode",), None, mode)).demand(dict)

    async def mode(self, request: Request) -> Any:
        """The mode of a subject, or the global one."""
        query = {"defaultToGlobal": flag(request, "defaultToGlobal")}
        return (await self._backend.ask(request, "GET", ("mode", subject_of(request)), query)).demand(dict)

    async def set_mode(self, request: Request) -> Any:
        subject, mode = subject_of(request), {"mode": await self._bodies.mode(request)}
        if self._backend.native and len(subject) > MOST_LETTERS_WITH_MODE:
            raise refusal(INVALID_SUBJECT, f"a mode is kept of subjects with at most {MOST_LETTERS_WITH_MODE} letters")
        return (await self._backend.ask(request, "PUT", ("mode", subject), None, mode)).demand(dict)

    async def delete_mode(self, request: Request) -> Any:
        return (await self._backend.ask(request, "DELETE", ("mode", subject_of(request)))).demand(dict)

    async def _own_level(self, request: Request, subject: str) -> str | None:
        """Apicurio's Confluent API does not tell a level of the subject's own from a default."""
        reply = await self._backend.ask_natively(request, "GET", (subject, "rules", "COMPATIBILITY"))
        return None if reply.status == 404 else str(reply.demand(dict)["config"])


def _none(subject: str) -> Exception:
    return refusal(NO_LEVEL_OF_ITS_OWN, f"Subject '{subject}' does not have subject-level compatibility configured")
