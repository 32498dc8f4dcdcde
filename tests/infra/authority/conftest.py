"""One stack with an authority for all modules here."""

from pathlib import Path

import pytest

from infra.settings import Settings
from infra.stack.harness import Stack
from schemas.registration_commands import RecordCertificate
from streams.ledger.machine import REGISTRATION
from tests.folders import within_folder
from tests.infra.authority.fleet import Fleet
from tests.shared_stack import SharedStack

SERVICES = ("broker", "redis", "registry", "topics", "schemas", "authority")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, shared_stack: SharedStack, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    settings = Settings(ledger_head_seconds=3.0)
    lent = shared_stack.lend(tmp_path_factory.mktemp("authority"), only=SERVICES, settings=settings)
    return within_folder(request, Path(__file__).parent, lent)


@pytest.fixture(scope="session")
def fleet(stack: Stack) -> Fleet:
    return Fleet(stack.settings)


@pytest.fixture(scope="session")
def recorded(fleet: Fleet) -> RecordCertificate:
    """A certificate that was issued."""
    command = fleet.issue(1)
    fleet.send(command)
    (found,) = fleet.wait_for(REGISTRATION, 1, RecordCertificate)
    assert isinstance(found, RecordCertificate)
    return found
