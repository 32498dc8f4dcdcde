"""The tests' decider on a log in memory."""

from streams.aggregate_decider import aggregate_decider
from streams.aggregates import Aggregates
from tests.streams.decider_harness import Harness, Running
from tests.streams.toy import COMMANDS, EVENTS, PARTITIONS, Account, Accounts, codecs


def harness() -> Harness:
    made = Harness(codecs(), {COMMANDS: PARTITIONS, EVENTS: PARTITIONS})
    made.add(aggregate_decider(Accounts(), made.log, made.codecs[EVENTS]))
    return made


def accounts(running: Running) -> dict[str, Account]:
    """The states of all partitions."""
    found: dict[str, Account] = {}
    for stand in running.runner._stands.values():
        assert isinstance(stand.machine, Aggregates)
        found.update(stand.machine.states)
    return found
