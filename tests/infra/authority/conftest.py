"""One stack with an authority for all modules here."""

from collections.abc import Iterator

import pytest

from infra.settings import Settings
from infra.stack.harness import Stack, running_stack
from schemas.registration_commands import RecordCertificate
from streams.ledger.machine import REGISTRATION
from tests.infra.authority.fleet import Fleet

SERVICES = ("broker", "redis", "registry", "topics", "schemas", "authority")


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(
        tmp_path_factory.mktemp("authority"), only=SERVICES, settings=Settings(ledger_head_seconds=3.0)
    ) as running:
        yield running


@pytest.fixture(scope="package")
def fleet(stack: Stack) -> Fleet:
    return Fleet(stack.settings)


@pytest.fixture(scope="package")
def recorded(fleet: Fleet) -> RecordCertificate:
    """A certificate that was issued."""
    command = fleet.issue(1)
    fleet.send(command)
    (found,) = fleet.wait_for(REGISTRATION, 1, RecordCertificate)
    assert isinstance(found, RecordCertificate)
    return found
