"""The registry's ids of the schemas that the ingress writes, also while the registry is away."""

import json
import logging
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from connectors.ports import Away, Latest, SchemaRegistry, Version
from schemas.contract import RecordType, Schema, Topic

log = logging.getLogger(__name__)


class SchemaRefused(Exception):
    """The registry does not take a schema (incompatible with the subject's earlier ones, or none)."""


class SchemaIds:
    """Registers schemas, and keeps the ids in a file: a schema whose id is known there can be written under it whether
    or not the registry answers. Ids are for ever, so the file can't be out of date; a registry that gives another id
    (a new one, in place of one that was lost) is believed."""

    def __init__(self, registry: SchemaRegistry, file: Path) -> None:
        self._registry, self._file = registry, file
        self._known: dict[str, int] = _read(file)
        self._schemas: dict[int, Schema] = {}

    def of(self, topic: Topic, record: RecordType) -> int:
        """The id of a record type on a topic.

        Raises:
            Away: the registry does not answer, and the file does not know the schema.
        """
        subject = topic.subject(record)
        name = f"{subject} {sha256(json.dumps(record.schema, sort_keys=True).encode()).hexdigest()}"
        try:
            found = self._registry.register(subject, record.schema)
        except Away:
            if name not in self._known:
                raise
            found = self._known[name]
            log.warning("the registry is away: going on with the known id of %s", subject)
        else:
            if self._known.get(name) != found:
                self._known[name] = found
                _write(self._file, self._known)
        self._schemas[found] = record.schema
        return found

    def register(self, subject: str, schema: Any) -> int:
        """The id of any schema under a subject, registered when it is new.

        Raises:
            Away: the registry does not answer.
            SchemaRefused: it does not take the schema.
        """
        return self._registry.register(subject, schema)

    def version(self, subject: str, number: int | Latest) -> Version:
        """A version of a subject.

        Raises:
            Away, UnknownSchema: as the port SchemaRegistry.
        """
        return self._registry.version(subject, number)

    def schema(self, schema_id: int) -> Schema:
        """The schema under an id.

        Raises:
            Away, UnknownSchema: as the port SchemaRegistry.
        """
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._registry.schema(schema_id)
        return self._schemas[schema_id]


def _read(file: Path) -> dict[str, int]:
    try:
        known: Any = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        log.warning("%s is not readable and is made anew: %s", file, error)
        return {}
    return {str(name): int(number) for name, number in known.items()} if isinstance(known, dict) else {}


def _write(file: Path, known: dict[str, int]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(known, indent=2), "utf-8")
    os.replace(partial, file)
