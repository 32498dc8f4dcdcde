"""CEL's checked syntax tree, read from and written to the bytes that Google's compiler gives.

The messages are those of cel/expr/syntax.proto and checked.proto (of google/cel-spec), as far
as expressions use them: same field numbers, so the bytes are the same. No package that is small enough brings them for
Python.
"""

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_PLAIN = descriptor_pb2.FieldDescriptorProto
_TYPES = {"int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "double": 1}
# message: (field, number, type); `*` repeated, `?` a member of the message's oneof.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "Envelope": (("type_url", 1, "string"), ("value", 2, "bytes")),
    "CheckedExpr": (("type_map", 3, "*TypeEntry"), ("expr", 4, "Expr"), ("source_info", 5, "SourceInfo")),
    "ParsedExpr": (("expr", 2, "Expr"), ("source_info", 3, "SourceInfo")),
    "SourceInfo": (("positions", 4, "*Position"),),
    "Position": (("key", 1, "int64"), ("value", 2, "int32")),
    "TypeEntry": (("key", 1, "int64"), ("value", 2, "Type")),
    "Type": (
        ("dyn", 1, "?Empty"),
        ("null", 2, "?int32"),
        ("primitive", 3, "?int32"),
        ("wrapper", 4, "?int32"),
        ("well_known", 5, "?int32"),
        ("list_type", 6, "?Empty"),
        ("map_type", 7, "?Empty"),
    ),
    "Empty": (),
    "Expr": (
        ("id", 2, "int64"),
        ("const", 3, "?Constant"),
        ("ident", 4, "?Ident"),
        ("select", 5, "?Select"),
        ("call", 6, "?Call"),
        ("list", 7, "?Elements"),
        ("struct", 8, "?Struct"),
        ("comprehension", 9, "?Comprehension"),
    ),
    "Constant": (
        ("null_value", 1, "?int32"),
        ("bool_value", 2, "?bool"),
        ("int64_value", 3, "?int64"),
        ("uint64_value", 4, "?uint64"),
        ("double_value", 5, "?double"),
        ("string_value", 6, "?string"),
        ("bytes_value", 7, "?bytes"),
    ),
    "Ident": (("name", 1, "string"),),
    "Select": (("operand", 1, "Expr"), ("field", 2, "string"), ("test_only", 3, "bool")),
    "Call": (("target", 1, "Expr"), ("function", 2, "string"), ("args", 3, "*Expr")),
    "Elements": (("elements", 1, "*Expr"),),
    "Struct": (("message_name", 1, "string"), ("entries", 2, "*Entry")),
    "Entry": (("id", 1, "int64"), ("field_key", 2, "?string"), ("map_key", 3, "?Expr"), ("value", 4, "Expr")),
    "Comprehension": (
        ("iter_var", 1, "string"),
        ("iter_range", 2, "Expr"),
        ("accu_var", 3, "string"),
        ("accu_init", 4, "Expr"),
        ("loop_condition", 5, "Expr"),
        ("loop_step", 6, "Expr"),
        ("result", 7, "Expr"),
        ("iter_var2", 8, "string"),
    ),
}
_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN = {1: "dyn", 2: "timestamp", 3: "duration"}
CHECKED_URL = "type.googleapis.com/cel.expr.CheckedExpr"


@cache
def message(name: str) -> Any:
    """The class of one of the messages."""
    return _classes()[name]


@cache
def _classes() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(name="fleetlog_cel.proto", package="fleetlog.cel", syntax="proto3")
    for name, fields in _MESSAGES.items():
        made = file.message_type.add(name=name)
        if any(kind.startswith("?") for _, _, kind in fields):
            made.oneof_decl.add(name="kind")
        for field, number, kind in fields:
            plain = kind.lstrip("*?")
            label = _PLAIN.LABEL_REPEATED if kind.startswith("*") else _PLAIN.LABEL_OPTIONAL
            described = made.field.add(name=field, number=number, label=label)
            if plain in _TYPES:
                described.type = _TYPES[plain]  # type: ignore[assignment]
            else:
                described.type, described.type_name = _PLAIN.TYPE_MESSAGE, f".fleetlog.cel.{plain}"
            if kind.startswith("?"):
                described.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"fleetlog.cel.{name}")) for name in _MESSAGES}


def checked(data: bytes) -> Any:
    """The CheckedExpr of what `Expression.serialize()` gives."""
    return message("CheckedExpr").FromString(message("Envelope").FromString(data).value)


def parsed(data: bytes) -> Any:
    """The ParsedExpr of an expression that was compiled with `disable_check`."""
    return message("ParsedExpr").FromString(message("Envelope").FromString(data).value)


def serialized(expr: Any) -> bytes:
    """A tree as `Env.deserialize` takes it."""
    inner = message("CheckedExpr")(expr=expr).SerializeToString()
    return bytes(message("Envelope")(type_url=CHECKED_URL, value=inner).SerializeToString())


def types(tree: Any) -> dict[int, str]:
    """The CEL type of each node, by its id; nullable ones without the wrapper, and dyn for those that no rule needs."""
    return {entry.key: _type(entry.value) for entry in tree.type_map}


def _type(found: Any) -> str:
    kind = found.WhichOneof("kind")
    if kind in ("primitive", "wrapper"):
        return _PRIMITIVES[getattr(found, kind)]
    if kind == "well_known":
        return _WELL_KNOWN[found.well_known]
    return {"null": "null", "list_type": "list", "map_type": "map"}.get(kind or "dyn", "dyn")


def children(expr: Any) -> list[Any]:
    """The nodes right below one, in the order of the text."""
    kind = expr.WhichOneof("kind")
    if kind == "select":
        return [expr.select.operand]
    if kind == "call":
        target = [expr.call.target] if expr.call.HasField("target") else []
        return [*target, *expr.call.args]
    if kind == "list":
        return list(expr.list.elements)
    if kind == "struct":
        entries = [(entry.map_key, entry.value) for entry in expr.struct.entries]
        return [node for pair in entries for node in pair]
    if kind == "comprehension":
        loop = expr.comprehension
        return [loop.iter_range, loop.accu_init, loop.loop_condition, loop.loop_step, loop.result]
    return []
