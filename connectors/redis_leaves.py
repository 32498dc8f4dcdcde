"""The hashes of documents in Redis (port Leaves), beside the documents (connectors.redis_store):

    device_state:v1:leaves:B   hash: key -> the hash of its document, for the keys of bucket B

The field \\xff of such a hash (no text, so no document's key) holds "=" and the hash of the bucket, or a mark for as long as
that is not known: the commit that changes a document sets both in the same step. So nothing says which buckets changed but
the buckets themselves, and a commit costs one more command a document.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.leaves import Cut, Kept, Unsealed
from connectors.ports import Conflict, Document, Leaf, Superseded
from connectors.redis_faults import answering
from schemas.log import TopicPartition

REVISION = "_revision"
OWN = b"\xff"
TIMEOUT = 30.0  # seconds: a cut of a million documents takes Redis a second
SCAN_COUNT = 1_000

SCRIPTS = Path(__file__).parent / "lua" / "leaves"

PACKED_REVISION = re.compile(rb"\xa9_revision[\xa0-\xbf]([0-9]{1,15})(?![0-9.e+-])")
"""The revision in a document that can't be read: two short strings of msgpack."""

_fields = msgspec.msgpack.Decoder(list[str]).decode


class RedisLeaves:
    """Of one view in one Redis.

    Args:
        url: such as redis://127.0.0.1:6379/0.
        view: the view's name.
    """

    def __init__(self, url: str, view: str) -> None:
        self._view = view
        self._redis: redis.Redis = redis.Redis.from_url(
            url, protocol=3, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0)
        )
        self._scripts = {path.stem: self._redis.register_script(path.read_text("utf-8")) for path in SCRIPTS.glob("*.lua")}

    def complete(self, version: int) -> bool:
        with answering():
            return bool(self._redis.exists(f"{self._view}:v{version}:leaves"))

    def unsealed(self, version: int, buckets: range) -> list[Unsealed]:
        found = self._run("unsealed", [], [self._buckets(version), buckets.start, buckets.stop - 1])
        return [_unsealed(bucket, flat) for bucket, flat in _pairs(found)]

    def seal(self, version: int, hashes: Mapping[int, tuple[bytes, bytes]]) -> None:
        wanted = msgspec.msgpack.encode([(bucket, mark.decode()) for bucket, (mark, _) in hashes.items()])
        self._run("seal", [], [self._buckets(version), wanted, b"".join(hashed for _, hashed in hashes.values())])

    def cut(self, version: int, buckets: int) -> Cut:
        names = [f"{self._view}:v{version}:positions"]
        positions, sealed, unsealed = self._run("cut", names, [self._buckets(version), buckets - 1])
        return Cut(
            {TopicPartition.parse(source.decode()): int(offset) for source, offset in _pairs(positions)},
            {bucket: hashed[1:] for bucket, hashed in _pairs(sealed)},
            {bucket: _unsealed(bucket, flat).leaves for bucket, flat in _pairs(unsealed)},
        )

    def kept(self, version: int, buckets: Sequence[int]) -> list[Kept]:
        return self._kept(version, [(bucket,) for bucket in buckets])

    def looked_up(self, version: int, keys: Mapping[str, int]) -> list[Kept]:
        return self._kept(version, [(bucket, key) for key, bucket in keys.items()])

    def strangers(self, version: int, bucket_of: Callable[[str], int]) -> Iterator[str]:
        prefix, cursor = self._documents(version), 0
        while True:
            with answering():
                found: Any = self._redis.scan(cursor, match=f"{prefix}*", count=SCAN_COUNT)
            cursor, names = found
            keys = [_text(name)[len(prefix) :] for name in names]
            wanted = msgspec.msgpack.encode([(bucket_of(key), key) for key in keys])
            yield from (_text(key) for key in self._run("strangers", [], [prefix, self._buckets(version), wanted]))
            if not cursor:
                return

    def replace(self, version: int, key: str, revision: int, document: Document, leaf: Leaf) -> None:
        flat = [text for pair in document.items() for text in pair]
        names = [self._documents(version) + key, f"{self._buckets(version)}{leaf.bucket}", f"{self._view}:versions"]
        arguments: list[str | int | bytes]
        arguments = [version, key, revision, REVISION, msgspec.msgpack.encode(flat), leaf.hash, uuid4().hex]
        outcome, *details = self._run("replace", names, arguments)
        if outcome == b"conflict":
            raise Conflict(f"{key}: revision is {_text(details[0])}, expected {revision}")
        if outcome == b"superseded":
            raise Superseded(f"{self._view}: version {version} was dropped or never prepared")

    def close(self) -> None:
        self._redis.close()

    def _kept(self, version: int, wanted: Sequence[tuple[int] | tuple[int, str]]) -> list[Kept]:
        arguments: list[str | int | bytes]
        arguments = [self._documents(version), self._buckets(version), msgspec.msgpack.encode(wanted)]
        found = self._run("kept", [], arguments)
        return [_kept(*found[at : at + 3]) for at in range(0, len(found), 3)]

    def _run(self, script: str, names: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        with answering():
            return self._scripts[script](keys=names, args=arguments)

    def _documents(self, version: int) -> str:
        return f"{self._view}:v{version}:doc:"

    def _buckets(self, version: int) -> str:
        return f"{self._view}:v{version}:leaves:"


def _pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    each = iter(flat)
    return zip(each, each, strict=True)


def _unsealed(bucket: int, held: Any) -> Unsealed:
    leaves = dict(_pairs(held))
    mark = leaves.pop(OWN)
    return Unsealed(bucket, mark, {_text(key): leaf for key, leaf in leaves.items()})


def _kept(key: bytes, leaf: bytes, packed: bytes) -> Kept:
    """A flipped byte may have made something of a document that is no text, or no revision."""
    try:
        document = dict(_pairs(_fields(packed)))
        revision = int(document.pop(REVISION, "0"))
    except (msgspec.DecodeError, ValueError):
        held = PACKED_REVISION.search(packed)
        return Kept(_text(key), leaf or None, None, int(held[1]) if held else 0)
    return Kept(_text(key), leaf or None, document, revision)


def _text(data: bytes) -> str:
    """A key as text; one that is none was not written by a view, and is shown as what it is."""
    return data.decode(errors="backslashreplace")
