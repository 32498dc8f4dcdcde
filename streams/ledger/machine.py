"""The ledger's decider: commands to events, one signed tree head for all leaves of a batch, and the commands that follow."""

from array import array
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from connectors.authority.port import Authority
from schemas.certificate_messages import (
    CertificateRefused,
    CertificateRevoked,
    ContinueMassRevocation,
    IssueCertificate,
    LedgerCommandRepeated,
    TreeHeadSigned,
)
from schemas.messages import Command, Event
from schemas.registration_commands import RecordCertificate, RecordCertificateFailure, RecordRevocation
from schemas.transparency.entries import Certified, as_leaf
from streams.identities import follow_up_headers, headers, repeat_headers
from streams.ledger.building import Decided
from streams.ledger.decisions import decide
from streams.ledger.state import LedgerState
from streams.machine import Addressed, Keyed

EVENTS, COMMANDS, REGISTRATION = "fleet.certificates", "fleet.certificates.commands", "fleet.registration.commands"
KEY = "ledger"
REMEMBERED = 100_000  # newest commands that are known when they come again
SignHead = Callable[[int, bytes], str]
"""Signs the head of a tree of this size and root: a checkpoint (`schemas.transparency.notes.Signer.checkpoint`)."""
Recall = Callable[[int, int], Sequence[Event]]
"""The events of the partition with first <= offset <= last, read from the log. May raise Away."""


class Answer(NamedTuple):
    """Where the first event of a command is, and how often the command came again."""

    offset: int
    times: int


class _Snapshot(msgspec.Struct, array_like=True, frozen=True):
    state: bytes
    offsets: bytes
    answers: list[tuple[bytes, Answer]]


class _Waiting(NamedTuple):
    """A certificate for somebody who waits for it."""

    event: Certified
    chain: tuple[bytes, ...]
    sealed_key: bytes | None


class _Batch:
    """What is worked out on top of the committed state. `last` is the command whose leaves, `last_events` in number, came
    last."""

    def __init__(self) -> None:
        self.records: list[Addressed] = []
        self.waiting: list[_Waiting] = []
        self.follow_ups: list[Addressed] = []
        self.times: dict[bytes, int] = {}
        self.decided: set[bytes] = set()
        self.last: Command | None = None
        self.last_events = 0

    def add(self, event: Event) -> None:
        self.records.append(Addressed(EVENTS, KEY, event))


