"""Many certificates are revoked in two steps, and in pieces."""

import pytest

from schemas import certificate_messages as messages
from schemas.messages import Event
from schemas.registration_commands import RecordRevocation
from streams.ledger import mass_revocation
from tests.streams.ledger.test_machine import code, only
from tests.streams.ledger.world import World


def mass(world: World, selector: str, value: str | None) -> messages.MassRevocationRequested | messages.CertificateRefused:
    names = world.names()
    command = messages.RequestMassRevocation(
        **names, revocation_id=names["command_id"], selector=selector, value=value, reason="key_compromise"
    )
    event = world.run(command)[0]
    assert isinstance(event, messages.MassRevocationRequested | messages.CertificateRefused)
    return event


def confirm(world: World, revocation_id: str, expected: int) -> list[Event]:
    return world.run(messages.ConfirmMassRevocation(**world.names(), revocation_id=revocation_id, expected=expected))


def test_a_mass_revocation_takes_two_steps() -> None:
    world = World()
    world.run(*(world.issue(device, device) for device in range(5)))
    asked = mass(world, "owner", "owner-0")
    assert isinstance(asked, messages.MassRevocationRequested)
    assert asked.certificates == 3
    assert code(confirm(world, asked.revocation_id, 2)) == "COUNT_DIFFERS"
    events = confirm(world, asked.revocation_id, 3)
    assert only(events, messages.MassRevocationConfirmed).certificates == 3
    revoked = [event for event in events if isinstance(event, messages.CertificateRevoked)]
    assert {event.hardware_id for event in revoked} == {"SN-0", "SN-2", "SN-4"}
    assert {event.revocation_id for event in revoked} == {asked.revocation_id}
    follow_ups = {record.message.command_id for record in world.sent if isinstance(record.message, RecordRevocation)}
    assert len(follow_ups) == 3
    assert code(confirm(world, asked.revocation_id, 3)) == "REVOCATION_UNKNOWN"
    assert code(confirm(world, str(asked.event_id), 3)) == "REVOCATION_UNKNOWN"


def test_a_mass_revocation_is_confirmed_in_time_and_takes_those_who_renewed_meanwhile() -> None:
    world = World()
    world.run(world.issue(1, 1))
    asked = mass(world, "all", None)
    assert isinstance(asked, messages.MassRevocationRequested)
    world.run(world.issue(2, 2))
    assert only(confirm(world, asked.revocation_id, 1), messages.MassRevocationConfirmed).certificates == 2
    late = mass(world, "model", "cam")
    assert isinstance(late, messages.MassRevocationRequested)
    assert late.certificates == 0
    world.now = late.expires_at
    assert code(confirm(world, late.revocation_id, 0)) == "REVOCATION_EXPIRED"
    for selector, value in (("all", "x"), ("owner", None)):
        refused = mass(world, selector, value)
        assert isinstance(refused, messages.CertificateRefused)
        assert refused.code == "BAD_SELECTOR"


def pieces(world: World) -> list[messages.ContinueMassRevocation]:
    return [record.message for record in world.sent if isinstance(record.message, messages.ContinueMassRevocation)]


def test_a_large_mass_revocation_goes_on_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mass_revocation, "AT_ONCE", 2)
    world = World()
    world.run(*(world.issue(device, device) for device in range(5)))
    asked = mass(world, "all", None)
    assert isinstance(asked, messages.MassRevocationRequested)
    events = confirm(world, asked.revocation_id, 5)
    assert only(events, messages.MassRevocationConfirmed).certificates == 5
    revoked = [event for event in events if isinstance(event, messages.CertificateRevoked)]
    renewed = world.run(world.issue(6, 6))
    assert only(renewed, messages.CertificateIssued).hardware_id == "SN-6"
    seen = 0
    while len(pieces(world)) > seen:
        seen += 1
        events = world.run(pieces(world)[-1])
        assert only(events, messages.TreeHeadSigned).tree_size == world.machine.state.tree.size
        revoked += [event for event in events if isinstance(event, messages.CertificateRevoked)]
        assert len(events) <= 3
    assert [event.hardware_id for event in revoked] == [f"SN-{device}" for device in (0, 1, 2, 3, 4, 6)]
    assert {event.revocation_id for event in revoked} == {asked.revocation_id}
    assert len({event.event_id for event in revoked}) == 6
    assert seen == 2


def test_a_piece_with_nothing_left_or_nothing_confirmed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mass_revocation, "AT_ONCE", 1)
    world = World()
    issued = only(world.run(world.issue(1, 1)), messages.CertificateIssued)
    other = only(world.run(world.issue(2, 2)), messages.CertificateIssued)
    asked = mass(world, "all", None)
    assert isinstance(asked, messages.MassRevocationRequested)
    early = messages.ContinueMassRevocation(**world.names(), revocation_id=asked.revocation_id)
    assert code(world.run(early)) == "REVOCATION_UNKNOWN"
    confirm(world, asked.revocation_id, 2)
    world.run(world.revoke(other.serial))
    assert world.machine.state.certificates.get(issued.serial).revoked_leaf is not None
    assert code(world.run(pieces(world)[-1])) == "DONE_ALREADY"
