"""Devices with real keys, users with claims, and a world in which their commands are decided one after the other."""

import hashlib
import hmac
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from msgspec.structs import replace

from schemas import proofs
from schemas import registration_commands as commands
from schemas.certificate_messages import IssueCertificate
from schemas.codec import Encoder
from schemas.contract import load
from schemas.messages import Command, Event, Message
from streams.machine import Addressed
from streams.registration.definition import REGISTRATION
from streams.registration.state import State
from tests.streams.registration.keyring import Key, certificate, key

SPACE = UUID("019aa000-0000-7000-8000-000000000000")
SECOND = 1_000_000
START = 1_795_302_000 * SECOND
PEPPER = b"pepper of the tests"


def ident(*parts: object) -> str:
    """A UUID that is the same for the same parts."""
    return str(uuid5(SPACE, ":".join(map(str, parts))))


def token_hash(claim_id: str) -> bytes:
    return hashlib.sha256(f"{claim_id}.secret".encode()).digest()


def pin_hash(claim_id: str, pin: str = "123456") -> bytes:
    return hmac.digest(PEPPER, f"{claim_id}:{pin}".encode(), "sha256")


CONTRACT = load()
ENCODERS = {name: Encoder(record) for name, record in CONTRACT.records.items()}


def encoded(message: Message) -> bytes:
    """The message under its avsc; raises if it has no place there."""
    return ENCODERS[type(message).__name__].encode({name: getattr(message, name) for name in message.__struct_fields__})


@dataclass
class World:
    """All aggregates, the commands that were given, the log of their events, and what followed and is still to be given."""

    now: int = START
    states: dict[str, State] = field(default_factory=dict)
    commands: list[tuple[str, Command]] = field(default_factory=list)
    log: list[tuple[str, Event]] = field(default_factory=list)
    ledger: list[Message] = field(default_factory=list)
    follow_ups: deque[Addressed] = field(default_factory=deque)
    given: int = 0

    def about(self, actor: str = "device") -> dict[str, Any]:
        """The fields that every command has, of a new one."""
        self.given += 1
        made = ident("command", self.given)
        return {"command_id": made, "correlation_id": made, "actor": actor, "issued_at": self.now}

    def give(self, command: Command, aggregate: str | None = None) -> Event:
        """Decide a command; its event. What follows from it waits in `follow_ups` or, for the ledger, in `ledger`."""
        at = aggregate or self.aggregate(command)
        self.commands.append((at, command))
        [event] = REGISTRATION.decide(self.states.get(at), command)
        state = REGISTRATION.evolve(self.states.get(at), event)
        if state is not None:
            self.states[at] = state
        self.log.append((at, event))
        for record in REGISTRATION.react(state, event):
            if record.topic == REGISTRATION.commands_topic:
                self.follow_ups.append(record)
            else:
                self.ledger.append(record.message)
        return event

    @staticmethod
    def aggregate(command: Command) -> str:
        """The key of the command's record."""
        name = "claim_id" if isinstance(command, commands.SpendClaim | commands.IssueClaimToken) else "hardware_id"
        return str(getattr(command, name))

    def settle(self) -> Event:
        """Give what follows, until nothing does; the last event."""
        while self.follow_ups:
            record = self.follow_ups.popleft()
            assert isinstance(record.message, Command)
            self.give(record.message, record.key)
        return self.log[-1][1]


