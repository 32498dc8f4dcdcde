"""Media types of Kafka-REST v2: what a body holds, and which type an answer gets (RFC 9110, 12.5.1)."""

import re
from collections.abc import Sequence

from connectors.http.request import Fault, Request

V2_JSON = b"application/vnd.kafka.v2+json"
# What is answered, in the order of preference where the client has none.
ANSWERED = (V2_JSON, b"application/vnd.kafka+json", b"application/json")
EMBEDDED = ("json", "binary", "avro")
# Without an embedded format it is binary. Plain JSON is left out, though Confluent's reference names it: it is what
# clients send by default, and values that were meant as JSON would be taken for Base64.
GENERIC = (V2_JSON, b"application/vnd.kafka+json")
_EMBEDDED = re.compile(rb"application/vnd\.kafka\.(json|binary|avro)\.v2\+json")
_WEIGHT = re.compile(rb"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def embedded_format(request: Request) -> str:
    """One of EMBEDDED; raises Fault 415."""
    media_type = request.content_type.partition(b";")[0].strip().lower()
    if media_type in GENERIC:
        return "binary"
    match = _EMBEDDED.fullmatch(media_type)
    if match is None:
        kinds = "application/vnd.kafka.json.v2+json, .binary.v2+json or .avro.v2+json"
        raise Fault(415, "UNSUPPORTED_MEDIA_TYPE", f"the body must be {kinds}")
    return match[1].decode()


def answer_type(request: Request) -> bytes:
    """The type among ANSWERED that the client likes best; raises Fault 406 if it takes none."""
    chosen = preferred(request.accept, ANSWERED)
    if chosen is None:
        raise Fault(406, "NOT_ACCEPTABLE", f"answers are {', '.join(one.decode() for one in ANSWERED)}")
    return chosen


def fault_type(request: Request) -> bytes:
    """The type of an answer that has to be given whatever the client takes."""
    return preferred(request.accept, ANSWERED) or V2_JSON


def preferred(accept: bytes, offered: Sequence[bytes]) -> bytes | None:
    """The type among `offered` (first the one that is given where the client has no preference) that a client likes best."""
    accept = accept.strip().lower()
    if not accept or accept == b"*/*":
        return offered[0]
    weights = dict(media_range(one) for one in accept.split(b","))
    best, most = None, 0.0
    for one in offered:
        # The most specific range that holds a type decides on it.
        family = one.partition(b"/")[0] + b"/*"
        weight = weights.get(one, weights.get(family, weights.get(b"*/*", 0.0)))
        if weight > most:
            best, most = one, weight
    return best


def media_range(text: bytes) -> tuple[bytes, float]:
    """A media range and its weight: 1 where none is given, 0 where what is given is none."""
    media_type, *parameters = (part.strip() for part in text.split(b";"))
    for parameter in parameters:
        if parameter.startswith(b"q="):
            match = _WEIGHT.fullmatch(parameter)
            return media_type, float(match[1]) if match else 0.0
    return media_type, 1.0
