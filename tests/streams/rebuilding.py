"""Rebuilds on memory stores, and stores that die."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from connectors.ports import LogReader
from schemas.log import TopicPartition
from streams.folding import fold_here
from streams.pieces import Size
from streams.promotion import Unwritten, promote
from streams.rebuild import Parts, build, rebuild, resumable
from streams.runner import Runner
from streams.versions import State, Version


def parts(projection: Any, store: Any, log: LogReader, make_runner: Callable[[int], Runner], piece: int = 3) -> Parts:
    """Pieces of a few records, and facts that are looked at whenever one is folded."""
    return Parts(projection, store, log, fold_here(log, make_runner, 0.05, Size(records=piece)), watch_seconds=0.0)


def renewed(
    projection: Any,
    store: Any,
    log: LogReader,
    make_runner: Callable[[int], Runner],
    facts: Mapping[str, str] | None = None,
) -> tuple[int, int]:
    """Rebuild and promote; returns (version, records)."""
    made_of = parts(projection, store, log, make_runner)
    made = rebuild(made_of, facts=facts)
    return promote(made_of, made).number, int(made.facts["records"])


class Killed(BaseException):
    """As kill -9: nobody catches it, and nothing is done after it."""


class Mortal:
    """A store whose process is killed at its n-th call (before or after what the call does), and stays dead."""

    def __init__(self, store: Any, calls: int, after: bool) -> None:
        self._store, self._left, self._after = store, calls, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        def counted(*arguments: Any) -> Any:
            if self._left <= 0:
                raise Killed
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            result = call(*arguments)
            if self._left == 0:
                raise Killed
            return result

        return counted


def bury(store: Any) -> None:
    """Let time pass after a kill: the builder's last sign is long ago."""
    for number in store.versions():
        if store.facts(number).get("state") == State.BUILDING:
            store.note(number, {"heartbeat": str(time.time() - 3600)})


def resumed(made_of: Parts, number: int | None = None) -> Version:
    version = resumable(made_of.projection, made_of.store, number)
    return build(made_of, version.number, lambda progress: None)


def silent(projection: Any, decoders: Any, limit: Any, letters: Any) -> Callable[[Mapping[TopicPartition, int]], Runner]:
    """Runners that only set bad records aside."""
    return lambda mark: Runner(projection, Unwritten(mark), decoders, limit, 0, dead_letters=letters)
