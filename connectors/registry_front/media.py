"""Media types of a schema registry: what a body may be, and in what an answer is given."""

V1 = b"application/vnd.schemaregistry.v1+json"
GIVEN = (V1, b"application/vnd.schemaregistry+json", b"application/json")
"""Types of answers, the preferred first: all are the same JSON."""
DEFAULT = V1
_TAKEN = frozenset((*GIVEN, b"application/octet-stream", b""))  # the last two: clients that do not say


def taken(content_type: bytes) -> bool:
    """Whether a body of this type is read."""
    return content_type.partition(b";")[0].strip().lower() in _TAKEN


def negotiated(accept: bytes) -> bytes | None:
    """The type of the answer for a header Accept; None if the client takes none of them (RFC 9110, 12.5.1)."""
    if not accept.strip():
        return DEFAULT
    ranges = [_range(part) for part in accept.split(b",")]
    best: bytes | None = None
    most = 0.0
    for media in GIVEN:
        weight = _weight(media, ranges)
        if weight > most:
            best, most = media, weight
    return best


def _range(part: bytes) -> tuple[bytes, float]:
    name, *parameters = part.split(b";")
    weight = 1.0
    for parameter in parameters:
        key, _, value = parameter.strip().partition(b"=")
        if key.lower() == b"q":
            try:
                weight = min(max(float(value), 0.0), 1.0)
            except ValueError:
                weight = 0.0
    return name.strip().lower(), weight


def _weight(media: bytes, ranges: list[tuple[bytes, float]]) -> float:
    """What the most specific range says of a type."""
    for wanted in (media, b"application/*", b"*/*"):
        found = [weight for name, weight in ranges if name == wanted]
        if found:
            return max(found)
    return 0.0
