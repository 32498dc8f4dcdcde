"""Released versions of the schemas: released/<Record>/<n>.avsc, never changed. Records in the log were written under
them, so every later schema must read what they wrote."""

import json
from collections.abc import Mapping
from pathlib import Path

from schemas.codec import BadSchema, named
from schemas.compatibility import Incompatibility, incompatibilities, tightenings
from schemas.contract import ContractError, RecordType, Schema

RULES: dict[str, tuple[bool, bool]] = {  # level: (new reads old, old reads new); Confluent's names
    "NONE": (False, False),
    "BACKWARD": (True, False),
    "BACKWARD_TRANSITIVE": (True, False),
    "FORWARD": (False, True),
    "FORWARD_TRANSITIVE": (False, True),
    "FULL": (True, True),
    "FULL_TRANSITIVE": (True, True),
}


def versions(root: Path, record: str) -> dict[int, Schema]:
    """The released schemas of a record type by version, ascending.

    Raises:
        ContractError: a file's name is no number, numbers are missing, or a file is no JSON.
    """
    found: dict[int, Schema] = {}
    for path in (root / "released" / record).glob("*.avsc"):
        if not path.stem.isdecimal():
            raise ContractError(f"{path}: the name is to be the version's number")
        try:
            found[int(path.stem)] = json.loads(path.read_text("utf-8"))
        except json.JSONDecodeError as error:
            raise ContractError(f"{path}:{error.lineno}: {error.msg}") from None
    if sorted(found) != list(range(1, len(found) + 1)):
        raise ContractError(f"{root / 'released' / record}: versions are {sorted(found)}, not 1 to {len(found)}")
    return dict(sorted(found.items()))


def problems(record: RecordType, released: Mapping[int, Schema], level: str) -> list[tuple[int, Incompatibility]]:
    """(version, fault) for each way in which the record type breaks a compatibility level.

    A level that is not transitive looks at the newest version only. Beyond Avro a changed logical type is a fault, and a
    bound that records of the one side may lie outside of on the other.

    Raises:
        BadSchema: a schema is none.
    """
    backward, forward = RULES[level]
    looked_at = released if level.endswith("_TRANSITIVE") else dict(list(released.items())[-1:])
    found: list[tuple[int, Incompatibility]] = []
    for version, schema in looked_at.items():
        if backward:
            found += [(version, fault) for fault in unreadable(record.schema, schema)]
        if forward:
            for path, message in unreadable(schema, record.schema):
                found.append((version, Incompatibility(path, f"readers of version {version}: {message}")))
    return found


def unreadable(reader: Schema, writer: Schema) -> list[Incompatibility]:
    """Why records written under `writer` can't all be read, within the contract, under `reader`. Raises BadSchema."""
    return [*incompatibilities(named(reader), named(writer)), *tightenings(reader, writer)]


def next_version(root: Path, record: RecordType, level: str) -> int | None:
    """The version that the current schema would be released as; None when the newest is the same already.

    Raises:
        ContractError: it is incompatible with what was released.
    """
    released = versions(root, record.name)
    if released and released[len(released)] == record.schema:
        return None
    try:
        faults = problems(record, released, level)
    except BadSchema as error:
        raise ContractError(f"{record.name}: {error}") from None
    if faults:
        lines = [f"{record.name}: against version {version}: {fault.path}: {fault.message}" for version, fault in faults]
        raise ContractError("\n".join(lines))
    return len(released) + 1


def write_version(root: Path, record: RecordType, version: int) -> Path:
    """Keep the current schema as a released version.

    Raises:
        FileExistsError: there is such a version; it is never changed.
    """
    path = root / "released" / record.name / f"{version}.avsc"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(json.dumps(record.schema, indent=2, ensure_ascii=False) + "\n")
    return path
