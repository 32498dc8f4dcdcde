"""Rules and silences as people read them: a fold of fleet.rules. Pure."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from schemas.messages import Event
from schemas.rule_messages import (
    Matcher,
    RuleApplied,
    RuleDisabled,
    RuleMode,
    RuleSuspended,
    SilenceCreated,
    SilenceEnded,
)

RuleState = Literal["in_force", "disabled", "suspended"]


class RuleStanding(msgspec.Struct, frozen=True):
    """The newest version of a rule in one mode. `since` and `actor`: when and by whom it became what it is; `detail`: why it
    was suspended, or what was said when it was disabled."""

    rule_id: str
    mode: RuleMode
    version: int
    state: RuleState
    since: int
    actor: str
    document: str
    detail: str | None = None


class SilenceStanding(msgspec.Struct, frozen=True):
    """A silence. `ends_at` is when it ended, where it was ended early."""

    silence_id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    comment: str
    actor: str


class Listing(msgspec.Struct, frozen=True):
    """All rules, by id and mode; the documents of all versions, by id and version; all silences, by id."""

    rules: dict[tuple[str, RuleMode], RuleStanding]
    documents: dict[tuple[str, int], str]
    silences: dict[str, SilenceStanding]


def listed(events: Iterable[Event]) -> Listing:
    """What the events of fleet.rules, in the order of the log, say."""
    found = Listing({}, {}, {})
    for event in events:
        take(found, event)
    return found


def take(found: Listing, event: Event) -> None:
    """Take the next event in."""
    match event:
        case RuleApplied():
            ids = (event.rule_id, event.mode)
            about = (event.version, "in_force", event.occurred_at, event.actor, event.document)
            found.rules[ids] = RuleStanding(*ids, *about)  # type: ignore[arg-type]
            found.documents[event.rule_id, event.version] = event.document
        case RuleDisabled() | RuleSuspended():
            _end(found, event)
        case SilenceCreated():
            about_it = (event.matchers, event.starts_at, event.ends_at, event.comment, event.actor)
            found.silences[event.silence_id] = SilenceStanding(event.silence_id, *about_it)
        case SilenceEnded():
            known = found.silences[event.silence_id]
            found.silences[event.silence_id] = msgspec.structs.replace(known, ends_at=event.occurred_at)
        case _:
            pass


def _end(found: Listing, event: RuleDisabled | RuleSuspended) -> None:
    known = found.rules[event.rule_id, event.mode]
    disabled = isinstance(event, RuleDisabled)
    found.rules[event.rule_id, event.mode] = msgspec.structs.replace(
        known,
        state="disabled" if disabled else "suspended",
        since=event.occurred_at,
        actor=event.actor,
        detail=event.comment if isinstance(event, RuleDisabled) else event.detail,
    )
