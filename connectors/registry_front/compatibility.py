"""Testing whether a schema could be registered."""

from typing import Any

from connectors.http.request import Request
from connectors.registry_front.backend import Reply
from connectors.registry_front.bodies import Bodies, GivenSchema
from connectors.registry_front.faults import INVALID_SCHEMA, SUBJECT_NOT_FOUND, refusal
from connectors.registry_front.parameters import LATEST, flag, subject_of, version_of
from connectors.registry_front.registry import AVRO, Registry, native_content

VIOLATION = "RuleViolationException"


class Compatibility:
    """The handlers; each returns the JSON document that is answered. The verdict is the registry's behind."""

    def __init__(self, registry: Registry, bodies: Bodies) -> None:
        self._registry, self._backend, self._bodies = registry, registry.backend, bodies

    async def with_version(self, request: Request) -> dict[str, Any]:
        """Against one version, at the subject's level."""
        subject, version = subject_of(request), version_of(request)
        given = await self._given(request)
        if given.references and self._backend.native:
            return await self._with_references(request, subject, version, given)
        path = ("compatibility", "subjects", subject, "versions", version)
        reply = await self._backend.ask(request, "POST", path, {"verbose": flag(request, "verbose")}, given.document())
        if reply.code == INVALID_SCHEMA and await self._is_of_another_type(request, subject, version, given):
            return self._other_type(request, given)
        return await self._told(request, subject, given, reply.demand(dict))

    async def with_subject(self, request: Request) -> dict[str, Any]:
        """Against what the subject's level asks for, as registering it would be."""
        subject, verbose = subject_of(request), flag(request, "verbose")
        given = await self._given(request)
        if self._backend.native:  # its Confluent API tests against all versions, whatever the level
            if await self._is_of_another_type(request, subject, LATEST, given):
                return self._other_type(request, given)
            return _verdict(await self._tried(request, subject, given), verbose)
        path = ("compatibility", "subjects", subject, "versions")
        reply = await self._backend.ask(request, "POST", path, {"verbose": verbose}, given.document())
        return reply.demand(dict)

    async def _given(self, request: Request) -> GivenSchema:
        return await self._registry.resolved(request, await self._bodies.schema(request))

    async def _with_references(self, request: Request, subject: str, version: str, given: GivenSchema) -> dict[str, Any]:
        """Apicurio's Confluent API forgets the references in this question: it is put as "could it be registered?"."""
        reply = await self._backend.ask(request, "GET", ("subjects", subject, "versions", version))
        if not reply.well and not (version == LATEST and reply.code == SUBJECT_NOT_FOUND):
            raise reply.fault()
        return _verdict(await self._tried(request, subject, given), flag(request, "verbose"))

    async def _is_of_another_type(self, request: Request, subject: str, version: str, given: GivenSchema) -> bool:
        reply = await self._backend.ask(request, "GET", ("subjects", subject, "versions", version))
        return reply.well and reply.document.get("schemaType", AVRO) != given.kind

    def _other_type(self, request: Request, given: GivenSchema) -> dict[str, Any]:
        document: dict[str, Any] = {"is_compatible": False}
        if flag(request, "verbose"):
            document["messages"] = [f"the subject's schemas are not of the type {given.kind}"]
        return document

    async def _told(self, request: Request, subject: str, given: GivenSchema, document: dict[str, Any]) -> dict[str, Any]:
        """The verdict with the reasons, which Apicurio's Confluent API leaves out."""
        if not flag(request, "verbose") or "messages" in document:
            return document
        if document.get("is_compatible") is True or not self._backend.native:
            return {**document, "messages": []}
        reasons = _reasons(await self._tried(request, subject, given))
        return {**document, "messages": reasons or ["the schemas are incompatible at the subject's level"]}

    async def _tried(self, request: Request, subject: str, given: GivenSchema) -> Reply:
        path = (subject, "versions")
        return await self._backend.ask_natively(request, "POST", path, {"dryRun": True}, native_content(given))


def _verdict(reply: Reply, verbose: bool) -> dict[str, Any]:
    """What a trial to register says."""
    violated = isinstance(reply.document, dict) and reply.document.get("name") == VIOLATION
    if not reply.well and not violated and reply.status != 404:  # 404: no such subject, so nothing to be in the way
        raise refusal(INVALID_SCHEMA, f"Invalid schema: {reply.message}") if reply.status < 500 else reply.fault()
    document: dict[str, Any] = {"is_compatible": not violated}
    return {**document, "messages": _reasons(reply)} if verbose else document


def _reasons(reply: Reply) -> list[str]:
    if reply.well or not isinstance(reply.document, dict):
        return []
    causes = reply.document.get("causes") or ()
    return [f"{cause.get('description')} at {cause.get('context')}" for cause in causes] or [reply.message]