class LedgerMachine:
    """For one thread at a time. Pure but for the authority and the log that are given to it."""

    revision = 1

    def __init__(self, authority: Authority, sign_head: SignHead, recall: Recall, remembered: int = REMEMBERED) -> None:
        self._authority, self._sign_head, self._recall = authority, sign_head, recall
        self._remembered = remembered
        self.state = LedgerState()
        self._offsets = array("q")  # of the leaves' events
        self._answers: dict[bytes, Answer] = {}  # the oldest first
        self._batch = _Batch()

    def work(self, commands: Sequence[Keyed]) -> list[Addressed]:
        """See `Machine`.

        Raises:
            ValueError: a command comes twice in one call, or its id is no UUID.
        """
        self._batch = batch = _Batch()
        self.state.mark()
        for _, command in commands:
            self._handle(command, batch)
        self._finish(batch)
        return batch.records

    def _handle(self, command: Command, batch: _Batch) -> None:
        identity = UUID(command.command_id).bytes
        known = self._answers.get(identity)
        if known is not None:
            times = batch.times.get(identity, known.times)
            batch.times[identity] = times + 1
            self._repeat(command, times, known.offset, batch)
            return
        if identity in batch.decided:
            raise ValueError(f"command {command.command_id} comes twice in one call")
        batch.decided.add(identity)
        decided = decide(self.state, command, self._authority)
        if decided.again is not None:
            self._again(command, decided.again, batch)
        elif decided.refusal is not None:
            batch.add(decided.refusal)
            batch.follow_ups.extend(_after_refusal(command, decided.refusal))
        else:
            self._entered(command, decided, batch)

    def _entered(self, command: Command, decided: Decided, batch: _Batch) -> None:
        batch.last, batch.last_events = command, len(decided.leaves)
        for leaf in decided.leaves:
            batch.add(leaf)
            if isinstance(leaf, CertificateRevoked):
                batch.follow_ups.append(_after_revocation(leaf))
            elif isinstance(leaf, Certified) and decided.made is not None:
                batch.waiting.append(_Waiting(leaf, decided.made.chain, decided.made.sealed_key))
        if decided.goes_on is not None:
            batch.follow_ups.append(_next_piece(decided.leaves[0], decided.goes_on))

    def _again(self, command: Command, leaf: int, batch: _Batch) -> None:
        """A command that asks for what was done before. Where that is in this very batch its offset is not known yet."""
        if leaf < len(self._offsets):
            self._repeat(command, 0, self._offsets[leaf], batch)
            return
        event = next(record.message for record in batch.records if getattr(record.message, "leaf_index", -1) == leaf)
        refusal = CertificateRefused(
            **headers(command, 0),
            command=type(command).__name__,
            code="DONE_ALREADY",
            detail=f"command {event.command_id}, a moment ago, did the same",
            hardware_id=getattr(event, "hardware_id", None),
            serial=getattr(event, "serial", None),
        )
        batch.add(refusal)
        if isinstance(event, Certified):
            batch.waiting.append(self._waiting_again(command, event))

    def _repeat(self, command: Command, times: int, offset: int, batch: _Batch) -> None:
        """Point to the first answer, and send again what followed from it."""
        batch.add(LedgerCommandRepeated(**repeat_headers(command, times), answer_offset=offset))
        for event in self._recall(offset, offset):
            if isinstance(event, Certified):
                batch.waiting.append(self._waiting_again(command, event))
            elif isinstance(event, CertificateRefused):
                batch.follow_ups.extend(_after_refusal(command, event))

    def _waiting_again(self, command: Command, event: Certified) -> _Waiting:
        """A key that the server made is not sent again: it was sealed for the device once, and is kept nowhere."""
        known = self._authority.authorities()
        chain = tuple(issuer.certificate for issuer in known if issuer.key_id == event.issuer_key_id)
        changed = {"command_id": command.command_id, "correlation_id": command.correlation_id}
        return _Waiting(msgspec.structs.replace(event, **changed), chain, None)

    def _finish(self, batch: _Batch) -> None:
        """One head for all leaves of the batch, and with it the certificates for those who wait for them."""
        if batch.last is not None or batch.waiting:
            tree = self.state.tree
            root = tree.root()
            checkpoint = self._sign_head(tree.size, root)
            if batch.last is not None:
                batch.add(_head(batch.last, batch.last_events, (tree.size, root, checkpoint)))
            batch.records.extend(self._certificate(waiting, checkpoint) for waiting in batch.waiting)
        batch.records.extend(batch.follow_ups)

    def _certificate(self, waiting: _Waiting, checkpoint: str) -> Addressed:
        event, tree = waiting.event, self.state.tree
        command = RecordCertificate(
            **follow_up_headers(event, "RecordCertificate"),
            hardware_id=event.hardware_id,
            session_id=event.session_id,
            purpose=event.purpose,
            serial=event.serial,
            not_before=event.not_before,
            not_after=event.not_after,
            certificate=event.certificate,
            chain=waiting.chain,
            leaf_index=event.leaf_index,
            tree_size=tree.size,
            inclusion_proof=tuple(tree.inclusion(event.leaf_index)),
            checkpoint=checkpoint,
            sealed_key=waiting.sealed_key,
        )
        return Addressed(REGISTRATION, event.hardware_id, command)

    def keep(self, offsets: Sequence[int]) -> None:
        batch, self._batch = self._batch, _Batch()
        self.state.forget()
        for record, offset in zip(batch.records, offsets, strict=True):
            if isinstance(record.message, Event):
                self._note(record.message, offset)

    def drop(self) -> None:
        self._batch = _Batch()
        self.state.undo()

    def fold(self, key: str, event: Event, offset: int) -> None:
        """
        Raises:
            Misplaced: the log was tampered with.
        """
        leaf = as_leaf(event)
        if leaf is not None:
            self.state.enter(leaf)
            self.state.forget()
        elif isinstance(event, TreeHeadSigned):
            self.state.check_head(event)
        self._note(event, offset)

    def _note(self, event: Event, offset: int) -> None:
        """Remember where a leaf is, and where the first answer to a command."""
        if as_leaf(event) is not None:
            self._offsets.append(offset)
        identity = UUID(event.command_id).bytes
        known = self._answers.pop(identity, None)
        if isinstance(event, LedgerCommandRepeated):
            self._answers[identity] = Answer(event.answer_offset, known.times + 1 if known else 1)
        else:
            self._answers[identity] = known or Answer(offset, 0)
        if len(self._answers) > self._remembered:
            del self._answers[next(iter(self._answers))]

    def snapshot(self) -> bytes:
        return msgspec.msgpack.encode(_Snapshot(self.state.dump(), self._offsets.tobytes(), list(self._answers.items())))

    def restore(self, data: bytes) -> None:
        """
        Raises:
            msgspec.DecodeError: it is no snapshot of this revision.
        """
        read = msgspec.msgpack.decode(data, type=_Snapshot)
        self.state = LedgerState.restore(read.state)
        self._offsets = array("q")
        self._offsets.frombytes(read.offsets)
        self._answers = dict(read.answers)
        self._batch = _Batch()


def _head(command: Command, index: int, head: tuple[int, bytes, str]) -> TreeHeadSigned:
    """The head after a command's last leaf, as its last event."""
    size, root, checkpoint = head
    return TreeHeadSigned(**headers(command, index), tree_size=size, root_hash=root, checkpoint=checkpoint)


def _after_refusal(command: Command, refusal: CertificateRefused) -> list[Addressed]:
    if not isinstance(command, IssueCertificate):
        return []
    failure = RecordCertificateFailure(
        **follow_up_headers(refusal, "RecordCertificateFailure"),
        hardware_id=command.hardware_id,
        session_id=command.session_id,
        purpose=command.purpose,
        detail=f"{refusal.code}: {refusal.detail}"[:1000],
    )
    return [Addressed(REGISTRATION, command.hardware_id, failure)]


def _after_revocation(event: CertificateRevoked) -> Addressed:
    command = RecordRevocation(
        **follow_up_headers(event, f"RecordRevocation {event.serial}"),
        hardware_id=event.hardware_id,
        serial=event.serial,
        reason=event.reason,
    )
    return Addressed(REGISTRATION, event.hardware_id, command)


def _next_piece(event: Event, revocation_id: str) -> Addressed:
    command = ContinueMassRevocation(
        **follow_up_headers(event, "ContinueMassRevocation"),
        revocation_id=revocation_id,
    )
    return Addressed(COMMANDS, KEY, command)
