"""The states of a device's life and the steps between them: the state machine of the third source document (section 2.2),
exactly its twelve states and its transitions.

A device reports its own steps. Steps that a decision stands behind are the server's: it takes them with the event of
that decision, and `path` says that every one of them is a walk of legal steps.
"""

from collections import deque
from collections.abc import Mapping

from schemas.message_values import DeviceState

FIRST: DeviceState = "uninitialized"
"""The state of a device that nothing was heard of."""

TRANSITIONS: Mapping[DeviceState, frozenset[DeviceState]] = {
    "uninitialized": frozenset({"initializing"}),  # device startup
    "initializing": frozenset({"setup_mode", "error"}),  # fingerprint generated; hardware error
    "setup_mode": frozenset({"configuring", "setup_mode"}),  # user connects to the hotspot; waiting
    "configuring": frozenset({"connecting", "setup_mode"}),  # credentials received; cancelled
    "connecting": frozenset({"network_ready", "setup_mode"}),  # connected; failed
    "network_ready": frozenset({"claiming", "network_ready"}),  # claim code scanned; waiting
    "claiming": frozenset({"activating", "network_ready"}),  # claim successful; failed
    "activating": frozenset({"operational", "error"}),  # activation complete; failed
    "operational": frozenset({"operational", "reconnecting", "setup_mode", "updating"}),  # the third: manual reset
    "updating": frozenset({"operational"}),  # update applied
    "reconnecting": frozenset({"operational", "setup_mode"}),  # successful; failed
    "error": frozenset({"setup_mode"}),  # recovery; a critical error is the end of the device, which is no state
}

SERVERS: frozenset[tuple[DeviceState, DeviceState]] = frozenset({("claiming", "activating"), ("activating", "operational")})
"""Legal steps that no report brings about: a passed challenge and the first heartbeat with a certificate do."""

IN_SERVICE: frozenset[DeviceState] = frozenset({"operational", "updating", "reconnecting"})
"""States of a device that is registered and was not reset, by itself or by its owner."""


def legal(before: DeviceState, after: DeviceState) -> bool:
    """Whether the machine has this step."""
    return after in TRANSITIONS[before]


def reportable(before: DeviceState, after: DeviceState) -> bool:
    """Whether a device may take this step by saying so."""
    return legal(before, after) and (before, after) not in SERVERS


def path(before: DeviceState, after: DeviceState) -> tuple[DeviceState, ...]:
    """The shortest walk of legal steps, without `before` and with `after`; empty where they are the same.

    A device that is first heard of when it asks to be registered has gone from uninitialized to network_ready unheard.

    Raises:
        ValueError: there is none (nothing leads back to before setup_mode).
    """
    walks: deque[tuple[DeviceState, tuple[DeviceState, ...]]] = deque([(before, ())])
    seen = {before}
    while walks:
        state, walk = walks.popleft()
        if state == after:
            return walk
        for following in sorted(TRANSITIONS[state] - seen):
            seen.add(following)
            walks.append((following, (*walk, following)))
    raise ValueError(f"no steps lead from {before} to {after}")
