"""The archive: segments, manifests, schemas and marks as objects of a store.

    topics/TOPIC/manifest/00000007.json          what is archived of the topic; the highest number counts
    topics/TOPIC/PARTITION/FIRST-FOLLOWING-HASH.avro   a segment
    schemas/17.json                              a schema by the id that values name
    marks/00000012.json                          where the groups of the deciders stood
    registry/HASH.zip                            the schema registry's own export, with all ids

Objects are written once. A segment counts from the moment in which a manifest that lists it is there, and manifests are
claimed by their number: of two archivers at work at once, one finds its number taken and begins anew.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from connectors.objects import NoObject, ObjectStore
from schemas.archive.manifest import Manifest, Segment, described, extended, faults, opened, sealed
from schemas.archive.records import Records
from schemas.archive.segment import Damaged, decoded, encoded
from schemas.archive.segment import root as root_of
from schemas.log import TopicPartition

KEPT_MANIFESTS = 3  # the newest; a reader that has just listed them finds what it was told of
READ_AGAIN = 5


class Overtaken(Exception):
    """Another archiver has written the next manifest: begin anew from that one."""


class Mark(msgspec.Struct, frozen=True):
    """Where groups stood at `taken_at` (milliseconds since 1970), and then, a moment later, the ends of all partitions: what
    was decided before the offsets lies before the ends. Partitions are named TOPIC/PARTITION."""

    number: int
    taken_at: int
    groups: Mapping[str, Mapping[str, int]]
    ends: Mapping[str, int]
    registry: str = ""


class Archive:
    """All calls may raise what the object store raises (Away, Refused), and Damaged, which names the object."""

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    def __str__(self) -> str:
        return str(self.objects)

    def topics(self) -> list[str]:
        """The topics of which anything is archived, by name."""
        return sorted({one.name.split("/")[1] for one in self.objects.list("topics") if one.name.count("/") > 1})

    def manifest(self, topic: str) -> tuple[Manifest, str] | None:
        """The newest manifest of a topic and its hash; None where there is none. It is whole: its chain was checked."""
        for _ in range(READ_AGAIN):
            names = self.manifests(topic)
            if not names:
                return None
            try:
                data = self.objects.get(names[-1])
            except NoObject:  # outdated while it was looked for
                continue
            return _checked(topic, names[-1], data), hashlib.sha256(data).hexdigest()
        raise Damaged(f"{self}: the manifests of {topic} go as soon as they are listed")

    def manifests(self, topic: str) -> list[str]:
        """The names of the manifests of a topic, the newest last."""
        return [one.name for one in self.objects.list(f"topics/{topic}/manifest")]

    def put_segment(self, records: Records) -> Segment:
        """Store records as a segment, which counts when `publish` has told of it."""
        data = encoded(records)
        segment = described(records, data)
        if not self.objects.create(segment.name, data) and hashlib.sha256(self.objects.get(segment.name)).digest() != (
            hashlib.sha256(data).digest()
        ):
            # The name holds the hash of the content: nobody's other segment, but this one, spoiled.
            raise Damaged(f"{segment.name} is there with another content; no manifest lists it: remove it")
        return segment

    def publish(self, before: Manifest, digest: str, added: Sequence[tuple[int, Segment]]) -> tuple[Manifest, str]:
        """Write the manifest that follows `before` (whose hash is `digest`) with more segments. Raises Overtaken."""
        following = extended(before, digest, added)
        data = sealed(following)
        if not self.objects.create(_manifest_name(following.topic, following.number), data):
            raise Overtaken(f"manifest {following.number} of {following.topic} was written by another archiver")
        for outdated in self.manifests(following.topic)[:-KEPT_MANIFESTS]:
            self.objects.delete(outdated)
        return following, hashlib.sha256(data).hexdigest()

    def check_file(self, segment: Segment) -> bytes:
        """The file of a segment, which has the hash that its entry names."""
        try:
            data = self.objects.get(segment.name)
        except NoObject:
            raise Damaged(f"{segment.name} is missing in {self}") from None
        if hashlib.sha256(data).hexdigest() != segment.sha256:
            raise Damaged(f"{segment.name} is damaged: {len(data)} bytes whose hash is not the one in the manifest")
        return data

    def records(self, source: TopicPartition, segment: Segment, deep: bool = False, with_headers: bool = True) -> Records:
        """The records of a segment whose file has the hash that its entry names; `deep`: and whose records have the root,
        which is over their headers too."""
        data = self.check_file(segment)
        try:
            found = decoded(data, source, segment.first, segment.following, deep or with_headers)
        except Damaged as damage:
            raise Damaged(f"{segment.name}: {damage}") from None
        if len(found) != segment.records:
            raise Damaged(f"{segment.name}: holds {len(found)} records, the manifest says {segment.records}")
        if deep and root_of(found).hex() != segment.root:
            raise Damaged(f"{segment.name}: its records have not the Merkle root that the manifest names")
        return found

    def put_schema(self, schema_id: int, schema: Mapping[str, Any]) -> None:
        name, data = _schema_name(schema_id), json.dumps(schema, sort_keys=True).encode()
        if not self.objects.create(name, data) and json.loads(self.objects.get(name)) != schema:
            raise Damaged(f"{name} is there with another content than the registry's schema {schema_id}")

    def put_unknown_schema(self, schema_id: int) -> None:
        """Note that the registry had no such schema when a record that names it was archived."""
        self.objects.create(f"unknown-schemas/{schema_id}", b"")

    def unknown_schema_ids(self) -> set[int]:
        return {int(one.name.rpartition("/")[2]) for one in self.objects.list("unknown-schemas")}

    def schema(self, schema_id: int) -> dict[str, Any]:
        """Raises Damaged where it is missing or none."""
        name = _schema_name(schema_id)
        try:
            found: dict[str, Any] = json.loads(self.objects.get(name))
        except NoObject:
            raise Damaged(f"{name} is missing in {self}: the schema of records that are archived") from None
        except ValueError as error:
            raise Damaged(f"{name} is no schema: {error}") from None
        return found

    def schema_ids(self) -> set[int]:
        """Of the schemas that are archived."""
        return {int(one.name[len("schemas/") : -len(".json")]) for one in self.objects.list("schemas")}

    def put_mark(self, mark: Mark) -> bool:
        """False where a mark of this number is there."""
        return self.objects.create(_mark_name(mark.number), msgspec.json.encode(mark))

    def marks(self) -> list[Mark]:
        """All, the newest last."""
        found = []
        for one in self.objects.list("marks"):
            try:
                found.append(msgspec.json.decode(self.objects.get(one.name), type=Mark))
            except NoObject:  # outdated while it was looked for
                continue
            except msgspec.MsgspecError as error:
                raise Damaged(f"{one.name} is no mark: {error}") from None
        return found

    def drop_marks(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.objects.delete(_mark_name(number))

    def put_registry(self, export: bytes, content: str) -> str:
        """Store a registry's export, whose content (not its bytes, which hold the time) has the hash `content`."""
        name = f"registry/{content[:32]}.zip"
        self.objects.create(name, export)
        return name


def _checked(topic: str, name: str, data: bytes) -> Manifest:
    found = opened(data, name)
    if name != _manifest_name(found.topic, found.number) or found.topic != topic:
        raise Damaged(f"{name} holds manifest {found.number} of {found.topic}: it was moved")
    for fault in faults(found):
        raise Damaged(f"{name}: {fault}")
    return found


def _manifest_name(topic: str, number: int) -> str:
    return f"topics/{topic}/manifest/{number:08}.json"


def _schema_name(schema_id: int) -> str:
    return f"schemas/{schema_id}.json"


def _mark_name(number: int) -> str:
    return f"marks/{number:08}.json"
