"""The life of a view's versions: what their states are, and where that is written down.

A version says of itself, in its facts (`ViewStore.facts`), how far it came:

    building -> ready -> live -> retired          the way of a version that replaces another
    building <-> paused, failed                   stopped half-way; `resume` goes on at its own positions
    building -> cancelled                         stopped for good, waits to be dropped

Which version is live, the store's pointer says and nothing else: a fact can't move together with it. So the state that
is shown is the fact's only for versions that are not live, and one that says it is live without being so is retired.
"""

import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from connectors.ports import ViewStore

# Versions from here on are scratch (streams.verify and others), never a view's.
SCRATCH = 1_000_000

# A builder that gave no sign for so many seconds is taken for dead: it gives one every HEARTBEAT.
HEARTBEAT = 1.0
DEAD_AFTER = 30.0


class State(StrEnum):
    """Where a version is in its life."""

    BUILDING = "building"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    READY = "ready"
    LIVE = "live"
    RETIRED = "retired"
    FAILED = "failed"


UNFINISHED = frozenset({State.BUILDING, State.PAUSED})
RESUMABLE = frozenset({State.BUILDING, State.PAUSED, State.FAILED})
SPENT = frozenset({State.RETIRED, State.CANCELLED, State.FAILED})
"""States of versions that the next promotion may clear away."""


class Refused(ValueError):
    """What was asked can't be done as things are; the message says why. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a view and its facts. Facts that this module and streams.rebuild write:

    `state`; `wanted` (paused or cancelled: what its builder is asked to become); `revision` of the projection and `code`
    (version of the program) that made it; `started`, `heartbeat`, `promoted` (seconds since 1970); `builder` (HOST PID
    and a random part); `records`, `total`, `rate` of the building; `reason` of a failure; `previous` (the version that it
    took the place of); `verified` (JSON, written by verify).
    """

    number: int
    state: State
    facts: Mapping[str, str]

    def seconds_silent(self, now: float) -> float:
        """How long ago its builder last gave a sign."""
        return max(0.0, now - float(self.facts.get("heartbeat", "0")))

    def being_built(self, now: float) -> bool:
        """Whether a process is at work on it, as far as its signs tell."""
        alive = self.state is State.BUILDING and self.seconds_silent(now) < DEAD_AFTER
        return alive and not _dead(self.facts.get("builder", ""))


def _dead(builder: str) -> bool:
    """Whether a builder was a process of this host that is no more."""
    host, _, rest = builder.partition(" ")
    pid = rest.partition(" ")[0]
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def versions_of(store: ViewStore) -> list[Version]:
    """The view's versions, ascending, scratch left out. The live one is among them even while it holds nothing."""
    live = store.live()
    numbers = sorted({live, *(number for number in store.versions() if number < SCRATCH)})
    return [_version(store, number, live) for number in numbers]


def version_of(store: ViewStore, number: int) -> Version:
    """
    Raises:
        Refused: there is no such version.
    """
    for version in versions_of(store):
        if version.number == number:
            return version
    raise Refused(f"there is no version {number}; there are {listed(versions_of(store))}")


def listed(versions: Iterable[Version]) -> str:
    """Versions with their states, for a message."""
    return ", ".join(f"{version.number} ({version.state})" for version in versions) or "none"


def _version(store: ViewStore, number: int, live: int) -> Version:
    facts = store.facts(number)
    if number == live:
        return Version(number, State.LIVE, facts)
    state = State(facts.get("state", State.RETIRED))  # one of before there were facts was live once
    return Version(number, State.RETIRED if state is State.LIVE else state, facts)


def newest_unfinished(store: ViewStore) -> int:
    """The version that a pause or a cancel without a number means.

    Raises:
        Refused: none is unfinished.
    """
    versions = versions_of(store)
    unfinished = [version.number for version in versions if version.state in RESUMABLE]
    if not unfinished:
        raise Refused(f"no version is unfinished; there are {listed(versions)}")
    return unfinished[-1]


def ask(store: ViewStore, number: int, wanted: State) -> State:
    """Ask the process that builds a version to pause or cancel it; it does so at its next batch. A version that no process
    works on is changed here and now. Returns the version's state after this call.

    Raises:
        Refused: the version is in no state in which it could become so.
    """
    version = version_of(store, number)
    allowed = RESUMABLE if wanted is State.CANCELLED else UNFINISHED
    if version.state not in allowed:
        raise Refused(f"version {number} is {version.state}: there is nothing to be {wanted}")
    if version.being_built(time.time()):
        store.note(number, {"wanted": wanted})
        return version.state
    store.note(number, {"state": wanted, "wanted": None})
    return wanted


def drop(store: ViewStore, number: int) -> None:
    """Remove a version and all it holds.

    Raises:
        Refused: there is none, it is the live one, or a process is building it.
    """
    version = version_of(store, number)
    if version.state is State.LIVE:
        raise Refused(f"version {number} is live")
    if version.being_built(time.time()):
        raise Refused(f"version {number} is being built (by {version.facts.get('builder', 'unknown')}): cancel it first")
    store.drop(number)
