"""Any interleaving of commands: devices, thieves, owners, clocks that go forth and back, commands that come again, late, in
another order, or never. `Watch` looks at every decision."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from schemas.certificate_messages import IssueCertificate, RevokeCertificate
from schemas.messages import Command, Event
from schemas.proofs import challenge
from schemas.registration_commands import OpenSession, RecordCertificateFailure
from schemas.registration_events import ChallengeIssued, RenewalRequested
from streams.machine import Addressed
from streams.registration.definition import REGISTRATION
from tests.streams.registration.actors import SECOND, Actor, World, claim, ident, pre_register, reset, revoked
from tests.streams.registration.keyring import key
from tests.streams.registration.watch import Watch

REASONS = ("superseded", "key_compromise", "cessation_of_operation")
STATES = ("initializing", "setup_mode", "configuring", "network_ready", "claiming", "operational", "reconnecting", "error")
OFTEN = st.sampled_from([True, True, True, False])


class Watched(World):
    """A world whose every decision is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch()

    def give(self, command: Command, aggregate: str | None = None) -> Event:
        at = aggregate or self.aggregate(command)
        before, queued, asked = self.states.get(at), len(self.follow_ups), len(self.ledger)
        event = super().give(command, at)
        self.watch.see(before, command, event, self.states.get(at))
        ledger = [Addressed("", "ledger", message) for message in self.ledger[asked:]]
        self.watch.follow(command, event, [*list(self.follow_ups)[queued:], *ledger])
        return event


