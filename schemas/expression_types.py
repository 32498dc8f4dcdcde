"""The CEL types of the fields of records, all the way down: a nested record is a message of its fields, a nullable field one
of CEL's wrapper types, an array a list, a timestamp a timestamp. The contract has no maps and no other unions.

Messages are declared for the check alone; what is evaluated are plain dicts and lists (`conversion`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from cel_expr_python import cel
from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2, wrappers_pb2

from schemas.shape import Field, Kind, Shape

_PACKAGE = "record"
_FIELD = descriptor_pb2.FieldDescriptorProto
_PLAIN: Mapping[Kind, tuple[Any, Any, str]] = {
    **dict.fromkeys((Kind.STRING, Kind.ENUM), (cel.Type.STRING, _FIELD.TYPE_STRING, "String")),
    **dict.fromkeys((Kind.INT, Kind.LONG), (cel.Type.INT, _FIELD.TYPE_INT64, "Int64")),
    **dict.fromkeys((Kind.FLOAT, Kind.DOUBLE), (cel.Type.DOUBLE, _FIELD.TYPE_DOUBLE, "Double")),
    Kind.BYTES: (cel.Type.BYTES, _FIELD.TYPE_BYTES, "Bytes"),
    Kind.BOOLEAN: (cel.Type.BOOL, _FIELD.TYPE_BOOL, "Bool"),
}
"""Of each kind its CEL type, that of a message's field, and the wrapper that may be null."""

_KNOWN = (wrappers_pb2, timestamp_pb2, struct_pb2)


class Types:
    """CEL types of shapes; `pool` holds the messages of those that were asked for."""

    def __init__(self) -> None:
        self.pool = descriptor_pool.DescriptorPool()
        for file in _KNOWN:
            copied = descriptor_pb2.FileDescriptorProto()
            file.DESCRIPTOR.CopyToProto(copied)
            self.pool.Add(copied)
        self._messages: list[tuple[Shape, str]] = []

    def of(self, shape: Shape) -> Any:
        """The type of a variable of this shape."""
        if shape.kind is Kind.ARRAY:
            return cel.Type.List(self.of(shape.item))
        if shape.kind is Kind.RECORD:
            return cel.Type(self._message(shape))
        if shape.kind is Kind.TIMESTAMP:
            return cel.Type.TIMESTAMP
        plain, _, wrapper = _PLAIN[shape.kind]
        return cel.Type(f"google.protobuf.{wrapper}Value") if shape.nullable else plain

    def _message(self, shape: Shape) -> str:
        """The full name of the message of a record's shape, which is declared if it is not yet."""
        same = [(known, name) for known, name in self._messages if known.name == shape.name]
        for known, name in same:
            if known.fields == shape.fields:
                return name
        # Records of one name may differ, as those of several types of a topic do.
        short = shape.name if not same else f"{shape.name}{len(same) + 1}"
        full = f"{_PACKAGE}.{short}"
        self._messages.append((shape, full))
        inner = [self._message(part) for part in map(_record_in, shape.fields) if part is not None]
        file = descriptor_pb2.FileDescriptorProto(name=f"{full}.proto", package=_PACKAGE, syntax="proto3")
        file.dependency.extend(known.DESCRIPTOR.name for known in _KNOWN)
        file.dependency.extend(sorted({f"{one}.proto" for one in inner}))
        message = file.message_type.add(name=short)
        for number, part in enumerate(shape.fields, 1):
            self._declare(message.field.add(name=part.name, number=number), part.shape)
        self.pool.Add(file)
        return full

    def _declare(self, field: Any, shape: Shape) -> None:
        field.label = _FIELD.LABEL_REPEATED if shape.kind is Kind.ARRAY else _FIELD.LABEL_OPTIONAL
        shape = shape.item if shape.kind is Kind.ARRAY else shape
        field.type = _FIELD.TYPE_MESSAGE
        if shape.kind is Kind.ARRAY:
            field.type_name = ".google.protobuf.ListValue"
        elif shape.kind is Kind.RECORD:
            field.type_name = f".{self._message(shape)}"
        elif shape.kind is Kind.TIMESTAMP:
            field.type_name = ".google.protobuf.Timestamp"
        elif shape.nullable:
            field.type_name = f".google.protobuf.{_PLAIN[shape.kind][2]}Value"
        else:
            field.type = _PLAIN[shape.kind][1]


def _record_in(part: Field) -> Shape | None:
    """The shape of the record that a field, or each item of it, is."""
    shape = part.shape
    while shape.kind is Kind.ARRAY:
        shape = shape.item
    return shape if shape.kind is Kind.RECORD else None


Conversion = Callable[[Any], Any]


def conversion(shape: Shape) -> Conversion | None:
    """What makes of a value the one that is evaluated, in which times are CEL's; None where there are no times in it."""
    if shape.kind is Kind.TIMESTAMP:
        return _or_null(moment)
    if shape.kind is Kind.ARRAY:
        inner = conversion(shape.item)
        return None if inner is None else _or_null(lambda items: [inner(item) for item in items])
    found = {part.name: made for part in shape.fields if (made := conversion(part.shape)) is not None}
    if not found:
        return None
    return _or_null(lambda row: {**row, **{name: made(row.get(name)) for name, made in found.items()}})


def _or_null(made: Conversion) -> Conversion:
    return lambda value: None if value is None else made(value)


def moment(micros: int) -> timestamp_pb2.Timestamp:
    """A time as CEL has it, from microseconds since 1970."""
    made = timestamp_pb2.Timestamp()
    made.FromMicroseconds(micros)
    return made
