"""What people ask of an alert. A refusal is an event and changes nothing."""

from collections.abc import Sequence

from schemas.alert_messages import (
    AcknowledgeAlert,
    AlertAcknowledged,
    AlertCommand,
    AlertCommandRefused,
    AlertCommented,
    AlertSilenced,
    CommentAlert,
    SilenceAlert,
    UnsilenceAlert,
)
from schemas.messages import Event
from streams.alerts.making import Making
from streams.alerts.state import Circumstances, Track
from streams.alerts.turning import unsilence
from streams.identities import headers

MOST_DETAIL = 1000


class Refused(Exception):
    """Raised within a decision."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


def refusal(command: AlertCommand, refused: Refused) -> AlertCommandRefused:
    """The event of a refusal."""
    return AlertCommandRefused(
        **headers(command, 0),
        alert_id=command.alert_id,
        home_key=command.home_key,
        command=type(command).__name__,
        code=refused.code,
        detail=refused.detail[:MOST_DETAIL],
    )


def asked(track: Track, about: Circumstances, command: AlertCommand) -> tuple[Track, Sequence[Event]]:
    """Of the track's open incident, which the command is about. The event that answers is the only one.

    Raises:
        Refused: it may not be.
        TypeError: it is no command of alerts.
    """
    making = Making(track, about, command=command)
    match command:
        case AcknowledgeAlert():
            _acknowledge(making, command)
        case SilenceAlert():
            _silence(making, command)
        case UnsilenceAlert():
            if not making.incident.silenced:
                raise Refused("NOT_SILENCED", f"alert_id: {command.alert_id} is not silenced by itself")
            making.change(silenced=False, silenced_until=None)
            unsilence(making, None, command.comment)
        case CommentAlert():
            making.note(AlertCommented, comment=command.comment)
        case _:
            raise TypeError(f"{type(command).__name__} is no command of alerts")
    return making.track, making.events


def _acknowledge(making: Making, command: AcknowledgeAlert) -> None:
    """Nothing is repeated or escalated from now on."""
    if making.incident.phase != "firing":
        raise Refused("NOT_FIRING", f"alert_id: {command.alert_id} is only pending")
    if making.incident.acknowledged:
        raise Refused("ALREADY_ACKNOWLEDGED", f"alert_id: {command.alert_id} was acknowledged before")
    making.change(acknowledged=True)
    making.tell(AlertAcknowledged, comment=command.comment)


def _silence(making: Making, command: SilenceAlert) -> None:
    incident, clock = making.incident, making.about.moment.clock
    if command.until is not None and command.until <= clock:
        raise Refused("SILENCE_IS_OVER", f"until: {command.until} is not after {clock}")
    if incident.silenced and incident.silenced_until == command.until:
        raise Refused("ALREADY_SILENCED", f"alert_id: {command.alert_id} is silenced as wanted")
    making.change(silenced=True, silenced_until=command.until)
    making.note(AlertSilenced, silence_id=None, until=command.until, comment=command.comment)
