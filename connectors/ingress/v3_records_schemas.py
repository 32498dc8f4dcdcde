"""Which schema a key or value of Kafka-REST v3 is written with: by text, id, version, or the latest of its subject."""

import time
from dataclasses import dataclass

from connectors.http.request import Fault
from connectors.ingress.avro_json import JsonWriter
from connectors.ingress.rest_schemas import (
    REMEMBERED,
    REMEMBERED_CHARACTERS,
    AvroForm,
    ContractForm,
    RestSchemas,
    looked_up,
    schema_of,
)
from connectors.ingress.schema_ids import SchemaIds
from connectors.ingress.v3_records_in import DataIn
from connectors.ports import Version
from connectors.remembered import Remembered
from schemas.contract import Topic

LONGEST_SUBJECT = 512  # letters, as at the registry's front
LATEST_SECONDS = 1.0  # how old a latest version may be: a stream asks once a second, not once a record
_Asked = tuple[str, str, str | None, str | None, str | None, int | None, int | str | None, str | None]


@dataclass(frozen=True, slots=True)
class Found:
    """A schema to write with. `version` is None where it was not named by one. `until`: by time.monotonic, when to look
    again."""

    form: AvroForm
    subject: str
    version: int | None
    until: float = float("inf")


class V3Schemas:
    """Finds schemas, and remembers the newest. `beside`: where long values are converted with them. `reserved`: names that
    begin the subjects of the contract (its topics and namespaces), under which no request registers anything."""

    def __init__(self, forms: RestSchemas, schema_ids: SchemaIds, reserved: tuple[str, ...]) -> None:
        self._forms, self._schema_ids, self.beside = forms, schema_ids, forms.beside
        self._reserved = tuple(f"{name}{end}" for name in reserved for end in "-.")
        self._found: Remembered[_Asked, Found] = Remembered(REMEMBERED, REMEMBERED_CHARACTERS)

    async def find(self, topic: str, part: str, data: DataIn, declared: Topic | None = None) -> Found:
        """The schema for a key or value (`part`) of a topic; `declared`: of the contract, whose schema it must be.

        Raises:
            Fault: 400 what is named does not go together; 422 the schema is none, unknown or refused; 408 the registry does
                not answer.
        """
        strategy, version, text = data.subject_name_strategy, data.schema_version, data.schema
        asked = (topic, part, data.type, data.subject, strategy, data.schema_id, version, text)
        known = self._found.get(asked)
        if known is not None and known.until > time.monotonic():
            return known
        check_references(data, part)
        found = await (self._of_contract(declared, data) if declared else self._any(topic, part, data))
        self._found.add(asked, found, found.form.characters + len(text or "") + len(data.subject or ""))
        return found

    async def _any(self, topic: str, part: str, data: DataIn) -> Found:
        subject, text = data.subject, data.schema
        by_record = data.subject_name_strategy in ("RECORD_NAME", "TOPIC_RECORD_NAME")
        if subject is None and not by_record:
            subject = f"{topic}-{part}"
        if text is not None:
            if subject is None:
                subject = _by_record(await looked_up(_name_of_text, text), topic, part, data)
            if subject.startswith(self._reserved):
                raise Fault(422, "INVALID_SCHEMA", f"the subject {subject[:250]} is of the fleet's own contract")
            return Found(_there(await self._forms.form(subject, text, None)), subject, None)
        if data.schema_id is not None:
            form = _there(await self._forms.form(subject or "", None, data.schema_id))
            return Found(form, subject or _by_record(_name(form.schema), topic, part, data), None)
        if subject is None:
            detail = (
                f"$.{part}: Cannot use 'subject_name_strategy={data.subject_name_strategy}' without schema_id or schema."
            )
            raise Fault(400, "BAD_RECORD", detail)
        version = await self._version(subject, data)
        form = _there(await self._forms.form(subject, None, version.schema_id))
        return Found(form, subject, version.number, _until(data))

    async def _of_contract(self, topic: Topic, data: DataIn) -> Found:
        subject = topic.subject(topic.record)
        by_name = {None: subject, "TOPIC_NAME": f"{topic.name}-value", "RECORD_NAME": topic.record.full_name}
        named = data.subject or by_name.get(data.subject_name_strategy, f"{topic.name}-{topic.record.full_name}")
        if named != subject:
            raise Fault(
                422, "INVALID_SCHEMA", f"the records of {topic.name} are of the subject {subject}, not {named[:250]}"
            )
        text, schema_id, number = data.schema, data.schema_id, None
        if text is None and schema_id is None:
            version = await self._version(subject, data)
            schema_id, number = version.schema_id, version.number
        form = await self._forms.contract_form(topic, text, schema_id)
        assert isinstance(form, ContractForm)  # either a text or an id was given
        return Found(form, subject, number, _until(data))

    async def _version(self, subject: str, data: DataIn) -> Version:
        return await looked_up(self._schema_ids.version, subject, _numbered(data) or "latest")


def check_references(data: DataIn, part: str) -> None:
    """Raises Fault 400 where what names a schema does not go together; as Confluent's API, in its words."""
    kind, schema_id, version, text = data.type, data.schema_id, data.schema_version, data.schema
    wrong = ""
    if data.subject is not None and len(data.subject) > LONGEST_SUBJECT:
        wrong = f"'subject' has more than {LONGEST_SUBJECT} letters."
    elif data.subject is not None and data.subject_name_strategy is not None:
        wrong = "Only one of 'subject_name_strategy' or 'subject' can be used."
    elif sum(one is not None for one in (schema_id, version, text)) > 1:
        wrong = "Only one of 'schema_id', 'schema_version' or 'schema' can be used."
    elif kind is None:
        wrong = "'schema' needs 'type'." if text is not None else ""
    elif schema_id is not None:
        wrong = f"'schema_id={schema_id}' cannot be used with 'type'."
    elif text is None:
        wrong = f"'schema_version={version or 'latest'}' cannot be used with 'type'."
    if wrong:
        raise Fault(400, "BAD_RECORD", f"$.{part}: {wrong}")


def _numbered(data: DataIn) -> int | None:
    """The version asked for by its number; in the registry's API -1 means the latest."""
    version = data.schema_version
    return version if isinstance(version, int) and version != -1 else None


def _until(data: DataIn) -> float:
    named = data.schema is not None or data.schema_id is not None or _numbered(data) is not None
    return float("inf") if named else time.monotonic() + LATEST_SECONDS


def _there(form: AvroForm | None) -> AvroForm:
    assert form is not None  # a text or an id was given
    return form


def _name(schema: object) -> str | None:
    """The full name of a named type, as fastavro parsed it."""
    named = isinstance(schema, dict) and schema.get("type") in ("record", "error", "enum", "fixed")
    return str(schema["name"]) if named and isinstance(schema, dict) else None


def _name_of_text(text: str) -> str | None:
    return _name(JsonWriter(schema_of(text)).schema)


def _by_record(name: str | None, topic: str, part: str, data: DataIn) -> str:
    """The subject by the record's name; raises Fault 400 if it has none."""
    strategy = data.subject_name_strategy
    if name is None:
        raise Fault(400, "BAD_RECORD", f"$.{part}: the schema has no name, which {strategy} needs")
    return name if strategy == "RECORD_NAME" else f"{topic}-{name}"
