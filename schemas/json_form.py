"""The form in which a device sends a record: JSON, checked against the contract, turned into Avro values.

The happy path is one call of msgspec with a type made from the avsc. Only when that refuses a body is it read a second
time by `schemas.json_faults`, which names every violation with its path.

In a body a timestamp is an RFC 3339 string with a zone (digits after the microsecond are rounded) or an integer of
microseconds since 1970-01-01 UTC; an integer is taken for a double; a field with a default may be left out; of a name
that comes twice in one object the last counts; unknown fields are refused. A field of format json-object takes a JSON
object and becomes its compact text.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from schemas.contract import ContractError, RecordType
from schemas.json_faults import Violation, faults_of
from schemas.json_schema import json_schema, sent_fields
from schemas.json_values import values_function
from schemas.shape import INT_MAX, INT_MIN, INTEGERS, LONG_MAX, LONG_MIN, Field, Kind, Shape, shape_of

MISFITS = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)  # what decoding bad bytes raises

Values = dict[str, Any]


class Violations(ValueError):
    """A body breaks the contract. `violations` holds all that were found, at least one."""

    def __init__(self, violations: tuple[Violation, ...]) -> None:
        super().__init__("; ".join(f"{v.path}: {v.message}" for v in violations))
        self.violations = violations


class MalformedBody(Violations):
    """A body is no JSON text at all, so that nothing more can be said of it."""


class RequestForm:
    """How records of one type are sent. Holds no state between calls; safe to share between threads.

    Attributes:
        json_schema: JSON Schema (2020-12) of one upload.
        batch_schema: that of `{"records": [upload, ...]}`.
    """

    def __init__(self, record: RecordType) -> None:
        self._shape = shape_of(record.schema)
        self.json_schema = json_schema(self._shape)
        self.batch_schema = {
            "type": "object",
            "properties": {"records": {"type": "array", "minItems": 1, "items": self.json_schema}},
            "required": ["records"],
            "additionalProperties": False,
        }
        kind = _record_type(self._shape)
        envelope = msgspec.defstruct("Batch", [("records", list[msgspec.Raw])], forbid_unknown_fields=True)
        typed = msgspec.defstruct("TypedBatch", [("records", list[kind])], forbid_unknown_fields=True)  # type: ignore[valid-type]
        self._one = msgspec.json.Decoder(kind)
        self._all = msgspec.json.Decoder(typed)
        self._envelope = msgspec.json.Decoder(envelope)
        self._values_of = values_function(self._shape)

    def parse(self, body: bytes, path: str = "$") -> Values:
        """The Avro values of one upload, without the fields that the server fills in.

        Raises:
            Violations: with paths that start with `path`.
            MalformedBody: the body is not JSON.
        """
        try:
            return self._values_of(self._one.decode(body))
        except MISFITS as error:
            raise self._refusal(body, path, error) from None

    def parse_batch(self, body: bytes) -> list[Values | list[Violation]]:
        """For each upload of `{"records": [...]}` its values, or its violations (paths start with `$.records[i]`).

        Raises:
            Violations: the envelope itself is wrong.
            MalformedBody: the body is not JSON.
        """
        try:
            batch: Any = self._all.decode(body)
            if batch.records:
                return [self._values_of(one) for one in batch.records]
        except MISFITS:
            pass  # one or more uploads break the contract: each is looked at on its own below
        try:
            raws: Any = self._envelope.decode(body)
        except MISFITS as error:
            raise _envelope_refusal(body, error) from None
        if not raws.records:
            raise Violations((Violation("$.records", "has 0 items, fewer than 1"),))
        return [self._parse_member(bytes(raw), i) for i, raw in enumerate(raws.records)]

    def _parse_member(self, body: bytes, i: int) -> Values | list[Violation]:
        try:
            return self.parse(body, f"$.records[{i}]")
        except Violations as error:
            return list(error.violations)

    def _refusal(self, body: bytes, path: str, error: Exception) -> Violations:
        found = faults_of(self._shape, body, path)
        if found is None:
            return MalformedBody((Violation(path, str(error)),))
        # The second reading accepts nothing that the first refused; its own message is the last resort.
        return Violations(tuple(found) or (Violation(path, str(error)),))


def _envelope_refusal(body: bytes, error: Exception) -> Violations:
    try:
        msgspec.json.decode(body)
    except (msgspec.ValidationError, RecursionError, OverflowError):
        pass
    except (msgspec.MsgspecError, ValueError) as malformed:
        return MalformedBody((Violation("$", str(malformed)),))
    message, _, place = str(error).partition(" - at `")
    return Violations((Violation(place.rstrip("`") or "$", message),))


# --- the type that msgspec decodes into


def _record_type(shape: Shape) -> type[msgspec.Struct]:
    fields: list[Any] = [_field(part) for part in sent_fields(shape)]
    return msgspec.defstruct(shape.name, fields, forbid_unknown_fields=True, kw_only=True, gc=False)


def _field(part: Field) -> tuple[Any, ...]:
    kind = _type(part.shape)
    if part.required:
        return part.name, kind
    if isinstance(part.default, list | dict) and part.default:
        raise ContractError(f"{part.name}: a default that is not empty has no JSON form")
    return part.name, kind, part.default


def _type(shape: Shape) -> Any:
    made = _not_null_type(shape)
    return made | None if shape.nullable else made


def _not_null_type(shape: Shape) -> Any:
    bounds = shape.bounds
    if shape.kind is Kind.RECORD:
        return _record_type(shape)
    if shape.kind is Kind.ARRAY:
        return _with(list[_type(shape.item)], min_length=bounds.min_items, max_length=bounds.max_items)  # type: ignore[misc]
    if shape.kind in INTEGERS:
        least, most = (INT_MIN, INT_MAX) if shape.kind is Kind.INT else (LONG_MIN, LONG_MAX)
        low = least if bounds.minimum is None else bounds.minimum
        high = most if bounds.maximum is None else bounds.maximum
        whole = Annotated[int, msgspec.Meta(ge=low, le=high)]
        return whole | Annotated[datetime, msgspec.Meta(tz=True)] if shape.kind is Kind.TIMESTAMP else whole
    if shape.kind in (Kind.FLOAT, Kind.DOUBLE):
        return _with(float, ge=bounds.minimum, le=bounds.maximum)
    if shape.kind is Kind.BOOLEAN:
        return bool
    if shape.kind is Kind.ENUM:
        return Literal[shape.symbols]
    if bounds.format == "json-object":
        return dict[str, Any]
    return _with(str, min_length=bounds.min_length, max_length=bounds.max_length, pattern=bounds.regex)


def _with(kind: Any, **constraints: Any) -> Any:
    given = {name: value for name, value in constraints.items() if value is not None}
    return Annotated[kind, msgspec.Meta(**given)] if given else kind
