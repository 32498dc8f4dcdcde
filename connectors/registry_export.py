"""The export of an Apicurio Registry: all it holds, with all ids, as a zip file that an empty one takes in again."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from http import HTTPStatus

import httpx

from connectors.ports import Away

_PATH = "/apis/registry/v3/admin"
SECONDS = 60.0


class NotImported(Exception):
    """The registry refuses an export; the message says what it answers."""


class RegistryExports:
    """Of the registry behind the front (`url`: its own address, not the front's)."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        self._url, self._seconds = url.rstrip("/"), seconds

    def export(self) -> tuple[bytes, str]:
        """The export and the hash of what is in it. Raises Away."""
        made = self._answered(lambda: httpx.get(f"{self._url}{_PATH}/export", timeout=self._seconds))
        if made.status_code != HTTPStatus.OK:
            raise Away(f"the registry at {self._url} answers {made.status_code} when asked for its export")
        return made.content, content_hash(made.content)

    def restore(self, export: bytes) -> None:
        """Take an export in. Raises Away, NotImported."""
        given = {"Content-Type": "application/zip"}
        done = self._answered(
            lambda: httpx.post(f"{self._url}{_PATH}/import", content=export, headers=given, timeout=self._seconds)
        )
        if not done.is_success:
            raise NotImported(f"the registry at {self._url} answers {done.status_code}: {done.text[:300]}")

    def _answered(self, call: Callable[[], httpx.Response]) -> httpx.Response:
        try:
            return call()
        except httpx.TransportError as error:
            raise Away(f"the registry at {self._url} does not answer: {error or type(error).__name__}") from error


def content_hash(export: bytes) -> str:
    """A hash of an export's files, whatever their order; the one that holds the time of the export does not count."""
    with zipfile.ZipFile(io.BytesIO(export)) as files:
        parts = [
            name.encode() + b"\0" + hashlib.sha256(files.read(name)).digest()
            for name in sorted(files.namelist())
            if not name.endswith(".Manifest.json")
        ]
    return hashlib.sha256(b"".join(parts)).hexdigest()
