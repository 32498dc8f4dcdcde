"""Pages of the log as JSON, and as one record per line."""

from collections.abc import Iterator

import msgspec

from connectors.ingress.log_pace import paced
from connectors.ingress.log_values import Readers, entry
from connectors.pages import Page
from schemas.log import TopicPartition

RECORDS_PER_PART, PART_BYTES = 250, 262_144
_encoder = msgspec.json.Encoder()


def json_parts(source: TopicPartition, page: Page, following: str, readers: Readers | None) -> Iterator[bytes]:
    """A LogPage part by part; `following` is the address of the next one."""
    head = {"topic": source.topic, "partition": source.partition, "from": page.start}
    yield _encoder.encode(head)[:-1] + b',"records":['
    joint = b""
    for part in _parts(page, readers):
        yield joint + b",\n".join(part)
        joint = b",\n"
    yield b"]," + _encoder.encode({"next": following, "full": page.full})[1:] + b"\n"


def lines(page: Page, readers: Readers | None) -> Iterator[bytes]:
    """A LogEntry per line."""
    for part in _parts(page, readers):
        yield b"\n".join(part) + b"\n"


def _parts(page: Page, readers: Readers | None) -> Iterator[list[bytes]]:
    """Records, so many or so large in one piece."""
    part: list[bytes] = []
    size = 0
    for record in paced(page.records):
        part.append(_encoder.encode(entry(record, readers)))
        size += len(part[-1])
        if len(part) == RECORDS_PER_PART or size > PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
