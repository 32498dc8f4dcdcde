"""What a request to read the log asks for: where to begin, how much, in which form."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn
from urllib.parse import parse_qsl, quote, urlencode

from connectors.http.request import Fault, Request
from connectors.ingress.rest_media import preferred
from connectors.pages import EARLIEST, LATEST
from schemas.log import TopicPartition

DEFAULT_LIMIT, MOST_RECORDS = 100, 10_000
MOST_WAIT = 30.0  # seconds
LARGEST_OFFSET = 2**63 - 1
JSON, NDJSON, AVRO = "json", "ndjson", "avro"
# In the order of preference where the client has none.
MEDIA_TYPES = {
    b"application/json": JSON,
    b"application/x-ndjson": NDJSON,
    b"application/avro": AVRO,
    b"avro/binary": AVRO,
}
VALUES = ("decoded", "base64")
_PLACES = {"earliest": EARLIEST, "latest": LATEST}
_WHOLE = re.compile(r"[0-9]{1,19}")
_SECONDS = re.compile(r"[0-9]{1,4}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Asked:
    """`start` is an offset, EARLIEST or LATEST, or None where `moment` (milliseconds since 1970) says where to begin."""

    start: int | None
    moment: int
    limit: int
    wait: float
    form: str
    media_type: bytes
    decoded: bool
    repeated: tuple[tuple[str, str], ...]
    """Parameters that the links carry on."""

    def link(self, source: TopicPartition, offset: int, waiting: bool = True) -> str:
        """The address of the same request for the page at `offset`; without `waiting`, as it would be asked for again."""
        kept = [(name, value) for name, value in self.repeated if waiting or name != "wait"]
        return f"{partition_link(source)}?{urlencode([('from', offset), *kept])}"


def topic_link(topic: str) -> str:
    return f"/v1/log/{quote(topic, safe='')}"


def partition_link(source: TopicPartition) -> str:
    return f"{topic_link(source.topic)}/{source.partition}"


def check_plain(request: Request) -> None:
    """Raises Fault: 400 there are parameters where none are known, 406 the client takes no JSON."""
    _parameters(request, ())
    _media_type(request, (b"application/json",))


def asked(request: Request) -> Asked:
    """
    Raises:
        Fault: 400 with the parameter that is not understood, 406.
    """
    names = ("from", "at", "limit", "wait", "values", "format")
    given = _parameters(request, names)
    start, moment = _place(given)
    values = given.get("values", VALUES[0])
    if values not in VALUES:
        _refuse("values", f"is {values[:50]!r}, not one of {', '.join(VALUES)}")
    media_type = _form(given["format"]) if "format" in given else _media_type(request, tuple(MEDIA_TYPES))
    limit, wait = _limit(given.get("limit")), _wait(given.get("wait"))
    repeated = tuple((name, given[name]) for name in names[2:] if name in given)
    return Asked(start, moment, limit, wait, MEDIA_TYPES[media_type], media_type, values == VALUES[0], repeated)


def _parameters(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    found = {name: value for name in known if (value := request.query(name)) is not None}
    if request.raw_query:
        request.query("")  # checks that the query can be read
        for name, _ in parse_qsl(request.raw_query.decode(), keep_blank_values=True):
            if name not in known:
                _refuse(name[:50], f"is no parameter here; there are {', '.join(known) or 'none'}")
    return found


def _refuse(name: str, message: str) -> NoReturn:
    raise Fault(400, "INVALID_QUERY", f"{name} {message}", [(f"query {name}", message)])


def _place(given: dict[str, str]) -> tuple[int | None, int]:
    text, moment = given.get("from"), given.get("at")
    if moment is not None:
        if text is not None:
            _refuse("at", "stands beside from: one of them says where to begin")
        return None, _milliseconds(moment)
    if text is None:
        return EARLIEST, 0
    if text in _PLACES:
        return _PLACES[text], 0
    if not _WHOLE.fullmatch(text) or int(text) > LARGEST_OFFSET:
        _refuse("from", f"is {text[:50]!r}: not an offset, earliest or latest")
    return int(text), 0


def _milliseconds(text: str) -> int:
    """The first millisecond that is not before a moment in RFC 3339."""
    try:
        moment = datetime.fromisoformat(text) if "T" in text.upper() else None
        since = None if moment is None or moment.tzinfo is None else moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        since = None
    if since is None:
        _refuse("at", f"is {text[:50]!r}, not RFC 3339 with a zone, such as 2024-05-01T12:00:00Z")
    whole = (since.days * 86_400 + since.seconds) * 1000 + math.ceil(since.microseconds / 1000)
    return max(whole, 0)  # below are the numbers that stand for places


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= MOST_RECORDS:
        _refuse("limit", f"is {text[:50]!r}, not a number of records from 1 to {MOST_RECORDS}")
    return int(text)


def _wait(text: str | None) -> float:
    if text is None:
        return 0.0
    if not _SECONDS.fullmatch(text) or float(text) > MOST_WAIT:
        _refuse("wait", f"is {text[:50]!r}, not a number of seconds from 0 to {MOST_WAIT:g}")
    return float(text)


def _form(text: str) -> bytes:
    for media_type, form in MEDIA_TYPES.items():
        if form == text:
            return media_type
    _refuse("format", f"is {text[:50]!r}, not one of {JSON}, {NDJSON}, {AVRO}")


def _media_type(request: Request, offered: tuple[bytes, ...]) -> bytes:
    chosen = preferred(request.accept, offered)
    if chosen is None:
        raise Fault(406, "NOT_ACCEPTABLE", f"answers are {', '.join(one.decode() for one in offered)}")
    return chosen
