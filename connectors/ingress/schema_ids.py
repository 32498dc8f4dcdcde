"""The registry's ids of the schemas that the ingress writes, also while the registry is away."""

import json
import logging
import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

from connectors.ingress.known_schemas import KnownSchemas
from connectors.ports import Away, Latest, SchemaRegistry, UnknownSchema, Version
from connectors.remembered import Remembered
from schemas.contract import RecordType, Schema, Topic

log = logging.getLogger(__name__)

REMEMBERED, REMEMBERED_CHARACTERS = 10_000, 16_000_000  # schemas by id, and their texts


class SchemaRefused(Exception):
    """The registry does not take a schema (incompatible with the subject's earlier ones, or none)."""


class SchemaIds:
    """Registers schemas and looks them up, and keeps what it learns in files: what is known there can be written and read
    whether or not the registry answers, and whether or not it still has it. Ids are for ever, so the files can't be out of
    date; a registry that gives another id (a new one, in place of one that was lost) is believed.

    The contract's schemas have a file of their own, `file`: schemas that clients give, however many, don't push them out.
    """

    def __init__(self, registry: SchemaRegistry, file: Path) -> None:
        self._registry, self._lock = registry, threading.Lock()
        self._own, self._given = KnownSchemas(file), KnownSchemas(file.with_stem(f"{file.stem}-given"))
        self._schemas: Remembered[int, Schema] = Remembered(REMEMBERED, REMEMBERED_CHARACTERS)

    def of(self, topic: Topic, record: RecordType) -> int:
        """The id of a record type on a topic.

        Raises:
            Away, SchemaRefused: as `register`.
        """
        found = self._registered(topic.subject(record), record.schema, self._own)
        self._remember(found, record.schema)
        return found

    def register(self, subject: str, schema: Any) -> int:
        """The id of any schema under a subject, registered when it is new.

        Raises:
            Away: the registry does not answer, and the file does not know the schema.
            SchemaRefused: it does not take the schema, and the file does not know it either.
        """
        return self._registered(subject, schema, self._given)

    def _registered(self, subject: str, schema: Any, known: KnownSchemas) -> int:
        name = f"{subject} {sha256(json.dumps(schema, sort_keys=True).encode()).hexdigest()}"
        try:
            found = self._registry.register(subject, schema)
        except (Away, SchemaRefused) as fault:
            kept = known.id_of(name)
            if kept is None:
                raise
            log.warning("going on with the known id %d of %s: %s", kept, subject, fault)
            return kept
        known.keep(name, found, schema)
        return found

    def version(self, subject: str, number: int | Latest) -> Version:
        """A version of a subject.

        Raises:
            Away, UnknownSchema: as the port SchemaRegistry.
        """
        return self._registry.version(subject, number)

    def schema(self, schema_id: int) -> Schema:
        """The schema under an id.

        Raises:
            Away: the registry does not answer, and the file does not know the schema.
            UnknownSchema: neither has the schema.
        """
        with self._lock:
            known = self._schemas.get(schema_id)
        if known is None:
            known = self._found(schema_id)
            self._remember(schema_id, known)
        return known

    def _remember(self, schema_id: int, schema: Schema) -> None:
        with self._lock:
            self._schemas.add(schema_id, schema, len(json.dumps(schema)))

    def _found(self, schema_id: int) -> Schema:
        try:
            found = self._registry.schema(schema_id)
        except (Away, UnknownSchema) as fault:
            kept = self._given.schema_of(schema_id) or self._own.schema_of(schema_id)
            if kept is None:
                raise
            log.warning("going on with the known schema %d: %s", schema_id, fault)
            return kept
        self._given.keep(None, schema_id, found)
        return found
