"""The hashes of documents in memory (port Leaves)."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from connectors.leaves import Bucket, Cut, Kept, Unsealed
from connectors.memory import MemoryKeyedStore
from connectors.ports import Conflict, Document, Leaf, Loaded


class MemoryLeaves:
    """Of the documents in a MemoryKeyedStore."""

    def __init__(self, store: MemoryKeyedStore) -> None:
        self._store = store

    def complete(self, version: int) -> bool:
        return version in self._store.versions()

    def unsealed(self, version: int, buckets: range) -> list[Unsealed]:
        with self._store.reading(version) as held:
            return [
                Unsealed(number, str(bucket.turn).encode(), dict(bucket.leaves))
                for number, bucket in held.buckets.items()
                if number in buckets and bucket.hash is None
            ]

    def seal(self, version: int, hashes: Mapping[int, tuple[bytes, bytes]]) -> None:
        with self._store.reading(version) as held:
            for number, (mark, hashed) in hashes.items():
                bucket = held.buckets.get(number)
                if bucket is not None and bucket.hash is None and str(bucket.turn).encode() == mark:
                    bucket.hash = hashed

    def cut(self, version: int, buckets: int) -> Cut:
        with self._store.reading(version) as held:
            return Cut(
                dict(held.positions),
                {number: bucket.hash for number, bucket in held.buckets.items() if bucket.hash is not None},
                {number: dict(bucket.leaves) for number, bucket in held.buckets.items() if bucket.hash is None},
            )

    def kept(self, version: int, buckets: Sequence[int]) -> list[Kept]:
        with self._store.reading(version) as held:
            wanted = {key: number for number in buckets for key in held.buckets.get(number, Bucket()).leaves}
            return self.looked_up(version, wanted)

    def looked_up(self, version: int, keys: Mapping[str, int]) -> list[Kept]:
        with self._store.reading(version) as held:
            found = []
            for key, number in keys.items():
                loaded = held.content.get(key, Loaded({}, 0))
                leaf = held.buckets.get(number, Bucket()).leaves.get(key)
                found.append(Kept(key, leaf, dict(loaded.document), loaded.revision))
            return found

    def strangers(self, version: int, bucket_of: Callable[[str], int]) -> Iterator[str]:
        with self._store.reading(version) as held:
            keys = [key for key in held.content if key not in held.buckets.get(bucket_of(key), Bucket()).leaves]
        yield from keys

    def replace(self, version: int, key: str, revision: int, document: Document, leaf: Leaf) -> None:
        with self._store.writing(version) as held:
            actual = held.content.get(key, Loaded({}, 0)).revision
            if actual != revision:
                raise Conflict(f"{key}: revision is {actual}, expected {revision}")
            if document:
                held.content[key] = Loaded(dict(document), revision + 1)
            else:
                held.content.pop(key, None)
            held.buckets.setdefault(leaf.bucket, Bucket()).keep(key, leaf.hash if document else None)

    def close(self) -> None:
        """Nothing is open."""
