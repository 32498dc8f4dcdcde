"""Sessions of the HTTP interface: a statement has one of its own, unless it names one to share with others."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from infra.chserver.engine import Engine
from infra.chserver.errors import Code, failure
from infra.chserver.http_body import BadRequest
from infra.chserver.session import Session

_DEFAULT_SECONDS, _MOST_SECONDS = 60, 3600
_MOST_SESSIONS = 256


@dataclass(slots=True)
class _Named:
    session: Session
    until: float = 0.0  # on the monotonic clock
    in_use: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """Named sessions end some time after their last statement (`session_timeout`, seconds)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._named: dict[str, _Named] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, params: Mapping[str, str]) -> Iterator[Session]:
        """The session for a statement with these parameters.

        Raises:
            EngineError: SESSION_IS_LOCKED, another statement is using it; SESSION_NOT_FOUND, `session_check=1` and there
                is none; TOO_MANY_SIMULTANEOUS_QUERIES, there are too many.
            BadRequest: `session_timeout` is not a number of seconds.
        """
        name = params.get("session_id", "")
        if not name:
            session = self._engine.session()
            try:
                yield session
            finally:
                session.close()
            return
        seconds = _seconds(params.get("session_timeout", str(_DEFAULT_SECONDS)))
        named = self._take(name, must_exist=params.get("session_check") == "1")
        try:
            yield named.session
        finally:
            named.until = time.monotonic() + seconds
            named.in_use.release()

    def _take(self, name: str, must_exist: bool) -> _Named:
        with self._lock:
            self._end_old()
            named = self._named.get(name)
            if named is None:
                if must_exist:
                    raise failure(Code.SESSION_NOT_FOUND, f"Session {name} not found")
                if len(self._named) >= _MOST_SESSIONS:
                    raise failure(Code.TOO_MANY_SIMULTANEOUS_QUERIES, f"There are {_MOST_SESSIONS} sessions already")
                named = self._named[name] = _Named(self._engine.session())
            if not named.in_use.acquire(blocking=False):
                raise failure(Code.SESSION_IS_LOCKED, f"Session {name} is locked by a concurrent client")
            return named

    def _end_old(self) -> None:
        now = time.monotonic()
        old = [name for name, named in self._named.items() if named.until < now and not named.in_use.locked()]
        for name in old:
            self._named.pop(name).session.close()


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 6 or int(text) > _MOST_SECONDS:
        raise BadRequest(f"session_timeout is {text!r}, which is not a number of seconds up to {_MOST_SECONDS}")
    return int(text)
