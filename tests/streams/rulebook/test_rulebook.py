"""Rules and silences: versions, refusals, what is the same again."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.rule_messages import ApplyRules, RuleApplied, RuleDisabled, RuleSuspended, WantedRule
from streams.aggregates import Aggregates
from streams.rulebook.definition import RULE_BOOK_DECIDER
from tests.streams.rulebook.book import DAY, SECOND, Book, document, names, wanted


def test_versions_are_counted_per_rule_and_the_same_document_is_none() -> None:
    book = Book()
    first = book.apply(wanted("hot"), wanted("cold"))
    assert [(event.rule_id, event.version) for event in first] == [("hot", 1), ("cold", 1)]
    same, changed = book.apply(wanted("hot"), wanted("cold", severity="info"))
    assert (names([same]), same.version) == (["RuleUnchanged"], 1)
    assert (names([changed]), changed.version) == (["RuleApplied"], 2)
    assert changed.document == document("cold", severity="info")


def test_what_was_disabled_or_suspended_comes_back_with_its_version() -> None:
    book = Book()
    book.apply(wanted())
    (disabled,) = book.disable()
    assert (names([disabled]), disabled.version, disabled.mode) == (["RuleDisabled"], 1, "live")
    assert names(book.disable()) == ["RuleUnchanged"]
    (again,) = book.apply(wanted())
    assert (names([again]), again.version) == (["RuleApplied"], 1)
    (suspended,) = book.suspend()
    assert (names([suspended]), suspended.detail) == (["RuleSuspended"], "no such overload")
    assert names(book.suspend()) == ["RuleUnchanged"]
    assert book.apply(wanted())[0].version == 1
    assert names(book.suspend(version=7)) == ["RuleUnchanged"]


def test_a_shadow_stands_beside_the_live_version_until_it_goes_live() -> None:
    book = Book()
    book.apply(wanted())
    (shadow,) = book.apply(wanted(severity="critical"), mode="shadow")
    assert (shadow.mode, shadow.version) == ("shadow", 2)
    (ended, live) = book.apply(wanted(severity="critical"))
    assert (names([ended, live]), ended.mode, live.mode, live.version) == (
        ["RuleDisabled", "RuleApplied"],
        "shadow",
        "live",
        2,
    )
    assert [event.mode for event in book.disable()] == ["live"]


def test_disabling_ends_both_modes_or_the_one_that_is_named() -> None:
    book = Book()
    book.apply(wanted())
    book.apply(wanted(severity="critical"), mode="shadow")
    assert [event.mode for event in book.disable()] == ["live", "shadow"]
    book.apply(wanted())
    book.apply(wanted(severity="critical"), mode="shadow")
    assert [event.mode for event in book.disable(mode="shadow")] == ["shadow"]


BAD: dict[str, tuple[str, str, tuple[WantedRule, ...]]] = {
    "nothing": ("BAD_RULE", "rules:", ()),
    "one rule twice": ("BAD_RULE", "rules[1].rule_id", (wanted("a"), wanted("a"))),
    "no JSON": ("BAD_RULE", "rules[0].document", (WantedRule(rule_id="a", document="{", expected_version=None),)),
    "another rule": ("BAD_RULE", "is of b", (WantedRule(rule_id="a", document=document("b"), expected_version=None),)),
    "an unknown field": (
        "BAD_RULE",
        "unknown field",
        (WantedRule(rule_id="a", document=document("a")[:-1] + ',"x":1}', expected_version=None),),
    ),
    "not canonical": (
        "NOT_CANONICAL",
        "rules[1].document",
        (
            wanted("b"),
            WantedRule(rule_id="a", document='{"when":"true","input":"telemetry","id":"a"}', expected_version=None),
        ),
    ),
    "a default said": (
        "NOT_CANONICAL",
        "rules[0].document",
        (
            WantedRule(
                rule_id="a", document='{"id":"a","input":"telemetry","repeat":1,"when":"true"}', expected_version=None
            ),
        ),
    ),
    "believed to be new": ("VERSION_CONFLICT", "at version 1", (wanted("hot", 0, severity="info"),)),
    "seen too early": ("VERSION_CONFLICT", "rules[1].expected_version", (wanted("b", 0), wanted("hot", 2))),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_rule_is_refused_with_all_that_came_with_it(what: str) -> None:
    book = Book()
    book.apply(wanted("hot"))
    before = dict(book.machine.states)
    code, place, rules = BAD[what]
    (refused,) = book.apply(*rules)
    assert (names([refused]), refused.code, refused.command) == (["RuleRefused"], code, "ApplyRules")
    assert place in refused.detail
    assert dict(book.machine.states) == before


def test_silences_are_created_replaced_and_ended() -> None:
    book = Book()
    (made,) = book.silence("night", 0, DAY)
    assert (names([made]), made.ends_at - book.now) == (["SilenceCreated"], DAY)
    assert names(book.silence("night", 0, 2 * DAY)) == ["SilenceCreated"]
    assert names(book.end_silence("night")) == ["SilenceEnded"]
    assert book.end_silence("night")[0].code == "SILENCE_IS_OVER"
    assert book.end_silence("day")[0].code == "SILENCE_UNKNOWN"


def test_silences_that_make_no_sense_are_refused() -> None:
    book = Book()
    for start, end, matchers in ((0, 0, None), (-DAY, -SECOND, None), (0, DAY, ())):
        (refused,) = book.silence("s", start, end) if matchers is None else book.silence("s", start, end, matchers)
        assert refused.code == "BAD_SILENCE"


def test_what_is_unknown_is_refused() -> None:
    book = Book()
    assert [book.disable("none")[0].code, book.suspend("none")[0].code] == ["RULE_UNKNOWN"] * 2


def test_a_command_that_comes_again_changes_nothing() -> None:
    book = Book()
    command = ApplyRules(**book.head(), mode="live", rules=(wanted("a"), wanted("b")))
    book.give(command)
    (again,) = book.give(command)
    assert (names([again]), again.answer_offset) == (["RuleCommandRepeated"], 1)


name = st.sampled_from(("a", "b"))
severity = st.sampled_from(("critical", "warning", "info"))
mode = st.sampled_from(("live", "shadow"))
step = st.one_of(
    st.tuples(st.just("apply"), st.lists(st.tuples(name, severity), min_size=1, max_size=3), mode),
    st.tuples(st.just("disable"), name, st.none() | mode),
    st.tuples(st.just("suspend"), name, st.integers(1, 4), mode),
    st.tuples(st.just("silence"), name, st.integers(-1, 2), st.integers(0, 60)),
    st.tuples(st.just("end_silence"), name),
    st.tuples(st.just("wait"), st.integers(0, 40)),
)


def play(steps: list[Any]) -> Book:
    book = Book()
    for what, *about in steps:
        if what == "apply":
            book.apply(*(wanted(rule, severity=how) for rule, how in about[0]), mode=about[1])
        elif what == "wait":
            book.now += about[0] * DAY
        elif what == "silence":
            book.silence(about[0], about[1] * DAY, about[2] * DAY)
        else:
            getattr(book, what)(*about)
    return book


@settings(max_examples=100)
@given(st.lists(step, max_size=25))
def test_whatever_is_asked_versions_and_modes_keep_their_order(steps: list[Any]) -> None:
    book = play(steps)
    newest: dict[str, int] = {}
    documents: dict[tuple[str, int], str] = {}
    in_force: dict[tuple[str, str], int] = {}
    for event in book.events:
        if isinstance(event, RuleApplied):
            assert event.version in (newest.get(event.rule_id, 0), newest.get(event.rule_id, 0) + 1)
            assert documents.setdefault((event.rule_id, event.version), event.document) == event.document
            newest[event.rule_id] = event.version
            assert in_force.get((event.rule_id, event.mode)) != event.version
            in_force[event.rule_id, event.mode] = event.version
        elif isinstance(event, RuleDisabled | RuleSuspended):
            assert in_force.pop((event.rule_id, event.mode)) == event.version


@settings(max_examples=60)
@given(st.lists(step, max_size=25))
def test_a_fold_of_the_log_and_a_snapshot_are_what_was_decided_on(steps: list[Any]) -> None:
    book = play(steps)
    folded: Aggregates[Any] = Aggregates(RULE_BOOK_DECIDER, book._recall)
    for offset, event in enumerate(book.events):
        folded.fold("rules", event, offset)
    assert dict(folded.states) == dict(book.machine.states)
    restored: Aggregates[Any] = Aggregates(RULE_BOOK_DECIDER, book._recall)
    restored.restore(book.machine.snapshot())
    assert dict(restored.states) == dict(book.machine.states)
