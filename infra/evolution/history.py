"""How a record type came to be what it is: its released versions, or a subject's versions in a registry, in their order
(neither knows the day), with what changed each time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.evolution.registered import Registry
from schemas.contract import Contract, RecordType, Schema
from schemas.differences import Difference, canonical_fingerprint, differences
from schemas.released import versions


@dataclass(frozen=True, slots=True)
class Entry:
    """`ids`: subject -> (version, id) there."""

    version: int
    released: bool
    fingerprint: str
    changes: tuple[Difference, ...]
    ids: Mapping[str, tuple[int, int]]

    def as_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "released": self.released,
            "fingerprint": self.fingerprint,
            "changes": [change._asdict() for change in self.changes],
            "registry": {subject: {"version": at[0], "id": at[1]} for subject, at in self.ids.items()},
        }


def of_record(contract: Contract, root: Any, record: RecordType, registry: Registry | None) -> list[Entry]:
    """The released versions, and the present schema where it differs. Raises ContractError, Away, RegistryRefusal."""
    written: dict[int, Schema] = dict(versions(root, record.name))
    released = len(written)
    if written.get(released) != record.schema:
        written[released + 1] = record.schema
    subjects = [topic.subject(record) for topic in contract.topics.values() if record in topic.records]
    made, before = [], None
    for version, schema in written.items():
        ids = {}
        for subject in subjects if registry is not None else ():
            found = registry.find(subject, schema) if registry is not None else None
            if found is not None:
                ids[subject] = found.number, found.schema_id
        made.append(_entry(version, version <= released, schema, before, ids))
        before = schema
    return made


def of_subject(registry: Registry, subject: str) -> list[Entry]:
    """The versions of a subject; none where there is no such subject. Raises Away, RegistryRefusal."""
    made, before = [], None
    for number in registry.versions(subject):
        found = registry.version(subject, number)
        made.append(_entry(number, True, found.schema, before, {subject: (number, found.schema_id)}))
        before = found.schema
    return made


def _entry(version: int, released: bool, schema: Schema, before: Schema | None, ids: Mapping[str, tuple[int, int]]) -> Entry:
    comparable = before is not None and "fields" in before and "fields" in schema
    changes = differences(schema, before) if before is not None and comparable else []
    return Entry(version, released, canonical_fingerprint(schema), tuple(changes), ids)