@dataclass
class Actor:
    """A device in a world. Its methods give commands and return the events that answer them."""

    world: World
    hardware_id: str = "SN-1"
    key: Key = field(default_factory=key)
    fingerprint: bytes = b"f" * 32
    session: str = ident("session", 1)

    def open(self, session: str | None = None, **changed: Any) -> Event:
        self.session = session or self.session
        command = commands.OpenSession(
            **self.world.about(),
            hardware_id=self.hardware_id,
            session_id=self.session,
            device_id=f"dev-{ident(self.hardware_id, self.session)}",
            public_key=self.key.public,
            fingerprint=self.fingerprint,
            model="cam-2",
            firmware_version="1.0",
            hardware_revision=None,
            capabilities=("camera",),
            expires_at=self.world.now + 900 * SECOND,
        )
        return self.world.give(_changed(command, changed))

    def spend(self, claim_id: str, pin: str | None = None, **changed: Any) -> Event:
        command = commands.SpendClaim(
            **self.world.about(),
            claim_id=claim_id,
            credential="token" if pin is None else "pin",
            credential_hash=token_hash(claim_id) if pin is None else pin_hash(claim_id, pin),
            hardware_id=self.hardware_id,
            session_id=self.session,
            fingerprint=self.fingerprint,
            nonce=hashlib.sha256(f"nonce {self.world.given}".encode()).digest(),
        )
        return self.world.give(_changed(command, changed))

    def prove(self, **changed: Any) -> Event:
        command = commands.ProvePossession(
            **self.world.about(),
            hardware_id=self.hardware_id,
            session_id=self.session,
            proof=self.key.sign(proofs.opening(self.hardware_id)),
            fingerprint=self.fingerprint,
            nonce=hashlib.sha256(f"nonce {self.world.given}".encode()).digest(),
        )
        return self.world.give(_changed(command, changed))

    def confirm(self, nonce: bytes, **changed: Any) -> Event:
        message = proofs.challenge(self.session, nonce, self.key.public, self.fingerprint)
        command = commands.ConfirmChallenge(
            **self.world.about(),
            hardware_id=self.hardware_id,
            session_id=self.session,
            signature=self.key.sign(message),
            key_mode="csr",
            csr=self.key.csr(),
        )
        return self.world.give(_changed(command, changed))

    def certified(self, issue: IssueCertificate, serial: str = "5e01", **changed: Any) -> Event:
        """The ledger's answer to `issue`."""
        command = commands.RecordCertificate(
            **{**self.world.about("ledger"), "correlation_id": issue.correlation_id},
            hardware_id=issue.hardware_id,
            session_id=issue.session_id,
            purpose=issue.purpose,
            serial=serial,
            not_before=self.world.now,
            not_after=self.world.now + 90 * 86_400 * SECOND,
            certificate=certificate(key("ec", 9)),
            chain=(b"0\x82\x02",),
            leaf_index=0,
            tree_size=1,
            inclusion_proof=(),
            checkpoint="checkpoint",
            sealed_key=None,
        )
        return self.world.give(_changed(command, changed))

    def renew(self, serial: str, new: Key | None = None, **changed: Any) -> Event:
        session = ident("renewal", self.world.given)
        bearer = new or self.key
        command = commands.RequestRenewal(
            **self.world.about(),
            hardware_id=self.hardware_id,
            device_id=str(self.state.device_id),
            session_id=session,
            purpose="renewal" if new is None else "rotation",
            serial=serial,
            csr=bearer.csr(),
            signature=None if new is None else self.key.sign(proofs.rotation(session, new.public)),
        )
        return self.world.give(_changed(command, changed))

    def activate(self, **changed: Any) -> Event:
        command = commands.ActivateDevice(
            **self.world.about(), hardware_id=self.hardware_id, device_id=str(self.state.device_id)
        )
        return self.world.give(_changed(command, changed))

    def report(self, state: commands.DeviceState) -> Event:
        return self.world.give(
            commands.ReportState(**self.world.about(), hardware_id=self.hardware_id, state=state, detail=None)
        )

    @property
    def state(self) -> Any:
        return self.world.states.get(self.hardware_id)

    def register(self, claim_id: str, serial: str = "5e01") -> None:
        """The whole flow, up to the first heartbeat."""
        self.open()
        self.spend(claim_id)
        self.confirm(self.world.settle().nonce)  # type: ignore[attr-defined]
        issue = next(m for m in reversed(self.world.ledger) if isinstance(m, IssueCertificate))
        self.certified(issue, serial)
        self.activate()


def claim(world: World, name: object = 1, owner: str = "alice", **changed: Any) -> str:
    """A claim of a user; its id."""
    claim_id = f"claim-{ident('claim', name)}"
    command = commands.IssueClaimToken(
        **world.about(owner),
        claim_id=claim_id,
        owner=owner,
        registration_type="qr_with_pin_fallback",
        token_hash=token_hash(claim_id),
        pin_hash=pin_hash(claim_id),
        device_type=None,
        expires_at=world.now + 300 * SECOND,
        latitude=None,
        longitude=None,
    )
    world.give(_changed(command, changed))
    return claim_id


def pre_register(world: World, device: Actor, owner: str | None = None, **changed: Any) -> Event:
    command = commands.PreRegisterDevice(
        **world.about("admin"), hardware_id=device.hardware_id, public_key=device.key.public, owner=owner, model="cam-2"
    )
    return world.give(_changed(command, changed))


def reset(world: World, hardware_id: str = "SN-1") -> Event:
    return world.give(commands.ResetDevice(**world.about("alice"), hardware_id=hardware_id, detail=None))


def revoked(world: World, serial: str, reason: commands.RevocationReason, hardware_id: str = "SN-1") -> Event:
    about = world.about("ledger")
    return world.give(commands.RecordRevocation(**about, hardware_id=hardware_id, serial=serial, reason=reason))


def _changed(command: Any, changed: dict[str, Any]) -> Any:
    return replace(command, **changed)
