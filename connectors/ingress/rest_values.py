"""How the keys and values of a Kafka-REST request become bytes, per embedded format."""

import base64
import binascii
from collections.abc import Callable
from typing import Protocol

import msgspec

from connectors.ingress.avro_json import Misfit
from connectors.ingress.rest_schemas import AvroForm, ContractForm

NULL = b"null"
Convert = Callable[[msgspec.Raw], bytes | None]
KeyAndValue = tuple[bytes | None, bytes | None]


class Conversion(Protocol):
    """Converts the records of one request. The ids are those of the schemas used, None where none is."""

    key_schema_id: int | None
    value_schema_id: int | None

    def record(self, key: msgspec.Raw, value: msgspec.Raw) -> KeyAndValue:
        """Key and value as bytes; a JSON null is None (no key, a tombstone).

        Raises:
            Misfit: its place starts with `.key` or `.value`.
        """


class Separate:
    """Keys and values converted each on their own."""

    def __init__(
        self, key: Convert, value: Convert, key_schema_id: int | None = None, value_schema_id: int | None = None
    ) -> None:
        self._key, self._value = key, value
        self.key_schema_id, self.value_schema_id = key_schema_id, value_schema_id

    def record(self, key: msgspec.Raw, value: msgspec.Raw) -> KeyAndValue:
        return _at(".key", self._key, key), _at(".value", self._value, value)


class OfContract:
    """Records for a topic of the contract: the key is the value's own field, as everywhere in the fleet's log."""

    def __init__(self, form: ContractForm, key_field: str) -> None:
        self._form, self._key_field = form, key_field
        self.key_schema_id: int | None = None
        self.value_schema_id: int | None = form.schema_id

    def record(self, key: msgspec.Raw, value: msgspec.Raw) -> KeyAndValue:
        if bytes(value) == NULL:
            raise Misfit("is null, which the contract does not know on this topic", ".value")
        try:
            framed, values = self._form.checked(msgspec.json.decode(value))
        except Misfit as fault:
            raise fault.within(".value") from None
        own = str(values[self._key_field])
        if bytes(key) != NULL and msgspec.json.decode(key) != own:
            raise Misfit(f"is not the value's {self._key_field}, {own!r}; leave it out", ".key")
        return own.encode(), framed


def json_bytes(raw: msgspec.Raw) -> bytes | None:
    """The compact JSON text."""
    text = bytes(raw)
    return None if text == NULL else text


def binary_bytes(raw: msgspec.Raw) -> bytes | None:
    """The bytes of a base64 string."""
    value = msgspec.json.decode(raw)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Misfit("expected a base64 string")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Misfit(f"is not base64: {error}") from None


def avro_bytes(form: AvroForm | None, part: str) -> Convert:
    """Framed Avro. Without a form only null has one."""

    def convert(raw: msgspec.Raw) -> bytes | None:
        if bytes(raw) == NULL:
            return None
        if form is None:
            raise NoSchema(part)
        return form.framed(msgspec.json.decode(raw))

    return convert


class NoSchema(Exception):
    """A key or value needs a schema, and none was given. The message is "key" or "value"."""


def _at(place: str, convert: Convert, raw: msgspec.Raw) -> bytes | None:
    try:
        return convert(raw)
    except Misfit as fault:
        raise fault.within(place) from None
