"""Snapshots in Redis (port Snapshots): one string for each, compressed, under decider:NAME:PARTITION:rREVISION."""

import msgspec
import redis
import zstandard
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.redis_faults import answering
from connectors.snapshots import Snapshot, SnapshotKey

TIMEOUT = 5.0  # seconds; a Redis that is stopped or unreachable is Away after this long
LEVEL = 1  # states are ids and hashes for the most part, which no level makes much smaller


class RedisSnapshots:
    """`url`: such as redis://127.0.0.1:6379/0."""

    def __init__(self, url: str) -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            url, protocol=3, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 0)
        )

    def load(self, key: SnapshotKey) -> Snapshot | None:
        with answering():
            stored = self._redis.get(_name(key))
        if not isinstance(stored, bytes):
            return None
        try:
            return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(stored), type=Snapshot)
        except (zstandard.ZstdError, msgspec.DecodeError):
            return None  # nobody's: it is written over with the next one

    def save(self, key: SnapshotKey, snapshot: Snapshot) -> None:
        packed = zstandard.ZstdCompressor(level=LEVEL).compress(msgspec.msgpack.encode(snapshot))
        with answering():
            self._redis.set(_name(key), packed)

    def close(self) -> None:
        self._redis.close()


def _name(key: SnapshotKey) -> str:
    return f"decider:{key.decider}:{key.partition}:r{key.revision}"
