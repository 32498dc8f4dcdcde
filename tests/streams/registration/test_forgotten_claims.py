"""Claims that ended long ago count as none, at a time that the commands tell, and are let go; whoever forgot sooner or later
decides the same."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.messages import Event
from schemas.registration_events import CommandRefused
from streams.aggregates import Aggregates
from streams.machine import Keyed
from streams.registration.definition import ENDED_CLAIM_MICROSECONDS, REGISTRATION
from streams.registration.state import State
from tests.streams.registration.actors import Actor, World, claim

HOUR = 3_600_000_000
LIFE = 300_000_000  # of a claim of these tests, in microseconds


def machine() -> Aggregates[State]:
    def recall(first: int, last: int) -> list[Event]:
        raise AssertionError("nothing comes again here")

    return Aggregates(REGISTRATION, recall)


def played(commands: list[Keyed], forgetting: set[int]) -> tuple[list[Event], Aggregates[State]]:
    """The events of commands, each decided by itself; before some, the machine is made anew from its snapshot."""
    running, events = machine(), list[Event]()
    for number, command in enumerate(commands):
        if number in forgetting:
            data, running = running.snapshot(), machine()
            running.restore(data)
        records = running.work([command])
        made = [record.message for record in records]
        running.keep([len(events) + place for place in range(len(made))])
        events += [message for message in made if isinstance(message, Event)]
    return events, running


def code(event: Event) -> str:
    assert isinstance(event, CommandRefused)
    return event.code


def test_a_claim_that_ended_is_told_of_for_a_day_and_then_there_is_none() -> None:
    world = World()
    name = claim(world)
    device = Actor(world)
    device.open()
    world.now += LIFE + ENDED_CLAIM_MICROSECONDS
    device.spend(name)
    world.now += 1
    device.spend(name)
    events, running = played([Keyed(*one) for one in world.commands], set())
    assert [code(event) for event in events[-2:]] == ["REG-002", "CLAIM_UNKNOWN"]
    assert name not in running.states, "it was decided without it"


def test_what_nobody_asks_for_is_let_go_when_a_snapshot_is_taken() -> None:
    world = World()
    name, device = claim(world), Actor(world)
    world.now += LIFE + ENDED_CLAIM_MICROSECONDS + 24 * HOUR
    device.open()
    _, running = played([Keyed(*one) for one in world.commands], set())
    running.snapshot()
    assert set(running.states) == {name, device.hardware_id}
    world.now += 1
    Actor(world, "SN-2").open()
    _, running = played([Keyed(*one) for one in world.commands], set())
    running.snapshot()
    assert set(running.states) == {device.hardware_id, "SN-2"}


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(-10 * HOUR, 20 * HOUR)), min_size=1, max_size=12),
    st.sets(st.integers(0, 30)),
)
def test_whoever_forgets_when_decides_the_same(steps: list[tuple[int, int]], forgetting: set[int]) -> None:
    """Clocks differ by less than a day."""
    world = World()
    names = [claim(world, number) for number in range(3)]
    device = Actor(world)
    device.open()
    for number, passed in steps:
        world.now += passed
        device.spend(names[number - 1])
    commands = [Keyed(*one) for one in world.commands]
    straight, kept = played(commands, set())
    events, restored = played(commands, forgetting)
    assert events == straight
    folded = machine()
    for offset, ((key, _), event) in enumerate(zip(commands, straight, strict=True)):
        folded.fold(key, event, offset)
    assert folded.snapshot() == kept.snapshot()
    latest = max(command.issued_at for _, command in commands)
    ours, theirs = (
        {key: state for key, state in one.states.items() if not REGISTRATION.forgets(state, latest)}
        for one in (restored, kept)
    )
    assert ours == theirs
