"""The real registry behind its front: every case of the table."""

import uuid
from collections.abc import Callable

import httpx
import pytest

from tests.connectors.registry_front.registry_cases import Case, Run, groups

pytestmark = pytest.mark.stack
GROUPS = groups()
CASES = [(group, case) for group, cases in GROUPS.items() for case in cases]
Outcomes = dict[str, AssertionError | None]


@pytest.fixture(scope="module")
def outcome(client: httpx.Client) -> Callable[[str, str], AssertionError | None]:
    """What a case of a group came to; a group is run whole, when its first case is asked for."""
    ran: dict[str, Outcomes] = {}

    def of(group: str, name: str) -> AssertionError | None:
        if group not in ran:
            ran[group] = run(client, GROUPS[group])
        return ran[group][name]

    return of


def run(client: httpx.Client, cases: list[Case]) -> Outcomes:
    group = Run(client, f"t{uuid.uuid4().hex[:8]}-")
    outcomes: Outcomes = {}
    for case in cases:
        outcomes[case.name] = None
        response = group.send(case)
        try:
            group.check(case, response)
        except AssertionError as error:
            outcomes[case.name] = error
    return outcomes


@pytest.mark.parametrize(("group", "case"), CASES, ids=[f"{group}: {case.name}" for group, case in CASES])
def test_a_case(outcome: Callable[[str, str], AssertionError | None], group: str, case: Case) -> None:
    failed = outcome(group, case.name)
    if failed is not None:
        raise failed


def test_the_table_is_large_and_names_each_case_once_in_its_group() -> None:
    assert len(CASES) >= 100
    for cases in GROUPS.values():
        assert len({case.name for case in cases}) == len(cases)
