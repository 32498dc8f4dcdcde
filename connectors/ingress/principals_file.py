"""The file of principals, read again when it changes: a key that is taken out opens nothing a second later."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from connectors.ingress.access import BadPrincipals, Principal, principals

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_Version = tuple[int, int, int]  # changed at, size, inode


class PrincipalsFile:
    """The principals of a file that need not be there. While it can't be understood, those it held before count."""

    def __init__(self, file: Path) -> None:
        """
        Raises:
            BadPrincipals: the message names the file and the place.
        """
        self._file = file
        self._found: Mapping[str, Principal] = {}
        self._version: _Version | None = None
        self._looked = time.monotonic()
        self._read()

    def __call__(self) -> Mapping[str, Principal]:
        """By the digest of their key, as they were a second ago at most."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            try:
                self._read()
            except BadPrincipals as error:
                log.error("the principals stay as they were: %s", error)
        return self._found

    def _read(self) -> None:
        version = self._look()
        if version == self._version:
            return
        self._version = version
        if version is None:
            self._found = {}
            return
        try:
            self._found = principals(self._file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise BadPrincipals(f"{self._file} {error}") from None

    def _look(self) -> _Version | None:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
