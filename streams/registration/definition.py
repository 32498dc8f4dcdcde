"""Registration as the aggregate machine runs it (`streams.aggregates`). Pure."""

from collections.abc import Sequence
from typing import Any

from schemas.messages import Command, Event
from schemas.registration_commands import IssueClaimToken, SpendClaim
from schemas.registration_events import (
    ClaimAttemptFailed,
    ClaimLocked,
    ClaimSpent,
    ClaimTokenIssued,
    CommandRefused,
    CommandRepeated,
)
from streams.identities import repeat_headers
from streams.machine import Addressed
from streams.registration.claims import decide_claim, evolve_claim
from streams.registration.devices import DeviceCommand, decide_device
from streams.registration.fold import evolve_device
from streams.registration.policy import REGISTRATION_COMMANDS, react
from streams.registration.refusal import Refusal, refused
from streams.registration.state import Claim, Device, State

ENDED_CLAIM_MICROSECONDS = 24 * 3_600_000_000  # for so long a command is told what became of a claim; then there is none


class Registration:
    """See `streams.aggregates.Definition`. Every command is answered with exactly one event."""

    name = "registration"
    commands_topic = REGISTRATION_COMMANDS
    events_topic = "fleet.registration.events"
    revision = 1
    state_type: Any = State
    repeated: type[Event] = CommandRepeated

    def decide(self, state: State | None, command: Command) -> Sequence[Event]:
        try:
            return (_decided(state, command),)
        except Refusal as refusal:
            return (refused(command, refusal),)

    def evolve(self, state: State | None, event: Event) -> State | None:
        if isinstance(event, ClaimTokenIssued | ClaimSpent | ClaimAttemptFailed | ClaimLocked):
            return state if isinstance(state, Device) else evolve_claim(state, event)
        if isinstance(event, CommandRefused):
            return state
        return state if isinstance(state, Claim) else evolve_device(state, event)

    def react(self, state: State | None, event: Event) -> Sequence[Addressed]:
        return react(state, event)

    def forgets(self, state: State, now: int) -> bool:
        return isinstance(state, Claim) and now > state.expires_at + ENDED_CLAIM_MICROSECONDS

    def repeat(self, command: Command, times: int, answer_offset: int) -> Event:
        return CommandRepeated(
            **repeat_headers(command, times),
            hardware_id=getattr(command, "hardware_id", None),
            claim_id=getattr(command, "claim_id", None),
            answer_offset=answer_offset,
        )


REGISTRATION = Registration()


def _decided(state: State | None, command: Command) -> Event:
    if isinstance(command, IssueClaimToken | SpendClaim):
        if isinstance(state, Device):
            raise Refusal("CLAIM_UNKNOWN", f"claim_id: {command.claim_id} is a device")
        return decide_claim(state, command)
    if isinstance(state, Claim):
        raise Refusal("BAD_HARDWARE_ID", "hardware_id: it is a claim")
    if not isinstance(command, DeviceCommand):
        raise TypeError(f"{type(command).__name__} is no command of registration")
    return decide_device(state, command)
