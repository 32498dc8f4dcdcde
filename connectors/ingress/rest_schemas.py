"""Which schema a Kafka-REST request writes with: given as text or id, on a topic of the contract or any other."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, TypeVar

from connectors.http.request import Fault
from connectors.ingress.avro_json import JsonWriter, Misfit
from connectors.ingress.beside import Beside
from connectors.ingress.schema_ids import SchemaIds, SchemaRefused
from connectors.ports import Away, UnknownSchema
from connectors.remembered import Remembered
from schemas.codec import BadSchema, Decoder
from schemas.contract import Topic
from schemas.shape import shape_of, violations
from schemas.wire import prefix

REMEMBERED = 1000  # forms of each kind
REMEMBERED_CHARACTERS = 8_000_000  # of their schemas; a form takes some times as many bytes
LOOKUP_SECONDS = 5.0  # as long as the registry has for an answer
MOST_CHARACTERS = 1_000_000  # of a schema that a request brings
Form = TypeVar("Form")
_Key = tuple[str, str | int]
_WITHOUT_MEANING = frozenset({"doc", "aliases", "order"})  # attributes that do not change what is written


class AvroForm:
    """How JSON values become framed Avro under one schema, whose text has so many `characters`; `schema` is it as fastavro
    parsed it."""

    def __init__(self, schema_id: int, schema: Any) -> None:
        self.schema_id, self.characters = schema_id, len(json.dumps(schema))
        self._writer, self._prefix = JsonWriter(schema), prefix(schema_id)
        self.schema = self._writer.schema

    def framed(self, value: Any) -> bytes:
        """May raise Misfit."""
        return self._prefix + self._writer.body(value)


class ContractForm(AvroForm):
    """The same on a topic of the contract: the contract's bounds hold too."""

    def __init__(self, schema_id: int, topic: Topic) -> None:
        schema = topic.record.schema
        super().__init__(schema_id, schema)
        self._shape, self._decoder = shape_of(schema), Decoder(schema)

    def checked(self, value: Any) -> tuple[bytes, dict[str, Any]]:
        """The framed value and the record's values.

        Raises:
            Misfit: it does not fit the schema, or is outside the contract's bounds.
        """
        body = self._writer.body(value)
        values = self._decoder.decode(body)
        for path, message in violations(self._shape, values, ""):
            raise Misfit(message, f".{path}")
        return self._prefix + body, values


class RestSchemas:
    """Finds forms, and remembers the newest: by subject, since an id is registered per subject.

    Attributes:
        beside: where long values are converted with them.
    """

    def __init__(self, schema_ids: SchemaIds) -> None:
        self._schema_ids = schema_ids
        self.beside = Beside()
        self._forms: Remembered[_Key, AvroForm] = Remembered(REMEMBERED, REMEMBERED_CHARACTERS)
        self._contract_forms: Remembered[_Key, ContractForm] = Remembered(REMEMBERED, REMEMBERED_CHARACTERS)

    async def form(self, subject: str, text: str | None, schema_id: int | None) -> AvroForm | None:
        """The form for a schema given as text (registered when it is new) or id; None when neither is given.

        Raises:
            Fault: 422 the schema is none, unknown or refused; 408 the registry does not answer.
        """
        given = schema_id if schema_id is not None else text
        if given is None:
            return None
        known = self._forms.get((subject, given))
        if known is None:
            known = await looked_up(self._find, subject, given)
            self._forms.add((subject, given), known, known.characters + len(subject) + len(text or ""))
        return known

    async def contract_form(self, topic: Topic, text: str | None, schema_id: int | None) -> ContractForm | None:
        """The form for a topic of the contract: the schema given must be the contract's own."""
        given = schema_id if schema_id is not None else text
        if given is None:
            return None
        known = self._contract_forms.get((topic.name, given))
        if known is None:
            known = await looked_up(self._find_contract, topic, given)
            self._contract_forms.add((topic.name, given), known, known.characters + len(text or ""))
        return known

    def _find(self, subject: str, given: str | int) -> AvroForm:
        if isinstance(given, int):
            return AvroForm(given, self._schema_ids.schema(given))
        schema = schema_of(given)
        JsonWriter(schema)  # refuses what is no schema before the registry sees it
        return AvroForm(self._schema_ids.register(subject, schema), schema)

    def _find_contract(self, topic: Topic, given: str | int) -> ContractForm:
        schema = self._schema_ids.schema(given) if isinstance(given, int) else schema_of(given)
        if _meaning(schema) != _meaning(topic.record.schema):
            raise BadSchema(
                f"{topic.name} takes records of {topic.record.full_name} only, in the contract's present version"
            )
        return ContractForm(self._schema_ids.of(topic, topic.record), topic)


async def looked_up(find: Callable[..., Form], *asked: Any) -> Form:
    """What `find` finds; it asks the registry, so it runs beside the loop.

    Raises:
        Fault: 422 the schema is none, unknown or refused; 408 the registry does not answer.
    """
    try:
        looking = asyncio.get_running_loop().run_in_executor(None, find, *asked)
        return await asyncio.wait_for(looking, LOOKUP_SECONDS)
    except TimeoutError:  # also where others are asked before, and none of them is answered
        detail = f"the schema was not looked up within {LOOKUP_SECONDS:g} s"
        raise Fault(408, "SCHEMA_LOOKUP_FAILED", detail, retry_after=2) from None
    except (BadSchema, SchemaRefused, UnknownSchema, RecursionError) as error:
        raise Fault(422, "INVALID_SCHEMA", f"the schema can't be used: {error}") from None
    except Away as away:
        raise Fault(408, "SCHEMA_LOOKUP_FAILED", f"the schema was not looked up: {away}", retry_after=2) from None


def schema_of(text: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise BadSchema(f"it has {len(text)} characters, more than {MOST_CHARACTERS}")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadSchema(f"it is not JSON: {error}") from None
    return {"type": schema} if isinstance(schema, str) else schema


def _meaning(schema: Any) -> Any:
    """A schema without what does not change the bytes: docs, and the contract's own attributes."""
    if isinstance(schema, list):
        return [_meaning(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _meaning(value) for name, value in schema.items() if name in ("type", "fields", "items", "values", "size")}
    kept |= {name: schema[name] for name in ("name", "symbols") if name in schema}
    if "namespace" in schema:
        kept["namespace"] = schema["namespace"]
    # {"type": "string"} means "string"
    return kept["type"] if set(kept) == {"type"} else kept
