"""Rules and silences as the aggregate machine runs it (`streams.aggregates`). Pure."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from schemas.messages import Command, Event
from schemas.rule_messages import (
    RULE_COMMANDS,
    RULE_EVENTS,
    RuleApplied,
    RuleCommandRepeated,
    RuleDisabled,
    RuleMode,
    RuleSuspended,
    SilenceCreated,
    SilenceEnded,
)
from streams.identities import repeat_headers
from streams.machine import Addressed
from streams.rulebook.deciding import Refusal, decided, refused
from streams.rulebook.state import KEPT_SILENCE_MICROSECONDS, Book, KnownRule, KnownSilence, Standing


class RuleBook:
    """See `streams.aggregates.Definition`. A command about several rules is answered with an event for each, or refused."""

    name = "rules"
    commands_topic = RULE_COMMANDS
    events_topic = RULE_EVENTS
    revision = 1
    state_type: Any = Book
    repeated: type[Event] = RuleCommandRepeated

    def decide(self, state: Book | None, command: Command) -> Sequence[Event]:
        try:
            return decided(state or Book(), command)
        except Refusal as refusal:
            return (refused(command, refusal),)

    def evolve(self, state: Book | None, event: Event) -> Book | None:
        book = state or Book()
        match event:
            case RuleApplied():
                standing = Standing(event.version, event.digest)
                return _with_rule(book, event.rule_id, event.version, event.mode, standing)
            case RuleDisabled() | RuleSuspended():
                known = book.rules[event.rule_id]
                ended = replace(known.standing[event.mode], ended=True)
                return _with_rule(book, event.rule_id, known.version, event.mode, ended)
            case SilenceCreated():
                made = KnownSilence(event.matchers, event.starts_at, event.ends_at, event.comment)
                return _with_silence(book, event.silence_id, made, event.occurred_at)
            case SilenceEnded():
                over = replace(book.silences[event.silence_id], ends_at=event.occurred_at)
                return _with_silence(book, event.silence_id, over, event.occurred_at)
            case _:
                return state

    def react(self, state: Book | None, event: Event) -> Sequence[Addressed]:
        return ()

    def forgets(self, state: Book, now: int) -> bool:
        return False

    def repeat(self, command: Command, times: int, answer_offset: int) -> Event:
        return RuleCommandRepeated(**repeat_headers(command, times), answer_offset=answer_offset)


RULE_BOOK_DECIDER = RuleBook()


def _with_rule(book: Book, rule_id: str, version: int, mode: RuleMode, standing: Standing) -> Book:
    known = book.rules.get(rule_id) or KnownRule(0, {})
    changed = KnownRule(max(version, known.version), {**known.standing, mode: standing})
    return replace(book, rules={**book.rules, rule_id: changed})


def _with_silence(book: Book, silence_id: str, silence: KnownSilence, now: int) -> Book:
    """Silences that are long over are let go, by the event's own time: whoever folds the log lets go the same ones."""
    kept = {name: one for name, one in book.silences.items() if one.ends_at > now - KEPT_SILENCE_MICROSECONDS}
    return replace(book, silences={**kept, silence_id: silence})
