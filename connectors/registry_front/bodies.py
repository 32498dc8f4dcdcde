"""What a request's body says: a schema, a level, a mode. What the registry behind could not bear is refused here."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from connectors.http.body import BodyReader, too_deep
from connectors.http.request import Request
from connectors.registry_front import avro_text
from connectors.registry_front.faults import (
    INVALID_LEVEL,
    INVALID_MODE,
    INVALID_SCHEMA,
    NOT_PERMITTED,
    SCHEMA_TOO_LARGE,
    refusal,
)
from connectors.registry_front.media import taken
from connectors.registry_front.options import FrontOptions
from connectors.registry_front.parameters import subject

TYPES = ("AVRO", "JSON", "PROTOBUF")
LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")
MODES = ("READWRITE", "READONLY")
MOST_DEPTH = 32  # of a body; a schema in it is a text
MOST_REFERENCES = 1_000
NEWEST = -1  # the version of a reference: the latest
_NOT_SERVED = ("metadata", "ruleSet")  # Apicurio does not keep them, and rules may be what protects a field


@dataclass(frozen=True, slots=True)
class Reference:
    """A schema that another refers to by `name`."""

    name: str
    subject: str
    version: int

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "subject": self.subject, "version": self.version}


@dataclass(frozen=True, slots=True)
class GivenSchema:
    """A schema to register, look up or test; of Avro, in the one spelling. `id` and `version` are 0 if not given."""

    text: str
    kind: str
    references: tuple[Reference, ...] = field(default=())
    id: int = 0
    version: int = 0

    def document(self) -> dict[str, Any]:
        """As the registry behind is asked."""
        made: dict[str, Any] = {"schema": self.text, "schemaType": self.kind}
        if self.references:
            made["references"] = [reference.document() for reference in self.references]
        return made


class Bodies:
    """Reads bodies within the limits."""

    def __init__(self, options: FrontOptions, reader: BodyReader) -> None:
        self._options, self._reader = options, reader

    async def schema(self, request: Request) -> GivenSchema:
        """
        Raises:
            Fault: 400, 413, 415 the body can't be read; 42201, 42209 what it holds is no schema, or too large a one; 42205
                it asks for what is not served.
        """
        body = await self._object(request, INVALID_SCHEMA, "a schema is needed")
        text, kind = body.get("schema"), body.get("schemaType") or TYPES[0]
        if not isinstance(text, str) or not text.strip():
            raise refusal(INVALID_SCHEMA, "Invalid schema: the name schema must hold the schema's text")
        if kind not in TYPES:
            raise refusal(INVALID_SCHEMA, f"Invalid schema type {str(kind)[:100]!r}: there are {', '.join(TYPES)}")
        for name in _NOT_SERVED:
            if body.get(name) is not None:
                raise refusal(NOT_PERMITTED, f"{name} is not served: it would not be kept")
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > self._options.max_schema_bytes:
            most = self._options.max_schema_bytes
            raise refusal(SCHEMA_TOO_LARGE, f"Schema too large: it has {size} bytes, a schema may have {most}")
        return GivenSchema(
            self._spelled(text) if kind == TYPES[0] else text,
            kind,
            _references(body.get("references")),
            _number(body, "id"),
            _number(body, "version"),
        )

    async def level(self, request: Request) -> str:
        """One of LEVELS.

        Raises:
            Fault: 400, 413, 415; 42203 there is no such level; 42205 the body asks for what is not served.
        """
        body = await self._object(request, INVALID_LEVEL, "a compatibility level is needed")
        level = body.get("compatibility")
        if not isinstance(level, str) or level.upper() not in LEVELS:
            raise refusal(INVALID_LEVEL, f"Invalid compatibility level {str(level)[:100]!r}: there are {', '.join(LEVELS)}")
        others = sorted(name for name in body.keys() - {"compatibility", "normalize"} if body[name] is not None)
        if others:
            raise refusal(NOT_PERMITTED, f"{', '.join(others)[:200]}: not served, they would not be kept")
        return level.upper()

    async def mode(self, request: Request) -> str:
        """One of MODES.

        Raises:
            Fault: 400, 413, 415; 42204 there is no such mode; 42205 it is the import mode.
        """
        mode = (await self._object(request, INVALID_MODE, "a mode is needed")).get("mode")
        if isinstance(mode, str) and mode.upper() in MODES:
            return mode.upper()
        if isinstance(mode, str) and mode.upper() in ("IMPORT", "FORWARD"):
            raise refusal(NOT_PERMITTED, "import mode is not served: ids are given by the registry behind")
        raise refusal(INVALID_MODE, f"Invalid mode {str(mode)[:100]!r}: there are {', '.join(MODES)}")

    async def _object(self, request: Request, code: int, missing: str) -> dict[str, Any]:
        if not taken(request.content_type):
            told = request.content_type[:100].decode("ascii", "replace")
            raise refusal(415, f"a body of the type {told} is not read: send application/vnd.schemaregistry.v1+json")
        body = await self._reader.read(request)
        if not body.strip():
            raise refusal(code, missing)
        if too_deep(body, MOST_DEPTH):
            raise refusal(400, f"the body nests deeper than {MOST_DEPTH} levels")
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(400, f"the body is not JSON: {error}") from None
        if not isinstance(found, dict):
            raise refusal(400, "the body is no JSON object")
        return found

    def _spelled(self, text: str) -> str:
        most = self._options.max_schema_depth
        if too_deep(text.encode("utf-8", "surrogatepass"), most):
            raise refusal(INVALID_SCHEMA, f"Invalid schema: it nests deeper than {most} levels")
        try:
            return avro_text.normal(text)
        except avro_text.NotJson as error:
            raise refusal(INVALID_SCHEMA, f"Invalid schema: it is not JSON: {error}") from None


def _number(body: dict[str, Any], name: str) -> int:
    """An id or a version; 0 for what Java clients send for none."""
    given = body.get(name)
    if given is None:
        return 0
    if type(given) is not int or given >= 2**31:
        raise refusal(INVALID_SCHEMA, f"{name} must be an integer below 2^31")
    return max(given, 0)


def _references(given: object) -> tuple[Reference, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST_REFERENCES:
        raise refusal(INVALID_SCHEMA, f"references must be a list of at most {MOST_REFERENCES}")
    found = []
    for i, one in enumerate(given):
        name, of, version = (one.get(key) for key in ("name", "subject", "version")) if isinstance(one, dict) else [None] * 3
        if not (isinstance(name, str) and isinstance(of, str) and type(version) is int and version >= NEWEST):
            raise refusal(INVALID_SCHEMA, f"Invalid schema: references[{i}] must have a name, a subject and a version")
        found.append(Reference(name, subject(of), version))
    return tuple(found)