class Fleet(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = Watched()
        self.claims: list[str] = []
        self.serial = 0
        self.devices = [
            Actor(self.world, "SN-1", key("ec", 0), b"f" * 32, ident("none", 0)),
            Actor(self.world, "SN-1", key("ec", 1), b"f" * 32, ident("none", 1)),  # a thief who knows the fingerprint
            Actor(self.world, "SN-2", key("ed25519", 2), b"g" * 32, ident("none", 2)),
            Actor(self.world, "SN-2", key("ed25519", 2), b"h" * 32, ident("none", 3)),  # other hardware with a stolen key
        ]

    device = st.integers(0, 3)
    owner = st.sampled_from(["alice", "bob"])

    @initialize(which=device, early=st.integers(0, 4))
    def begin(self, which: int, early: int) -> None:
        """Somewhere on the way, so that late steps are tried often."""
        self.claim("alice")
        if early > 0:
            self.open(which)
            self.spend(which, 0, None, True)
        if early > 1:
            self.confirm(which, 0, True)
        if early > 2:
            self.ledger(0, True)
            self.devices[which].activate()
        if early > 3:
            self.renew(which, False, 4, False)

    @rule(seconds=st.integers(-120, 600))
    def tick(self, seconds: int) -> None:
        self.world.now += seconds * SECOND

    @rule(owner=owner)
    def claim(self, owner: str) -> None:
        self.claims.append(claim(self.world, len(self.claims), owner))

    @rule(which=device, owner=st.none() | owner)
    def pre_register(self, which: int, owner: str | None) -> None:
        pre_register(self.world, self.devices[which], owner)

    @rule(which=device)
    def open(self, which: int) -> None:
        self.devices[which].open(ident("session", self.world.given + 1))

    @rule(which=device, number=st.integers(0, 20), pin=st.none() | st.sampled_from(["123456", "000000"]), settle=OFTEN)
    def spend(self, which: int, number: int, pin: str | None, settle: bool) -> None:
        """Several wrong PINs in a row are rare by chance, so they come together."""
        for _ in range(4 if pin == "000000" else 1):
            self.devices[which].spend(self.claims[number % len(self.claims)], pin)
        if settle:
            self.world.settle()

    @rule(which=device)
    def prove(self, which: int) -> None:
        self.devices[which].prove()

    @rule(which=device, number=st.integers(0, 20), own=OFTEN)
    def confirm(self, which: int, number: int, own: bool) -> None:
        """With a nonce that was given out, to this session or to another, now or long ago."""
        device = self.devices[which]
        issued = [event for _, event in self.world.log if isinstance(event, ChallengeIssued)]
        mine = [event for event in issued if event.session_id == device.session] if own else issued
        if mine:
            device.confirm(mine[-1 - number % len(mine)].nonce)

    @precondition(lambda self: self.world.follow_ups)
    @rule(number=st.integers(0, 20), lost=st.booleans(), turn=st.integers(0, 3))
    def follow_up(self, number: int, lost: bool, turn: int) -> None:
        self.world.follow_ups.rotate(turn)
        record = self.world.follow_ups.popleft()
        if not lost:
            self.world.give(record.message, record.key)  # type: ignore[arg-type]

    @precondition(lambda self: self.world.ledger)
    @rule(number=st.integers(0, 5), good=OFTEN)
    def ledger(self, number: int, good: bool) -> None:
        """The ledger answers one of the newest things it was asked for, maybe for the second time."""
        asked = self.world.ledger[-1 - number % len(self.world.ledger)]
        if isinstance(asked, IssueCertificate) and good:
            self.serial += 1
            self.devices[0].certified(asked, f"5e{self.serial:02x}")
        elif isinstance(asked, IssueCertificate):
            about = {name: getattr(asked, name) for name in ("hardware_id", "session_id", "purpose")}
            self.world.give(RecordCertificateFailure(**self.world.about("ledger"), **about, detail="no"))
        elif isinstance(asked, RevokeCertificate):
            for hardware_id in ("SN-1", "SN-2"):
                revoked(self.world, asked.serial, asked.reason, hardware_id)

    @rule(which=device, reason=st.sampled_from(REASONS))
    def revoke(self, which: int, reason: Any) -> None:
        state = self.devices[which].state
        revoked(self.world, state.serial if state and state.serial else "77", reason, self.devices[which].hardware_id)

    @rule(which=device, rotation=st.booleans(), new=st.integers(4, 5), recorded=OFTEN)
    def renew(self, which: int, rotation: bool, new: int, recorded: bool) -> None:
        """With the certificate's key, whoever has it; mostly the certificate comes."""
        device, state = self.devices[which], self.devices[which].state
        if state is None or state.serial is None:
            return
        known = [key("ec", number) for number in (0, 1, 4, 5)] + [key("ed25519", 2)]
        bearer = next(made for made in known if made.public == state.public_key)
        device.key, kept = bearer, device.key
        event = device.renew(state.serial, key("ec", new) if rotation else None)
        device.key = key("ec", new) if rotation and recorded else kept
        if recorded and isinstance(event, RenewalRequested):
            self.ledger(0, True)

    @rule(which=device, owner=owner, proof=st.booleans())
    def take_over(self, which: int, owner: str, proof: bool) -> None:
        """All that leads to a certificate, in one go, for whichever owner and whatever went before."""
        device = self.devices[which]
        self.open(which)
        if proof:
            device.prove()
        else:
            self.claim(owner)
            device.spend(self.claims[-1])
            self.world.settle()
        self.confirm(which, 0, True)
        if self.world.ledger:
            self.ledger(0, True)

    @rule(which=device, other=device)
    def forge(self, which: int, other: int) -> None:
        """A thief answers another's challenge with a key of its own."""
        thief, victim = self.devices[which], self.devices[other]
        nonces = [
            event.nonce
            for _, event in self.world.log
            if isinstance(event, ChallengeIssued) and event.session_id == victim.session
        ]
        if nonces:
            signature = thief.key.sign(challenge(victim.session, nonces[-1], thief.key.public, victim.fingerprint))
            if thief.key.public != victim.key.public:
                victim.confirm(nonces[-1], signature=signature)

    @rule(which=device)
    def activate(self, which: int) -> None:
        if self.devices[which].state:
            self.devices[which].activate()

    @rule(which=device, state=st.sampled_from(STATES))
    def report(self, which: int, state: Any) -> None:
        self.devices[which].report(state)

    @rule(which=device)
    def reset(self, which: int) -> None:
        reset(self.world, self.devices[which].hardware_id)

    @rule(number=st.integers(0, 200))
    def again(self, number: int) -> None:
        """An earlier command under another id: a client that did not hear the answer, or a thief who did."""
        if self.world.commands:
            at, command = self.world.commands[-1 - number % len(self.world.commands)]
            about = self.world.about()
            if isinstance(command, OpenSession):  # sessions are named by the ingress, each request its own
                about["session_id"] = ident("session", self.world.given)
            self.world.give(msgspec.structs.replace(command, **about), at)

    def teardown(self) -> None:
        """The state is the fold of the log, and nothing else."""
        states: dict[str, Any] = {}
        for at, event in self.world.log:
            states[at] = REGISTRATION.evolve(states.get(at), event)
        assert {at: state for at, state in states.items() if state is not None} == self.world.states


TestFleet = Fleet.TestCase
TestFleet.settings = settings(
    max_examples=250, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
