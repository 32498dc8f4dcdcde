"""What the decisions of the ledger are made of."""

from typing import NamedTuple

from connectors.authority.port import Issued
from schemas.certificate_messages import CertificateRefused, CertificateRevoked
from schemas.message_values import RevocationReason
from schemas.messages import Command
from schemas.transparency.entries import Leaf
from streams.identities import headers
from streams.ledger.state import LedgerState


class Decided(NamedTuple):
    """What a command came to: leaves, a refusal, or (`again`) what the leaf of that index said. `made`: the certificate of
    the first leaf. `goes_on`: the mass revocation that has more to revoke than one transaction should hold."""

    leaves: tuple[Leaf, ...] = ()
    refusal: CertificateRefused | None = None
    again: int | None = None
    made: Issued | None = None
    goes_on: str | None = None


class Builder:
    """Makes the leaves of one command, numbered in order, and enters them."""

    def __init__(self, state: LedgerState, command: Command) -> None:
        self._state, self._command = state, command
        self.leaves: list[Leaf] = []

    def revoke(
        self, serial: str, reason: RevocationReason, detail: str | None = None, revocation_id: str | None = None
    ) -> None:
        known = self._state.certificates.get(serial)
        assert known is not None
        event = CertificateRevoked(
            **headers(self._command, len(self.leaves)),
            leaf_index=self._state.tree.size,
            serial=serial,
            device_id=known.device_id,
            hardware_id=known.hardware_id,
            reason=reason,
            detail=detail,
            revocation_id=revocation_id,
        )
        self.enter(event)

    def enter(self, leaf: Leaf) -> None:
        self._state.enter(leaf)
        self.leaves.append(leaf)
