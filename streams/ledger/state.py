"""What the certificate ledger knows: the fold of its events. Pure.

Changes can be taken back, so that a batch may be decided on top of the committed state: `mark` begins, `undo` takes back
all since then, `forget` makes it stay.
"""

from collections.abc import ItemsView
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from schemas.certificate_messages import (
    AuthorityAdded,
    CertificateRevoked,
    ExceptionGranted,
    MassRevocationConfirmed,
    MassRevocationRequested,
    TreeHeadSigned,
)
from schemas.message_values import RevocationReason, Selector
from schemas.transparency.entries import Certified, Leaf, canonical
from schemas.transparency.merkle import Tree, leaf_hash, restored

K = TypeVar("K")
V = TypeVar("V")


class Certificate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A certificate that was issued. Times are microseconds since 1970 UTC.

    `leaf` is the place of its event in the tree; `revoked_leaf` that of its revocation, None while there is none;
    `exception` until when it may be renewed though it is early or late (0: no exception).
    """

    device_id: str
    hardware_id: str
    session_id: str
    key_hash: bytes
    issuer_key_id: str
    owner: str | None
    model: str | None
    not_before: int
    not_after: int
    leaf: int
    exception: int = 0
    revoked_leaf: int | None = None
    revoked_at: int = 0
    reason: RevocationReason = "unspecified"

    def valid(self, now: int) -> bool:
        """Whether it is neither revoked nor expired. One that begins a little later counts: clocks differ."""
        return self.revoked_leaf is None and now <= self.not_after


class MassRevocation(msgspec.Struct, frozen=True, array_like=True):
    """A revocation of many certificates. `certificates`: as many as the one who asked was told of."""

    selector: Selector
    value: str | None
    reason: RevocationReason
    certificates: int
    expires_at: int
    confirmed: bool = False

    def concerns(self, certificate: Certificate) -> bool:
        if self.selector == "all":
            return True
        return self.value == (certificate.owner if self.selector == "owner" else certificate.model)


class Misplaced(ValueError):
    """The log holds a leaf where it can't stand, or a head that is not that of its leaves: it was tampered with."""


class _Undo(NamedTuple):
    table: "Table[Any, Any]"
    key: Any
    before: Any


class Table(Generic[K, V]):
    """A dictionary whose changes are written down in a journal."""

    def __init__(self, journal: list[_Undo]) -> None:
        self._values: dict[K, V] = {}
        self._journal = journal

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def put(self, key: K, value: V | None) -> None:
        """Set, or with None remove."""
        self._journal.append(_Undo(self, key, self._values.get(key)))
        self.set(key, value)

    def set(self, key: K, value: V | None) -> None:
        """As `put`, not to be taken back."""
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value

    def items(self) -> ItemsView[K, V]:
        return self._values.items()

    def keys(self) -> frozenset[K]:
        return frozenset(self._values)

    def __len__(self) -> int:
        return len(self._values)


class _Kept(msgspec.Struct, array_like=True, frozen=True):
    """A state as it is written down. The other tables follow from the certificates."""

    leaves: bytes
    certificates: dict[str, Certificate]
    revocations: dict[str, MassRevocation]
    authorities: dict[str, int]


