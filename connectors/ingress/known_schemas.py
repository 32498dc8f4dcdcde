"""The schemas and ids that an ingress has used, kept in a file for when the registry is away or has lost them."""

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from schemas.contract import Schema

log = logging.getLogger(__name__)

MOST = 1_000  # ids, and schemas: the newest are kept
MOST_BYTES = 8_000_000  # of all schemas' texts together: the file is written whole when a schema is new
LARGEST = 1_000_000  # bytes of a schema that is kept


class KnownSchemas:
    """Ids by name (a subject and a schema's digest), and schemas by id. Safe to use from any thread."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        kept = _read(file)
        self._ids: dict[str, int] = kept["ids"]
        self._schemas: dict[str, Schema] = kept["schemas"]
        self._sizes = {key: len(json.dumps(schema)) for key, schema in self._schemas.items()}

    def id_of(self, name: str) -> int | None:
        with self._lock:
            return self._ids.get(name)

    def schema_of(self, schema_id: int) -> Schema | None:
        with self._lock:
            return self._schemas.get(str(schema_id))

    def keep(self, name: str | None, schema_id: int, schema: Schema) -> None:
        """Remember a schema under its id and, if it has one, its name. The newest word counts."""
        with self._lock:
            changed = name is not None and self._ids.get(name) != schema_id
            if name is not None and changed:
                self._ids.pop(name, None)
                self._ids[name] = schema_id
                if len(self._ids) > MOST:
                    del self._ids[next(iter(self._ids))]
            if self._schemas.get(str(schema_id)) != schema and len(json.dumps(schema)) <= LARGEST:
                self._put(str(schema_id), schema)
                changed = True
            if changed:
                _write(self._file, {"ids": self._ids, "schemas": self._schemas})

    def _put(self, key: str, schema: Schema) -> None:
        self._schemas.pop(key, None)
        self._schemas[key] = schema
        self._sizes[key] = len(json.dumps(schema))
        while len(self._schemas) > MOST or sum(self._sizes.values()) > MOST_BYTES:
            oldest = next(iter(self._schemas))
            del self._schemas[oldest], self._sizes[oldest]


def _read(file: Path) -> dict[str, Any]:
    nothing: dict[str, Any] = {"ids": {}, "schemas": {}}
    try:
        kept: Any = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return nothing
    except ValueError as error:
        log.warning("%s is not readable and is made anew: %s", file, error)
        return nothing
    if not isinstance(kept, dict):
        return nothing
    if "ids" not in kept:  # as written before schemas were kept, too
        kept = {"ids": kept, "schemas": {}}
    ids = {str(name): int(number) for name, number in kept["ids"].items()}
    return {"ids": ids, "schemas": {str(number): schema for number, schema in kept.get("schemas", {}).items()}}


def _write(file: Path, kept: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(kept), "utf-8")
    os.replace(partial, file)
