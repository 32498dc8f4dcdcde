"""A Confluent-compatible schema registry over HTTP (port SchemaRegistry).

Source: Confluent Schema Registry's API reference; tried with Apicurio Registry 3.3's ccompat v7 API.
"""

import json
import threading
import time
from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from connectors.ports import Away, Latest, UnknownSchema, Version
from connectors.remembered import Remembered

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
SCHEMA_NOT_FOUND, SUBJECT_NOT_FOUND, NO_LEVEL_OF_ITS_OWN = 40403, 40401, 40408
VERSION_NOT_FOUND, INVALID_VERSION = 40402, 42202
SPARED_SECONDS = 10.0  # a registry that did not answer is not asked for a latest version that is known for so long
KEPT, KEPT_CHARACTERS = 10_000, 16_000_000  # of ids, schemas, versions each; and of their texts
_WAIT = frozenset((HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT))  # besides every 5xx


class RegistryRefusal(Exception):
    """The registry answers, and says no; waiting does not help. `code` is its error code, or the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code


class ConfluentRegistry:
    """A registry at a base URL. Ids and schemas never change, so both are kept as long as there is room. Safe to use from
    any thread.

    It does not try again: a call that raises Away may be repeated by whoever made it.
    """

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        """`timeout` in seconds, for each of connecting, sending and each read."""
        self._url = url.rstrip("/")
        headers = {"Accept": MEDIA_TYPE, "Content-Type": MEDIA_TYPE}
        # Without TLS there is nobody to verify, and the machine's authorities need not be read, which takes 50 ms.
        # Redirects, which might lead to TLS, are not followed.
        self._client = httpx.Client(timeout=timeout, headers=headers, verify=not self._url.startswith("http://"))
        self._lock = threading.Lock()
        self._ids: Remembered[tuple[str, bytes], int] = Remembered(KEPT, KEPT_CHARACTERS)
        self._schemas: Remembered[int, dict[str, Any]] = Remembered(KEPT, KEPT_CHARACTERS)
        self._versions: Remembered[tuple[str, int], Version] = Remembered(KEPT, KEPT_CHARACTERS)
        # With the time before which it is not asked for again.
        self._latest: Remembered[str, tuple[Version, float]] = Remembered(KEPT, KEPT_CHARACTERS)
        self._newest: int | None = None  # id seen

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        """The id of `schema` under `subject`, registered when it is new; cached.

        Raises:
            Away: the registry does not answer, and the id is not cached.
            RegistryRefusal: it refuses the schema (409: incompatible with the subject's earlier ones; 422: no schema).
        """
        text = json.dumps(schema, sort_keys=True)
        name = subject, blake2b(text.encode(), digest_size=16).digest()
        with self._lock:
            known = self._ids.get(name)
        if known is not None:
            return known
        answer = self._call("POST", f"subjects/{_segment(subject)}/versions", {"schema": text, "schemaType": "AVRO"})
        found = int(answer["id"])
        with self._lock:
            self._ids.add(name, found, len(subject))
            self._newest = max(found, self._newest or found)
        return found

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema under an id; cached. The answer belongs to the cache: not to be changed.

        A registry that has just started may answer before it has read its storage, and then knows no schema (seen with
        Apicurio). So "not found" is believed only when, in between two such answers, it knew another schema.

        Raises:
            UnknownSchema: the registry answers that there is none, or that it is no Avro schema.
            Away: it does not answer, or has lost its schemas, and the schema is not cached.
            RegistryRefusal: what answers is no schema registry.
        """
        with self._lock:
            known = self._schemas.get(schema_id)
        if known is not None:
            return known
        answer = self._find(schema_id)
        if answer is None:
            self._demand_schemas()
            answer = self._find(schema_id)
        if answer is None:
            raise UnknownSchema(f"the registry has no schema {schema_id}")
        schema = _avro(answer, schema_id)
        with self._lock:
            self._keep(schema_id, schema)
        return schema

    def version(self, subject: str, number: int | Latest) -> Version:
        """A version of a subject, as the port says. A latest one is asked for each time, while the registry answers.

        Raises:
            UnknownSchema: the registry answers that there is none, or that it is no Avro schema.
            Away: it does not answer, and has not told of it before.
            RegistryRefusal: what answers is no schema registry.
        """
        with self._lock:
            if isinstance(number, int):
                known, spared = self._versions.get((subject, number)), float("inf")
            else:
                known, spared = self._latest.get(subject) or (None, 0.0)
        if known is not None and time.monotonic() < spared:
            return known
        try:
            found = self._find_version(subject, number)
        except Away:
            if known is None:
                raise
            found, spared = known, time.monotonic() + SPARED_SECONDS
        with self._lock:
            size = self._keep(found.schema_id, dict(found.schema)) + len(subject)
            self._versions.add((subject, found.number), found, size)
            if number == "latest":
                self._latest.add(subject, (found, spared), size)
        return found

    def _keep(self, schema_id: int, schema: dict[str, Any]) -> int:
        """Returns the size of the schema."""
        size = len(json.dumps(schema))
        self._schemas.add(schema_id, schema, size)
        self._newest = max(schema_id, self._newest or schema_id)
        return size

    def _find_version(self, subject: str, number: int | Latest) -> Version:
        path = f"subjects/{_segment(subject)}/versions/{number}"
        for again in (False, True):
            try:
                answer = self._call("GET", path)
            except RegistryRefusal as refusal:
                if refusal.code not in (SUBJECT_NOT_FOUND, VERSION_NOT_FOUND, INVALID_VERSION):
                    raise
                if not again:
                    self._demand_schemas()
            else:
                return Version(int(answer["version"]), int(answer["id"]), _avro(answer, int(answer["id"])))
        raise UnknownSchema(f"the registry has no version {number} of the subject {subject}")

    def _find(self, schema_id: int) -> Any:
        """What the registry answers for an id; None if that it has none."""
        try:
            return self._call("GET", f"schemas/ids/{schema_id}")
        except RegistryRefusal as refusal:
            if refusal.code == SCHEMA_NOT_FOUND:
                return None
            raise

    def _demand_schemas(self) -> None:
        """Raise Away unless the registry knows the newest schema seen here, or (before the first) any subject."""
        with self._lock:
            newest = self._newest
        found = self._call("GET", "subjects") if newest is None else self._find(newest)
        if not found:
            raise Away(f"the schema registry at {self._url} has not read its schemas yet, or has lost them")

    def compatibility(self, subject: str) -> str | None:
        """The compatibility level set on a subject itself; None where none is set. Raises Away, RegistryRefusal."""
        try:
            answer = self._call("GET", f"config/{_segment(subject)}")
        except RegistryRefusal as refusal:
            if refusal.code in (NO_LEVEL_OF_ITS_OWN, SUBJECT_NOT_FOUND):
                return None
            raise
        return str(answer["compatibilityLevel"])

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the compatibility level of a subject that exists. Raises Away, RegistryRefusal."""
        self._call("PUT", f"config/{_segment(subject)}", {"compatibility": level})

    def effective_compatibility(self, subject: str) -> str:
        """The compatibility level that holds for a subject: its own, else the registry's. Raises Away, RegistryRefusal."""
        own = self.compatibility(subject)
        return str(self._call("GET", "config")["compatibilityLevel"]) if own is None else own

    def find(self, subject: str, schema: Mapping[str, Any]) -> Version | None:
        """The version of a subject that is `schema`; None if there is none. Raises Away, RegistryRefusal."""
        text = json.dumps(schema, sort_keys=True)
        try:
            answer = self._call("POST", f"subjects/{_segment(subject)}", {"schema": text, "schemaType": "AVRO"})
        except RegistryRefusal as refusal:
            if refusal.code in (SUBJECT_NOT_FOUND, SCHEMA_NOT_FOUND):
                return None
            raise
        return Version(int(answer["version"]), int(answer["id"]), dict(schema))

    def incompatible(self, subject: str, schema: Mapping[str, Any]) -> list[str]:
        """Why the registry would refuse `schema` as the next version of a subject that exists; empty if it would not.

        Raises:
            Away: it does not answer.
            RegistryRefusal: it can't say, as `schema` is none.
        """
        text = json.dumps(schema, sort_keys=True)
        path = f"compatibility/subjects/{_segment(subject)}/versions?verbose=true"
        answer = self._call("POST", path, {"schema": text, "schemaType": "AVRO"})
        if answer["is_compatible"]:
            return []
        return [str(message) for message in answer.get("messages") or ()] or ["the registry finds it incompatible"]

    def versions(self, subject: str) -> list[int]:
        """The versions of a subject, ascending; none where it does not exist. Raises Away, RegistryRefusal."""
        try:
            answer: Any = self._call("GET", f"subjects/{_segment(subject)}/versions")
        except RegistryRefusal as refusal:
            if refusal.code == SUBJECT_NOT_FOUND:
                return []
            raise
        return sorted(int(version) for version in answer)

    def close(self) -> None:
        self._client.close()

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        url = f"{self._url}/{path}"
        content = None if body is None else json.dumps(body)
        try:
            response = self._client.request(method, url, content=content)
        except httpx.InvalidURL as error:
            raise RegistryRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, f"no registry has such a name: {error}") from None
        except httpx.TransportError as error:
            raise Away(f"the schema registry at {self._url} does not answer: {error or type(error).__name__}") from error
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or response.status_code in _WAIT:
            raise Away(f"the schema registry at {self._url} answers {response.status_code}")
        try:
            answer = response.json()
        except ValueError:
            raise RegistryRefusal(response.status_code, f"{url} answers no JSON: is it a schema registry?") from None
        if response.is_success:
            return answer
        raise RegistryRefusal(int(answer.get("error_code", response.status_code)), str(answer.get("message", answer)))


def _avro(answer: Any, schema_id: int) -> dict[str, Any]:
    """The schema of an answer; raises UnknownSchema if it is not Avro's."""
    kind = answer.get("schemaType", "AVRO")
    if kind != "AVRO":
        raise UnknownSchema(f"schema {schema_id} is of the type {kind}, not an Avro schema")
    found = json.loads(answer["schema"])
    return found if isinstance(found, dict) else {"type": found}


def _segment(subject: str) -> str:
    return quote(subject, safe="")