class LedgerState:
    """Attributes:
    certificates: by serial number.
    held: hardware id -> serial numbers of its certificates that are not revoked, the newest last.
    keys: hash of a public key -> the one device that it was ever certified for.
    sessions: session id -> serial number of its certificate.
    revocations: by id.
    authorities: key id of an issuing authority -> its leaf.
    """

    def __init__(self) -> None:
        journal: list[_Undo] = []
        self._journal, self._mark = journal, 0
        self.tree = Tree()
        self.certificates: Table[str, Certificate] = Table(journal)
        self.held: Table[str, tuple[str, ...]] = Table(journal)
        self.keys: Table[bytes, str] = Table(journal)
        self.sessions: Table[str, str] = Table(journal)
        self.revocations: Table[str, MassRevocation] = Table(journal)
        self.authorities: Table[str, int] = Table(journal)

    def mark(self) -> None:
        self._journal.clear()
        self._mark = self.tree.size

    def undo(self) -> None:
        """Take back all since `mark`."""
        while self._journal:
            table, key, before = self._journal.pop()
            table.set(key, before)
        self.tree.truncate(self._mark)

    def forget(self) -> None:
        """What was changed since `mark` stays."""
        self._journal.clear()
        self._mark = self.tree.size

    def enter(self, event: Leaf) -> None:
        """Add an event to the tree and to what is known.

        Raises:
            Misplaced: its place is not the next one of the tree.
        """
        if event.leaf_index != self.tree.size:
            raise Misplaced(f"leaf {event.leaf_index} stands where leaf {self.tree.size} is due")
        self.tree.append(leaf_hash(canonical(event)))
        if isinstance(event, Certified):
            self._enter_certificate(event)
        elif isinstance(event, CertificateRevoked):
            self._enter_revocation(event)
        elif isinstance(event, ExceptionGranted):
            known = self._known(event.serial)
            self.certificates.put(event.serial, msgspec.structs.replace(known, exception=event.until))
        elif isinstance(event, AuthorityAdded):
            self.authorities.put(event.key_id, event.leaf_index)
        elif isinstance(event, MassRevocationRequested):
            asked = (event.selector, event.value, event.reason, event.certificates, event.expires_at)
            self.revocations.put(event.revocation_id, MassRevocation(*asked))
        else:
            self._enter_confirmation(event)

    def check_head(self, head: TreeHeadSigned) -> None:
        """Check that the head that the log holds after these leaves is theirs.

        Raises:
            Misplaced: it is not.
        """
        if (head.tree_size, head.root_hash) != (self.tree.size, self.tree.root()):
            raise Misplaced(f"the tree head of {head.tree_size} leaves is not that of the {self.tree.size} leaves before it")

    def _enter_certificate(self, event: Certified) -> None:
        if self.certificates.get(event.serial) is not None:
            raise Misplaced(f"certificate {event.serial} is entered twice, again as leaf {event.leaf_index}")
        made = Certificate(
            event.device_id,
            event.hardware_id,
            event.session_id,
            event.key_hash,
            event.issuer_key_id,
            event.owner,
            event.model,
            event.not_before,
            event.not_after,
            event.leaf_index,
        )
        self.certificates.put(event.serial, made)
        self.held.put(event.hardware_id, (*(self.held.get(event.hardware_id) or ()), event.serial))
        self.keys.put(event.key_hash, event.hardware_id)
        self.sessions.put(event.session_id, event.serial)

    def _enter_revocation(self, event: CertificateRevoked) -> None:
        known = self._known(event.serial)
        revoked = msgspec.structs.replace(
            known, revoked_leaf=event.leaf_index, revoked_at=event.occurred_at, reason=event.reason
        )
        self.certificates.put(event.serial, revoked)
        left = tuple(serial for serial in self.held.get(known.hardware_id) or () if serial != event.serial)
        self.held.put(known.hardware_id, left or None)

    def _enter_confirmation(self, event: MassRevocationConfirmed) -> None:
        known = self.revocations.get(event.revocation_id)
        if known is None:
            raise Misplaced(f"leaf {event.leaf_index} confirms a revocation that was not asked for")
        self.revocations.put(event.revocation_id, msgspec.structs.replace(known, confirmed=True))

    def _known(self, serial: str) -> Certificate:
        known = self.certificates.get(serial)
        if known is None:
            raise Misplaced(f"leaf {self.tree.size - 1} is about certificate {serial}, which was not entered")
        return known

    def dump(self) -> bytes:
        """All of it, for `restore`."""
        tables = dict(self.certificates.items()), dict(self.revocations.items()), dict(self.authorities.items())
        return msgspec.msgpack.encode(_Kept(self.tree.dump(), *tables))

    @staticmethod
    def restore(data: bytes) -> "LedgerState":
        """
        Raises:
            msgspec.DecodeError: it is nothing that `dump` gave.
        """
        kept = msgspec.msgpack.decode(data, type=_Kept)
        state = LedgerState()
        state.tree = restored(kept.leaves)
        for key_id, leaf in kept.authorities.items():
            state.authorities.set(key_id, leaf)
        for revocation_id, asked in kept.revocations.items():
            state.revocations.set(revocation_id, asked)
        for serial, certificate in sorted(kept.certificates.items(), key=lambda item: item[1].leaf):
            state.certificates.set(serial, certificate)
            state.keys.set(certificate.key_hash, certificate.hardware_id)
            state.sessions.set(certificate.session_id, serial)
            if certificate.revoked_leaf is None:
                state.held.set(certificate.hardware_id, (*(state.held.get(certificate.hardware_id) or ()), serial))
        state.mark()
        return state
