"""The chDB engine on one data directory: opening it, sessions, credentials, and a stop that waits for statements."""

import fcntl
import hmac
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.chserver.binding import load
from infra.chserver.errors import Code, EngineError, failure
from infra.chserver.session import Session

CONFIG = Path(__file__).with_name("config.xml")
_STATUS = "status"  # the file that ClickHouse locks in its data directory, with the process id in it

log = logging.getLogger(__name__)


class EngineUnavailable(Exception):
    """The engine cannot be opened on the directory; the message says why."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one user. An empty password lets everybody in who names that user."""

    user: str = "default"
    password: str = ""

    def check(self, user: str, password: str) -> None:
        """
        Raises:
            EngineError: AUTHENTICATION_FAILED.
        """
        right_user = hmac.compare_digest((user or self.user).encode("utf-8", "replace"), self.user.encode())
        right_password = hmac.compare_digest(password.encode("utf-8", "replace"), self.password.encode())
        if not (right_user and right_password):
            what = "Authentication failed: password is incorrect, or there is no user with such name"
            raise failure(Code.AUTHENTICATION_FAILED, f"{user or self.user}: {what}")


class Engine:
    """The engine of this process. There can be one, on one directory."""

    def __init__(self, path: Path, credentials: Credentials) -> None:
        """Open the data directory, making it if it is missing.

        Raises:
            EngineUnavailable: another process has the directory, it cannot be written, or its contents do not load.
            BindingError: chDB is not installed.
        """
        if "?" in str(path):
            raise EngineUnavailable(f"{path}: a data directory's name must not hold a question mark")
        self.credentials = credentials
        self._path = str(path)
        self._connect = load()
        self._running = 0
        self._stopping = False
        self._changed = threading.Condition()
        self._killing = threading.Lock()
        try:
            path.mkdir(parents=True, exist_ok=True)
            # Keeps the engine and its lock on the directory while the process lives.
            self._root = Session(self._connect(f"{self._path}?config-file={CONFIG}"), self._kill, self._path)
        except (RuntimeError, OSError) as error:
            raise EngineUnavailable(_why(path, error)) from error
        self.version, self.timezone = self._root.text("SELECT version(), timezone()").rstrip("\n").split("\t")

    @property
    def version_numbers(self) -> tuple[int, int, int]:
        major, minor, patch = (int(part) for part in self.version.split(".")[:3])
        return major, minor, patch

    def session(self) -> Session:
        """A new session; close it."""
        try:
            return Session(self._connect(self._path), self._kill, self._path)
        except RuntimeError as error:
            raise EngineError.of_engine(error) from error

    @contextmanager
    def statement(self) -> Iterator[None]:
        """While a statement runs; a stop waits for it.

        Raises:
            EngineError: ABORTED, the server is about to stop.
        """
        with self._changed:
            if self._stopping:
                raise failure(Code.ABORTED, "The server is shutting down")
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def stop(self, patience: float) -> bool:
        """Take no more statements, give those in hand `patience` seconds, then end them and close the engine.

        Returns:
            Whether all statements ended; if not the engine was left as it is, which loses nothing either.
        """
        with self._changed:
            self._stopping = True
            self._changed.wait_for(lambda: not self._running, patience)
        if self._running:
            log.warning("ending %d statements that did not end by themselves", self._running)
            with self._killing:
                self._root.run("KILL QUERY WHERE 1 ASYNC")
            with self._changed:
                self._changed.wait_for(lambda: not self._running, 1.0)
        if self._running:
            return False
        self._root.close()
        return True

    def _kill(self, thread: int) -> None:
        """Ask for the end of the statement that the thread with this system id is in. Does not wait for it."""
        with self._killing:  # the root session is for one thread at a time
            try:
                self._root.run(f"KILL QUERY WHERE has(thread_ids, {thread}) ASYNC")
            except EngineError as error:
                log.warning("a statement could not be ended: %s", error.text)


def _why(path: Path, error: Exception) -> str:
    """Why the directory cannot be opened, in words: chDB itself tells only its standard error output."""
    if isinstance(error, OSError):
        return f"cannot use the data directory {path}: {error.strerror or error}"
    owner = _owner(path / _STATUS)
    if owner is not None:
        return f"the data directory {path} is in use by another server ({owner})"
    return f"the engine cannot open the data directory {path}: {str(error).strip()}"


def _owner(status: Path) -> str | None:
    """Who holds the lock on a data directory's status file; None when nobody does."""
    for _ in range(10):  # a server that starts writes the file just after it has locked it
        try:
            with status.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return None
                except BlockingIOError:
                    text = file.read(1000).decode("utf-8", "replace")
        except FileNotFoundError:
            return None
        if text.strip():
            return ", ".join(line for line in text.splitlines() if line.startswith(("PID", "Started")))
        time.sleep(0.05)
    return f"lock on {os.fspath(status)}"
