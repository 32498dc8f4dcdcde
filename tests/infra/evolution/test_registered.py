"""Bringing a registry up to date, several subjects at once."""

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from connectors.ports import Away
from infra.evolution.registered import AT_ONCE, Unfinished, carry_out, compare, plans
from schemas.contract import load

CONTRACT = load()
SUBJECTS = [topic.subject(record) for topic in CONTRACT.topics.values() for record in topic.records]


@dataclass(frozen=True, slots=True)
class Held:
    number: int
    schema_id: int
    schema: dict[str, Any]


class MemoryRegistry:
    """A registry in memory, which may be away for one subject. The first `together` registrations wait for one another."""

    def __init__(self, away: str = "", together: int = 1) -> None:
        self.held: dict[str, list[Held]] = {}
        self.levels: dict[str, str] = {}
        self.registrations: Counter[str] = Counter()
        self._away, self._lock, self._gathered = away, threading.Lock(), threading.Barrier(together)
        self._begun = 0

    def versions(self, subject: str) -> list[int]:
        return [one.number for one in self.held.get(subject, [])]

    def version(self, subject: str, number: int) -> Held:
        return self.held[subject][number - 1]

    def find(self, subject: str, schema: Mapping[str, Any]) -> Held | None:
        return next((one for one in self.held.get(subject, []) if one.schema == schema), None)

    def register(self, subject: str, schema: Mapping[str, Any]) -> int:
        if subject == self._away:
            raise Away("it does not answer")
        with self._lock:
            self._begun += 1
            is_awaited = self._begun <= self._gathered.parties
        if is_awaited:
            self._gathered.wait(10)
        with self._lock:
            self.registrations[subject] += 1
            number = sum(map(len, self.held.values())) + 1
            self.held.setdefault(subject, []).append(Held(len(self.versions(subject)) + 1, number, dict(schema)))
            return number

    def incompatible(self, subject: str, schema: Mapping[str, Any]) -> list[str]:
        return []

    def compatibility(self, subject: str) -> str | None:
        return self.levels.get(subject)

    def effective_compatibility(self, subject: str) -> str:
        return self.levels.get(subject, "BACKWARD")

    def set_compatibility(self, subject: str, level: str) -> None:
        assert self.held[subject], "a level is set on a subject that is there"
        self.levels[subject] = level


def test_each_subject_is_registered_once_with_its_level_and_then_nothing_is_left_to_do() -> None:
    registry = MemoryRegistry()
    first = plans(registry, CONTRACT)
    assert [plan.subject for plan in first] == SUBJECTS
    carry_out(registry, first)
    assert registry.registrations == Counter(SUBJECTS)
    assert registry.levels == {plan.subject: plan.level for plan in first}
    again = plans(registry, CONTRACT)
    assert [(plan.subject, plan.id) for plan in again] == [(plan.subject, plan.id) for plan in first]
    assert {(plan.action, plan.sets_level) for plan in again} == {("unchanged", False)}
    carry_out(registry, again)
    assert registry.registrations == Counter(SUBJECTS)
    assert [(one.subject, one.findings) for one in compare(registry, CONTRACT)] == [(name, []) for name in SUBJECTS]


def test_subjects_are_registered_at_the_same_time() -> None:
    registry = MemoryRegistry(together=AT_ONCE)
    carry_out(registry, plans(registry, CONTRACT))
    assert registry.registrations == Counter(SUBJECTS)


@pytest.mark.parametrize("place", [0, len(SUBJECTS) // 2, len(SUBJECTS) - 1])
def test_one_that_fails_is_named_and_what_was_begun_is_finished(place: int) -> None:
    registry = MemoryRegistry(away=SUBJECTS[place])
    with pytest.raises(Unfinished) as failed:
        carry_out(registry, plans(registry, CONTRACT))
    assert failed.value.subject == SUBJECTS[place]
    assert isinstance(failed.value.__cause__, Away)
    assert failed.value.done == len(registry.held) == len(registry.levels)
    assert SUBJECTS[place] not in registry.held
