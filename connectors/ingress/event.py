"""How the events of one kind of upload are identified and written."""

from collections.abc import Callable, Sequence
from typing import Any

from connectors.ingress.ledger import ledger_key
from connectors.ingress.options import Header
from schemas.avro_writer import long_bytes
from schemas.codec import Encoder
from schemas.contract import RecordType, Topic
from schemas.wire import prefix

HEAD = ("event_id", "device_id", "occurred_at", "received_at")
"""The fields that every event of the device API begins with. The ingress writes them; an encoder writes the rest, which
is what the device said. `occurred_at` is the device's word too."""
_EVENT_ID_SIZE = long_bytes(36)


class EventKind:
    """One kind of upload.

    Attributes:
        topic: where its events go.
        identity: the fields that identify an upload of this kind.
        record: the events' record type.
        key: the field whose value is the record's key.
    """

    def __init__(self, topic: Topic, record: RecordType, key: str, identity: tuple[str, ...]) -> None:
        self.topic, self.record, self.key, self.identity = topic.name, record, key, identity
        fields = self.record.schema["fields"]
        names = tuple(declared["name"] for declared in fields)
        if names[: len(HEAD)] != HEAD:
            raise ValueError(f"{self.record.name} does not begin with the fields {', '.join(HEAD)}")
        rest = {**self.record.schema, "fields": fields[len(HEAD) :]}
        self.encode_rest: Callable[[dict[str, Any]], bytes] = Encoder(
            RecordType(self.record.name, self.record.context, rest)
        ).encode
        self.registration = "hardware_id" in identity

    def ledger_key(self, values: dict[str, Any]) -> bytes:
        """The key under which an upload is remembered. Topic and ids hold no NUL and a sequence is a number, so that a
        NUL in a boot id confuses nothing."""
        if self.registration:
            return ledger_key(f"{self.topic}\0{values['hardware_id']}")
        return ledger_key(f"{self.topic}\0{values['device_id']}\0{values['boot_id']}\0{values['sequence']}")

    def content(self, values: dict[str, Any], rest: bytes) -> int:
        """Digest of what the device said, good within this process (Python's keyed hash). A device that registers again
        may do so at another time; any other upload at another time is another upload."""
        return hash((values["device_id"] if self.registration else values["occurred_at"], rest))


class Envelope:
    """What all events of one request share: schema, device, time of arrival, headers."""

    __slots__ = ("_device", "_prefix", "_received", "device_id", "headers")

    def __init__(self, schema_id: int, device_id: str, received_at: int, headers: Sequence[Header]) -> None:
        """`received_at` in microseconds since 1970-01-01 UTC."""
        name = device_id.encode()
        self.device_id, self.headers = device_id, headers
        self._prefix = prefix(schema_id) + _EVENT_ID_SIZE
        self._device = long_bytes(len(name)) + name
        self._received = long_bytes(received_at)

    def value(self, event_id: str, occurred_at: int, rest: bytes) -> bytes:
        """The framed value of one event."""
        return b"".join((self._prefix, event_id.encode(), self._device, long_bytes(occurred_at), self._received, rest))


def rest_of(body: bytes) -> bytes:
    """What follows HEAD in an Avro body."""
    at = len(_EVENT_ID_SIZE) + 36
    length = body[at]
    if length & 0x80:  # device ids have at most 128 characters: two bytes of length at most
        at += 1
        length = length & 0x7F | body[at] << 7
    at += 1 + (length >> 1)
    for _ in ("occurred_at", "received_at"):
        while body[at] & 0x80:
            at += 1
        at += 1
    return body[at:]
