"""The channel file, read again when it changes."""

import logging
import time
from pathlib import Path

from connectors.notify.configuration import BadChannels, Channels, Variable, load

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0


class ChannelsFile:
    """The channels of a file that need not be there. While it can't be understood, those it held before count."""

    def __init__(self, file: Path, variable: Variable) -> None:
        """
        Raises:
            BadChannels: the message names the file, the channel and the field.
        """
        self._file, self._variable = file, variable
        self._seen = self._look()
        self._looked = time.monotonic()
        self._found = load(file, variable)

    def __call__(self) -> Channels:
        """As they were a second ago at most."""
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked = now
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                self._read()
        return self._found

    def _read(self) -> None:
        try:
            self._found = load(self._file, self._variable)
        except BadChannels as error:
            log.error("the channels stay as they were: %s", error)
        else:
            log.info("channels: %s", ", ".join(self._found.named) or "none")

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
