"""A keyed view's store in Redis (port KeyedStore).

Layout, for the view `device_state` in version 1:

    device_state:v1:doc:KEY     hash: the document's fields, and its revision in `_revision`
    device_state:v1:positions   hash: "topic/partition" -> offset of the next record to fold
    device_state:v1:facts       hash: what is noted about the version
    device_state:v1:leaves      1, where all documents of the version have a hash
    device_state:v1:leaves:B    hash: the hashes of the documents in bucket B (connectors.redis_leaves)
    device_state:live           the version that readers see; absent: 1
    device_state:versions       set: versions that are prepared
    device_state:dropping       set: versions whose documents are being deleted

A commit is one Lua script, which Redis runs alone and writes to its append-only file as one transaction: after a crash
it is there whole or not at all. What survives a crash is decided by Redis's `appendfsync`; with anything less than
`always`, documents and positions may go back a little, together.

The scripts address the documents by prefix, which a Redis Cluster does not allow: one Redis (with replicas) per view.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.ports import Change, Conflict, Document, Loaded, Moved, Superseded
from connectors.redis_faults import answering
from schemas.log import TopicPartition

REVISION = "_revision"
"""The hash field that holds a document's revision; a document may not have a field of this name."""

TIMEOUT = 5.0  # seconds; a Redis that is stopped or unreachable is Away after this long
SCAN_COUNT = 1_000  # documents of one step of scan and drop: bounds memory here and the time that Redis is busy

SCRIPTS = Path(__file__).parent / "lua"


