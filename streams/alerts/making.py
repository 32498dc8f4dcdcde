"""Making the events of an alert: each with its number, and an id that follows from it."""

from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID, uuid5

from msgspec.structs import replace

from schemas.alert_messages import ENGINE, AlertCommand, AlertEvent, Cause
from streams.alerts.muting import UNHEARD, muted_by, said
from streams.alerts.state import Circumstances, Incident, Track
from streams.rules.ports import Place

E = TypeVar("E", bound=AlertEvent)


@dataclass(slots=True)
class Making:
    """A track that changes, and the events that say so. `cause` is the record that it is changed by, `command` the command;
    neither where a timer is due."""

    track: Track
    about: Circumstances
    cause: Place | None = None
    command: AlertCommand | None = None
    events: list[AlertEvent] = field(default_factory=list)

    @property
    def incident(self) -> Incident:
        assert self.track.incident is not None
        return self.track.incident

    def change(self, **fields: Any) -> None:
        """Of the open incident."""
        self.track = replace(self.track, incident=replace(self.incident, **fields))

    @property
    def muted_by(self) -> str | None:
        """See `muting.muted_by`."""
        return muted_by(self.track, self.incident, self.about)

    def tell(self, kind: type[AlertEvent], channels: tuple[str, ...] | None = None, **fields: Any) -> None:
        """An event that people are notified of, if nothing mutes it."""
        muted = self.muted_by
        self._say(kind, said(self.track, muted), channels, fields)
        if muted is None:
            self.change(told=True)

    def note(self, kind: type[AlertEvent], muted: str | None = None, **fields: Any) -> None:
        """An event that is not for notifying of, or, with `muted`, one that is and is muted."""
        self._say(kind, muted or said(self.track, self.muted_by), None, fields)

    def tell_end(self, kind: type[AlertEvent], **fields: Any) -> None:
        """The last event: who was told of the alert is told of its end, and nobody else."""
        heard = None if self.incident.told else self.muted_by or UNHEARD
        self._say(kind, said(self.track, heard), None, fields)
        self.track = replace(self.track, incident=None)

    def _say(
        self, kind: type[AlertEvent], muted: str | None, channels: tuple[str, ...] | None, fields: dict[str, Any]
    ) -> None:
        track, incident, command = self.track, self.incident, self.command
        moment = self.about.moment
        cause = self.cause
        event = kind(
            event_id=str(uuid5(UUID(incident.alert_id), str(incident.number))),
            command_id=incident.alert_id if command is None else command.command_id,
            correlation_id=incident.alert_id if command is None else command.correlation_id,
            actor=ENGINE if command is None else command.actor,
            occurred_at=moment.at,
            received_at=moment.clock,
            alert_id=incident.alert_id,
            home_key=track.home,
            number=incident.number,
            rule_id=track.rule_id,
            rule_version=incident.version,
            device_id=track.device_id,
            group=track.group,
            severity=incident.severity,
            labels=incident.labels,
            annotations=incident.annotations,
            value=incident.value,
            cause=None if cause is None else Cause(topic=cause.topic, partition=cause.partition, offset=cause.offset),
            mode=track.mode,
            channels=self.about.rule.channels if channels is None else channels,
            muted_by=muted,
            since=incident.since,
            **fields,
        )
        self.events.append(event)
        self.change(number=incident.number + 1)
