"""How the keys and values of Kafka-REST v3 become bytes."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from connectors.http.request import Fault
from connectors.ingress.avro_json import Misfit
from connectors.ingress.rest_schemas import ContractForm
from connectors.ingress.rest_values import binary_bytes
from connectors.ingress.v3_records_answers import DataOut
from connectors.ingress.v3_records_in import DataIn, RecordIn, bad_record
from connectors.ingress.v3_records_schemas import Found, V3Schemas
from schemas.contract import Topic

NULL = msgspec.Raw(b"null")
PLAIN = frozenset({"BINARY", "JSON", "STRING"})
NOT_WRITTEN = frozenset({"JSONSCHEMA", "PROTOBUF"})

Converted = tuple[bytes | None, DataOut | None]


@dataclass(slots=True)
class Conversion:
    """Converts the records for one topic; `declared` is the topic in the contract, if it is the fleet's."""

    topic: str
    schemas: V3Schemas
    declared: Topic | None

    async def record(self, record: RecordIn) -> tuple[Converted, Converted]:
        """Key and value.

        Raises:
            Fault: with the place; 408 the registry does not answer.
        """
        if self.declared is not None:
            return await self._of_contract(record, self.declared)
        return await self._any("key", record.key), await self._any("value", record.value)

    async def _any(self, part: str, data: DataIn | None) -> Converted:
        if data is None:
            return None, None
        if data.type in PLAIN:
            return _plain(part, data)
        _check_written(part, data)
        if data.data == NULL:
            return None, DataOut(size=0, type=data.type)
        try:
            found = await self.schemas.find(self.topic, part, data)
            content = await self.schemas.beside.run(len(data.data), lambda: found.form.framed(_decoded(part, data)))
        except Misfit as fault:
            raise _misfit(part, fault) from None
        except Fault as fault:
            raise _placed(part, fault) from None
        return content, _avro_out(content, found)

    async def _of_contract(self, record: RecordIn, declared: Topic) -> tuple[Converted, Converted]:
        """The key is the value's own field, as everywhere in the fleet's log."""
        data = record.value
        if data is None or data.data == NULL:
            raise bad_record("$.value", "is null, which the contract does not know on this topic")
        if data.type not in (None, "AVRO"):
            raise Fault(415, "UNSUPPORTED_TYPE", f"$.value.type: {declared.name} takes AVRO only")
        try:
            found = await self.schemas.find(self.topic, "value", data, declared)
            form = found.form
            assert isinstance(form, ContractForm)  # since the topic is declared
            work = partial(_checked, form, data)
            content, values = await self.schemas.beside.run(len(data.data), work)
        except Misfit as fault:
            raise _misfit("value", fault) from None
        except Fault as fault:
            raise _placed("value", fault) from None
        own = str(values[declared.key]).encode()
        return (own, _own_key(record.key, own, declared)), (content, _avro_out(content, found))


def _checked(form: ContractForm, data: DataIn) -> tuple[bytes, dict[str, Any]]:
    return form.checked(_decoded("value", data))


def _avro_out(content: bytes, found: Found) -> DataOut:
    return DataOut(
        type="AVRO",
        subject=found.subject,
        schema_id=found.form.schema_id,
        schema_version=found.version,
        size=len(content),
    )


def _own_key(given: DataIn | None, own: bytes, declared: Topic) -> DataOut | None:
    if given is None:
        return None
    if given.type not in PLAIN:
        raise Fault(415, "UNSUPPORTED_TYPE", f"$.key.type: the keys of {declared.name} are plain text: leave the key out")
    content, told = _plain("key", given)
    if content is None:
        return None
    if content != own:
        raise bad_record("$.key.data", f"is not the value's {declared.key}, {own.decode()!r}; leave the key out")
    return told


def _plain(part: str, data: DataIn) -> Converted:
    kind, raw = data.type, data.data
    if data.subject is not None or data.subject_name_strategy is not None or data.schema is not None:
        _refuse_schema(part, data)
    if data.schema_id is not None or data.schema_version is not None:
        _refuse_schema(part, data)
    if raw == NULL:
        return None, DataOut(size=0, type=kind)
    try:
        if kind == "JSON":
            content = msgspec.json.format(raw, indent=-1)
            content.decode()  # the call above does not look into strings
        elif kind == "STRING":
            content = _string(raw)
        else:
            content = binary_bytes(raw) or b""
    except Misfit as fault:
        raise _misfit(part, fault) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise bad_record(f"$.{part}.data", f"is not JSON: {error}") from None
    return content, DataOut(size=len(content), type=kind)


def _string(raw: msgspec.Raw) -> bytes:
    value = msgspec.json.decode(raw)
    if not isinstance(value, str):
        raise Misfit("expected a string")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise Misfit("holds half of a surrogate pair, which is no Unicode text") from None


def _decoded(part: str, data: DataIn) -> object:
    try:
        return msgspec.json.decode(data.data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise bad_record(f"$.{part}.data", f"is not JSON: {error}") from None


def _refuse_schema(part: str, data: DataIn) -> None:
    """Raises Fault 400: a plain type comes with a schema."""
    names = ("subject_name_strategy", "subject", "schema_id", "schema_version", "schema")
    first = next(name for name in names if getattr(data, name) is not None)
    raise bad_record(f"$.{part}", f"'type={data.type}' cannot be used with '{first}'.")


def _check_written(part: str, data: DataIn) -> None:
    if data.type in NOT_WRITTEN:
        raise Fault(
            415, "UNSUPPORTED_TYPE", f"$.{part}.type: {data.type} is not written here; BINARY, JSON, STRING, AVRO are"
        )


def _misfit(part: str, fault: Misfit) -> Fault:
    return Fault(400, "BAD_RECORD", str(fault.within(f"$.{part}.data")))


def _placed(part: str, fault: Fault) -> Fault:
    if not fault.detail.startswith("$"):
        fault.detail = f"$.{part}: {fault.detail}"
    return fault