class RedisKeyedStore:
    """The versions of one keyed view in one Redis.

    Args:
        url: such as redis://127.0.0.1:6379/0.
        view: the view's name: lower-case letters, digits, underscores.
    """

    def __init__(self, url: str, view: str) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", view):
            raise ValueError(f"not a view name: {view!r}")
        self._view = view
        self._redis: redis.Redis = redis.Redis.from_url(
            url,
            protocol=3,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            # The caller decides what to repeat: a commit that timed out may have been done.
            retry=Retry(NoBackoff(), 0),
        )
        self._scripts = {path.stem: self._redis.register_script(path.read_text("utf-8")) for path in SCRIPTS.glob("*.lua")}
        self._versions, self._dropping, self._live = (f"{view}:{name}" for name in ("versions", "dropping", "live"))
        self._documents = msgspec.msgpack.Decoder(list[Document])

    def live(self) -> int:
        with answering():
            return int(self._redis.get(self._live) or 1)

    def versions(self) -> list[int]:
        with answering():
            held = self._redis.sunion([self._versions, self._dropping])
        return sorted(int(version) for version in held)

    def prepare(self, version: int) -> None:
        while not self._run("prepare", [self._versions, self._dropping, self._hashed(version)], [version]):
            self._erase(version)  # a drop that did not come to its end: its documents must not be found again

    def positions(self, version: int) -> dict[TopicPartition, int]:
        with answering():
            stored: dict[Any, Any] = self._redis.hgetall(self._positions(version))
        return {TopicPartition.parse(source.decode()): int(offset) for source, offset in stored.items()}

    def facts(self, version: int) -> dict[str, str]:
        with answering():
            noted: dict[Any, Any] = self._redis.hgetall(self._facts(version))
        return {name.decode(): text.decode() for name, text in noted.items()}

    def note(self, version: int, facts: Mapping[str, str | None]) -> None:
        flat = [text for name, text in facts.items() if text is not None for text in (name, text)]
        removed = [name for name, text in facts.items() if text is None]
        arguments: list[str | int | bytes] = [version, msgspec.msgpack.encode(flat), msgspec.msgpack.encode(removed)]
        if not self._run("note", [self._facts(version), self._versions], arguments):
            raise Superseded(f"{self._view}: version {version} was dropped or never prepared")

    def promote(self, version: int) -> None:
        if not self._run("promote", [self._versions, self._live], [version]):
            raise ValueError(f"{self._view}: version {version} was never prepared")

    def drop(self, version: int) -> None:
        names = [self._versions, self._live, self._positions(version), self._dropping, self._facts(version)]
        names.append(self._hashed(version))
        if not self._run("retire", names, [version]):
            raise ValueError(f"{self._view}: version {version} is live")
        self._erase(version)

    def close(self) -> None:
        self._redis.close()

    def load(self, version: int, keys: Sequence[str]) -> list[Loaded]:
        return [Loaded(document, revision) for document, revision in self._fetch(version, keys)]

    def commit(
        self, version: int, source: TopicPartition, expected: int, following: int, changes: Mapping[str, Change]
    ) -> None:
        payload = msgspec.msgpack.encode([_wire(key, change) for key, change in changes.items()])
        arguments: list[str | int | bytes] = [
            version,
            str(source),
            expected,
            following,
            self._prefix(version),
            REVISION,
            payload,
            f"{self._hashed(version)}:",
            b"".join(change.leaf.hash for change in changes.values() if change.leaf),
        ]
        outcome, *details = self._run("commit", [self._positions(version), self._versions], arguments)
        match outcome, details:
            case b"moved", [actual]:
                raise Moved(source, expected, int(actual))
            case b"conflict", [key, revision]:
                wanted = changes[key.decode()].revision
                raise Conflict(f"{key.decode()}: revision is {int(revision)}, expected {wanted}")
            case b"superseded", _:
                raise Superseded(f"{self._view}: version {version} was dropped or never prepared")

    def scan(self, version: int) -> Iterator[tuple[str, Document]]:
        for keys in self._keys(self._prefix(version)):
            found = zip(keys, self._fetch(version, keys), strict=True)
            yield from ((key, document) for key, (document, revision) in found if revision)

    def _run(self, script: str, names: Sequence[str], arguments: Sequence[str | int | bytes]) -> Any:
        """The answer of a script, which Redis runs alone."""
        with answering():
            return self._scripts[script](keys=names, args=arguments)

    def _fetch(self, version: int, keys: Sequence[str]) -> Iterator[tuple[Document, int]]:
        """The documents of `keys`, in their order, read in one step, each with its revision (0: there is none)."""
        packed: bytes = self._run("load", [], [self._prefix(version), msgspec.msgpack.encode(keys)])
        for document in self._documents.decode(packed):
            yield document, int(document.pop(REVISION, 0))

    def _keys(self, prefix: str) -> Iterator[list[str]]:
        """What follows `prefix` in the names of Redis that begin with it, some at a time."""
        cursor = 0
        while True:
            with answering():
                # Nothing in a view's name or a version number is special in a pattern.
                found: Any = self._redis.scan(cursor, match=f"{prefix}*", count=SCAN_COUNT)
            cursor, names = found
            if names:
                yield [name.decode()[len(prefix) :] for name in names]
            if not cursor:
                return

    def _erase(self, version: int) -> None:
        """Delete the documents of a version being dropped and their hashes, then forget the drop."""
        for prefix in (self._prefix(version), f"{self._hashed(version)}:"):
            for keys in self._keys(prefix):
                arguments: list[str | int | bytes] = [version, prefix, msgspec.msgpack.encode(keys)]
                if not self._run("erase", [self._dropping], arguments):
                    return
        with answering():
            self._redis.srem(self._dropping, str(version))

    def _prefix(self, version: int) -> str:
        return f"{self._view}:v{version}:doc:"

    def _positions(self, version: int) -> str:
        return f"{self._view}:v{version}:positions"

    def _hashed(self, version: int) -> str:
        return f"{self._view}:v{version}:leaves"

    def _facts(self, version: int) -> str:
        return f"{self._view}:v{version}:facts"


def _wire(key: str, change: Change) -> tuple[str | int | list[str], ...]:
    """A change as the commit script takes it."""
    flat = [text for pair in change.put.items() for text in pair]
    remove = list(change.remove)
    "".join(flat + remove)  # what is not text would fail half-way through the script; here nothing is written yet
    if REVISION in change.put or REVISION in remove:
        raise ValueError(f"{key}: a document may not have a field named {REVISION}")
    return key, change.revision, flat, remove, *(change.leaf[:1] if change.leaf else ())
