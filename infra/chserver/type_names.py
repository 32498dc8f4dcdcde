"""ClickHouse's type names: their parts and the widths of those whose values all have one."""

import re

_WIDTHS = {
    1: "UInt8 Int8 Bool Enum8 Nothing",
    2: "UInt16 Int16 Date Enum16 BFloat16",
    4: "UInt32 Int32 Float32 Date32 DateTime DateTime32 IPv4 Decimal32 Time",
    8: "UInt64 Int64 Float64 DateTime64 Time64 Decimal64",
    16: "UInt128 Int128 UUID IPv6 Decimal128",
    32: "UInt256 Int256 Decimal256",
}
_WIDTH_OF = {name: width for width, names in _WIDTHS.items() for name in names.split()}
_DECIMALS = ((9, 4), (18, 8), (38, 16), (76, 32))  # digits up to, bytes
_SAME_AS = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_NAMED_ELEMENT = re.compile(r"(?:`(?:[^`\\]|\\.)*`|[A-Za-z_][\w.]*)\s+(?=[A-Z])")


def parts(type_name: str) -> tuple[str, str]:
    """(name, what stands between the outermost brackets)"""
    name, bracket, rest = type_name.partition("(")
    return name.strip(), rest.rstrip().removesuffix(")") if bracket else ""


def fixed_width(type_name: str) -> int:
    """Bytes of each value; 0 for types whose values differ."""
    name, inner = parts(type_name)
    if name == "FixedString":
        return int(inner) if inner.isdecimal() else 0
    if name == "Decimal":
        digits = inner.partition(",")[0].strip()
        return next((width for most, width in _DECIMALS if digits.isdecimal() and int(digits) <= most), 0)
    if name.startswith("Interval"):
        return 8
    return _WIDTH_OF.get(name, 0)


def replacement(name: str, inner: str) -> str:
    """Another type with the same bytes, where there is one; else an empty text."""
    if name == "SimpleAggregateFunction":
        return arguments(inner)[-1]
    if name in ("Map", "Nested"):
        return f"Array(Tuple({inner}))"
    return _SAME_AS.get(name, "")


def arguments(text: str) -> list[str]:
    """The comma-separated arguments of a type; commas within brackets or quotes do not count."""
    found, depth, quote, start, at = [], 0, "", 0, 0
    while at < len(text):
        char = text[at]
        if quote:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = ""
        elif char in "'`\"":
            quote = char
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and not depth:
            found.append(text[start:at].strip())
            start = at + 1
        at += 1
    last = text[start:].strip()
    return [*found, last] if found or last else []


def element(text: str) -> str:
    """The type of a tuple's element, which may stand after a name."""
    match = _NAMED_ELEMENT.match(text)
    return text[match.end() :] if match else text
