"""What a command about rules or silences leads to. Pure.

Whether a rule's expressions are right was found out before the command was written (`streams.rules.compiled`), which needs
more than a decider has: time. What is checked here is what could harm the log: documents that are not canonical, of another
rule than they are said to be, or by somebody who has not seen the newest version.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from schemas.messages import Command, Event
from schemas.rule_messages import (
    ApplyRules,
    CreateSilence,
    DisableRule,
    EndSilence,
    RuleApplied,
    RuleDisabled,
    RuleMode,
    RuleRefused,
    RuleSuspended,
    RuleUnchanged,
    SilenceCreated,
    SilenceEnded,
    SuspendRule,
    WantedRule,
)
from schemas.rules.document import Rule, canonical
from streams.identities import headers
from streams.rulebook.state import Book, KnownRule, Standing

MOST_DETAIL = 1000
MOST_RULES = 100  # of one command
MODES: tuple[RuleMode, ...] = ("live", "shadow")


class Refusal(Exception):
    """Raised within a decision. `detail` names the place."""

    def __init__(self, code: str, detail: str, rule_id: str | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.rule_id = code, detail, rule_id


def refused(command: Command, refusal: Refusal) -> RuleRefused:
    """The event of a refusal."""
    return RuleRefused(
        **headers(command, 0),
        command=type(command).__name__,
        rule_id=refusal.rule_id,
        code=refusal.code,
        detail=refusal.detail[:MOST_DETAIL],
    )


def decided(book: Book, command: Command) -> Sequence[Event]:
    """
    Raises:
        Refusal: it may not be, as a whole.
        TypeError: it is no command about rules.
    """
    match command:
        case ApplyRules():
            return _apply(book, command)
        case DisableRule():
            return _disable(book, command)
        case SuspendRule():
            return (_suspend(book, command),)
        case CreateSilence():
            return (_create_silence(command),)
        case EndSilence():
            return (_end_silence(book, command),)
        case _:
            raise TypeError(f"{type(command).__name__} is no command about rules")


def _apply(book: Book, command: ApplyRules) -> Sequence[Event]:
    """One event for each rule, in the command's order: RuleApplied, or RuleUnchanged. Before it, where the shadow's version
    goes live, the end of the shadow."""
    ids = [wanted.rule_id for wanted in command.rules]
    if not 0 < len(ids) <= MOST_RULES:
        raise Refusal("BAD_RULE", f"rules: {len(ids)} instead of 1 to {MOST_RULES}")
    for place, wanted in enumerate(command.rules):
        if wanted.rule_id in ids[:place]:
            raise Refusal("BAD_RULE", f"rules[{place}].rule_id: {wanted.rule_id} is there twice", wanted.rule_id)
        _check(book, wanted, f"rules[{place}]")
    found: list[Event] = []
    for wanted in command.rules:
        found += _applied(book, command, wanted, len(found))
    return found


def _check(book: Book, wanted: WantedRule, place: str) -> None:
    try:
        rule = msgspec.json.decode(wanted.document, type=Rule)
    except (msgspec.DecodeError, ValueError) as error:
        raise Refusal("BAD_RULE", f"{place}.document: {error}", wanted.rule_id) from None
    if rule.id != wanted.rule_id:
        raise Refusal("BAD_RULE", f"{place}.document: is of {rule.id}, not of {wanted.rule_id}", wanted.rule_id)
    if canonical(rule) != wanted.document.encode():
        raise Refusal("NOT_CANONICAL", f"{place}.document: is not the canonical form of what it says", wanted.rule_id)
    known = book.rules.get(wanted.rule_id)
    newest = 0 if known is None else known.version
    if wanted.expected_version not in (None, newest):
        expected = "new" if wanted.expected_version == 0 else f"at version {wanted.expected_version}"
        raise Refusal(
            "VERSION_CONFLICT",
            f"{place}.expected_version: {wanted.rule_id} is at version {newest}, and was believed to be {expected}",
            wanted.rule_id,
        )


def _applied(book: Book, command: ApplyRules, wanted: WantedRule, index: int) -> list[Event]:
    """`index`: how many events the command has before these."""
    digest = sha256(wanted.document.encode()).digest()
    known = book.rules.get(wanted.rule_id) or KnownRule(0, {})
    standing, shadow = known.standing.get(command.mode), known.standing.get("shadow")
    ids: dict[str, Any] = {"rule_id": wanted.rule_id}
    if standing is not None and standing.digest == digest and not standing.ended:
        return [RuleUnchanged(**headers(command, index), **ids, version=standing.version, mode=command.mode)]
    found: list[Event] = []
    if command.mode == "live" and shadow is not None and shadow.digest == digest and not shadow.ended:
        about = headers(command, index)
        found.append(RuleDisabled(**about, **ids, version=shadow.version, mode="shadow", comment="it goes live"))
    version, about = known.version_of(digest), headers(command, index + len(found))
    made = RuleApplied(**about, **ids, version=version, digest=digest, document=wanted.document, mode=command.mode)
    return [*found, made]


def _standing(book: Book, rule_id: str, mode: RuleMode) -> Standing | None:
    known = book.rules.get(rule_id)
    return None if known is None else known.standing.get(mode)


def _disable(book: Book, command: DisableRule) -> Sequence[Event]:
    if command.rule_id not in book.rules:
        raise Refusal("RULE_UNKNOWN", f"rule_id: there is no rule {command.rule_id}", command.rule_id)
    found: list[Event] = []
    for mode in MODES if command.mode is None else (command.mode,):
        standing = _standing(book, command.rule_id, mode)
        if standing is not None and not standing.ended:
            ids: dict[str, Any] = {"rule_id": command.rule_id, "comment": command.comment}
            found.append(RuleDisabled(**headers(command, len(found)), **ids, version=standing.version, mode=mode))
    return found or [_unchanged(book, command, command.rule_id, command.mode or "live")]


def _suspend(book: Book, command: SuspendRule) -> Event:
    standing = _standing(book, command.rule_id, command.mode)
    if standing is None:
        raise Refusal("RULE_UNKNOWN", f"rule_id: there is no rule {command.rule_id} {command.mode}", command.rule_id)
    if standing.version != command.version or standing.ended:
        return _unchanged(book, command, command.rule_id, command.mode)
    return RuleSuspended(
        **headers(command, 0),
        rule_id=command.rule_id,
        version=standing.version,
        mode=command.mode,
        reason=command.reason,
        detail=command.detail,
    )


def _unchanged(book: Book, command: Command, rule_id: str, mode: RuleMode) -> RuleUnchanged:
    return RuleUnchanged(**headers(command, 0), rule_id=rule_id, version=book.rules[rule_id].version, mode=mode)


def _create_silence(command: CreateSilence) -> Event:
    if not command.matchers:
        raise Refusal("BAD_SILENCE", "matchers: there is none; a silence of everything is asked for by severity glob *")
    if command.starts_at >= command.ends_at:
        raise Refusal("BAD_SILENCE", "ends_at: is not after starts_at")
    if command.ends_at <= command.issued_at:
        raise Refusal("BAD_SILENCE", "ends_at: is over already")
    return SilenceCreated(
        **headers(command, 0),
        silence_id=command.silence_id,
        matchers=command.matchers,
        starts_at=command.starts_at,
        ends_at=command.ends_at,
        comment=command.comment,
    )


def _end_silence(book: Book, command: EndSilence) -> Event:
    known = book.silences.get(command.silence_id)
    if known is None:
        raise Refusal("SILENCE_UNKNOWN", f"silence_id: there is no silence {command.silence_id}")
    if known.ends_at <= command.issued_at:
        raise Refusal("SILENCE_IS_OVER", f"silence_id: {command.silence_id} has ended")
    return SilenceEnded(**headers(command, 0), silence_id=command.silence_id, comment=command.comment)
